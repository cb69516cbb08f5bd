"""The perceptron: its forward pass by hand, and how its weights start."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from sandbox.model.mlp import MLP


@pytest.mark.parametrize(
    ("activation", "expected"), [("relu", 2.0), ("tanh", 2 * 0.7615941559557649 - 1.9280551601516338)]
)
def test_a_forward_pass_by_hand(activation: Literal["relu", "tanh"], expected: float) -> None:
    network = MLP(1, 1, hidden=(2,), activation=activation, dtype="float64")
    with torch.no_grad():
        for parameter, values in zip(
            network.parameters(), ([[1.0], [-2.0]], [0.0, 0.0], [[2.0, 2.0]], [0.0]), strict=True
        ):
            parameter.copy_(torch.tensor(values))
    # hidden: f(1), f(-2); tanh 1 = .7616, tanh 2 = .9640
    assert float(network(torch.ones(1, 1, dtype=torch.float64)).detach()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("initial", "variance"), [("fan_in", 1 / 64), ("he", 2 / 64)])
def test_weights_start_with_the_variance_that_their_name_says(
    initial: Literal["fan_in", "he"], variance: float
) -> None:
    torch.manual_seed(0)
    wide, *_ = (p.detach() for p in MLP(64, 1, hidden=(512,), initial=initial).parameters())
    assert float(wide.var()) == pytest.approx(variance, rel=0.05)
    assert float(wide.mean()) == pytest.approx(0, abs=0.005)


def test_shapes_biases_and_dtype() -> None:
    network = MLP(3, 2, hidden=(5, 4), dtype="float64")
    assert [tuple(p.shape) for p in network.parameters()] == [(5, 3), (5,), (4, 5), (4,), (2, 4), (2,)]
    assert all(p.dtype == torch.float64 for p in network.parameters())
    assert all(not p.any() for p in network.parameters() if p.dim() == 1)


def test_no_hidden_layer_is_a_linear_map() -> None:
    network = MLP(2, 1, hidden=())
    x = torch.randn(4, 2)
    assert torch.allclose(network(2 * x), 2 * network(x))


def test_an_example_of_any_shape_is_read_as_one_row() -> None:
    image, flat = MLP((3, 4, 5), 2, hidden=(7,)), MLP(60, 2, hidden=(7,))
    flat.load_state_dict(image.state_dict())
    x = torch.randn(6, 3, 4, 5)
    assert torch.equal(image(x), flat(x.flatten(1)))


def test_weights_may_start_as_torch_has_them() -> None:
    torch.manual_seed(0)
    network = MLP(3, 2, hidden=(5,), initial="torch")
    torch.manual_seed(0)
    theirs = [parameter for size in ((3, 5), (5, 2)) for parameter in torch.nn.Linear(*size).parameters()]
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), theirs, strict=True))


def test_outputs_may_go_through_a_tanh() -> None:
    open_ended, bounded = MLP(3, 2), MLP(3, 2, last="tanh")
    bounded.load_state_dict(open_ended.state_dict())
    x = torch.randn(4, 3)
    assert torch.equal(bounded(x), open_ended(x).tanh())
