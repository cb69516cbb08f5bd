"""Momentum: bitwise torch's, with a memory that is born at rest."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.protocols import Reach
from sandbox.rule.momentum import Momentum

LIFE = Reach(lambda params, x: x * params["w"], lambda prediction, batch: (prediction - batch["y"]).square())


def weights(dtype: torch.dtype, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "w": torch.randn(7, 33, generator=generator, dtype=dtype),
        "b": torch.randn(5, generator=generator, dtype=dtype),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_bitwise_torch(dtype: torch.dtype) -> None:
    rule, ours = Momentum(lr=0.03, momentum=0.7), weights(dtype, 0)
    theirs = [weight.clone().requires_grad_() for weight in ours.values()]
    optimizer = torch.optim.SGD(theirs, lr=0.03, momentum=0.7)
    phi, slots = rule.init(ours), rule.slots(ours)
    for step in range(1, 8):
        grads = weights(dtype, step)
        for weight, grad in zip(theirs, grads.values(), strict=True):
            weight.grad = grad.clone()
        optimizer.step()
        ours, slots = rule.update(phi, ours, grads, slots)
        assert all(torch.equal(a, b.detach()) for a, b in zip(ours.values(), theirs, strict=True))


def test_two_steps_by_hand_and_their_derivative_in_the_momentum() -> None:
    m = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    phi = {"lr": torch.tensor(0.1, dtype=torch.float64), "momentum": m}
    params, grads = {"w": torch.tensor(1.0, dtype=torch.float64)}, {"w": torch.tensor(2.0, dtype=torch.float64)}
    slots = Momentum().slots(params)
    for _ in range(2):
        params, slots = Momentum().update(phi, params, grads, slots)
    assert float(slots["velocity.w"].detach()) == 3  # 2, then .5 · 2 + 2
    assert float(params["w"].detach()) == pytest.approx(1 - 0.1 * 2 - 0.1 * 3)
    (slope,) = torch.autograd.grad(params["w"], m)
    assert float(slope) == pytest.approx(-0.1 * 2)


def test_phi_and_velocity_have_the_dtype_of_the_weights() -> None:
    params = weights(torch.float32, 0)
    phi, slots = Momentum().init(params), Momentum().slots(params)
    assert {name: (float(v), v.dtype) for name, v in Momentum().readable(phi).items()} == {
        "lr": (pytest.approx(0.01), torch.float32),
        "momentum": (pytest.approx(0.9), torch.float32),
    }
    assert {name: (v.shape, v.dtype, float(v.abs().sum())) for name, v in slots.items()} == {
        f"velocity.{name}": (w.shape, w.dtype, 0) for name, w in params.items()
    }


def test_the_loss_is_the_mean_objective() -> None:
    batch = {"x": torch.tensor([1.0, 2.0]), "y": torch.tensor([0.0, 0.0])}
    assert float(Momentum().loss({}, {"w": torch.tensor(3.0)}, {}, batch, LIFE)) == (9 + 36) / 2


def test_many_lives_at_once_are_the_lives_one_by_one() -> None:
    rule, lives = Momentum(), [weights(torch.float64, seed) for seed in range(3)]
    stacked = {name: torch.stack([life[name] for life in lives]) for name in ("w", "b")}
    memory = {f"velocity.{name}": value for name, value in stacked.items()}
    phi = {"lr": torch.tensor([0.1, 0.2, 0.3]).double(), "momentum": torch.tensor([0.0, 0.5, 0.9]).double()}
    together, _ = torch.func.vmap(rule.update)(phi, stacked, stacked, memory)
    for n, life in enumerate(lives):
        row = {name: value[n] for name, value in phi.items()}
        alone, _ = rule.update(row, life, life, {f"velocity.{name}": value for name, value in life.items()})
        assert all(torch.equal(together[name][n], alone[name]) for name in alone)
