"""The adapter: a network's own prediction, as a pure function of weights, batched and twice differentiable."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sandbox.model.module import Module


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


class Attends(nn.Module):
    """One head over five tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0].sum(dim=1)


def test_it_predicts_as_the_network_does() -> None:
    model, x = Module(network), torch.randn(5, 3)
    torch.manual_seed(7)
    expected = network()
    params = model.init(7)
    assert set(params) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert torch.equal(model.apply(params, x), expected(x))


def test_weights_are_of_their_seed_and_leave_the_global_generator_alone() -> None:
    model = Module(network)
    before = torch.get_rng_state()
    first, again, other = (model.init(rng)["0.weight"] for rng in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first.requires_grad


def test_many_weights_at_once_are_the_weights_one_by_one() -> None:
    model, x = Module(network), torch.randn(5, 3)
    each = [model.init(rng) for rng in range(3)]
    stacked = {name: torch.stack([params[name] for params in each]) for name in each[0]}
    together = torch.func.vmap(model.apply, in_dims=(0, None))(stacked, x)
    assert torch.allclose(together, torch.stack([model.apply(params, x) for params in each]))


def test_attention_can_be_differentiated_twice() -> None:
    model, x = Module(Attends), torch.randn(2, 5, 4)
    params = {name: weight.requires_grad_() for name, weight in model.init(0).items()}
    weight = params["attention.in_proj_weight"]
    (grad,) = torch.autograd.grad(model.apply(params, x).square().sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(grad.square().sum(), weight)
    assert float(second.abs().sum()) > 0
