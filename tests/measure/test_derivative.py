"""Derivatives by the tape and by differences agree, and a tape that misses an influence is found out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sandbox.measure.derivative import Check, check, jacobian, jacobian_vector, vector_jacobian
from sandbox.measure.error import MeasureError
from sandbox.measure.system import System, declare
from tests.measure.foreign import bandit, higher_loop, network, plain_loop


def curved(z: Tensor) -> Tensor:
    return torch.cat([z[:2] * z[2:].sum(), z[2:] - 0.1 * z[2:] ** 3 * z[0]])


def flat() -> System:
    return declare(curved, torch.tensor([0.3, -1.0, 2.0, 0.5], dtype=torch.float64), [0, 1])


def pair(step: Any, dtype: torch.dtype = torch.float64) -> System:
    return declare(step, {"lr": torch.tensor(0.1, dtype=dtype), "w": torch.tensor([2.0, -1.0], dtype=dtype)}, "lr")


def test_both_ways_give_the_jacobian() -> None:
    exact = torch.autograd.functional.jacobian(curved, flat().flat)
    torch.testing.assert_close(jacobian(flat(), "tape"), exact, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(jacobian(flat(), "differences"), exact, rtol=1e-8, atol=1e-8)


def test_products_from_either_side_are_those_of_the_jacobian() -> None:
    j, probes = jacobian(flat(), "tape"), torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(0)).double()
    left = vector_jacobian(flat())
    assert left is not None
    torch.testing.assert_close(left(probes), probes @ j)
    torch.testing.assert_close(jacobian_vector(flat())(probes), probes @ j.T, rtol=1e-7, atol=1e-7)


def test_a_loop_with_higher_is_differentiated_by_its_tape() -> None:
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    system = declare(higher_loop(0.1), {"network": network(), "lr": lr}, "lr")
    product = vector_jacobian(system)
    assert product is not None
    assert check(system, product) == Check("", ())
    torch.testing.assert_close(jacobian(system, "tape"), jacobian(system, "differences"), rtol=1e-6, atol=1e-7)


def test_a_step_in_place_or_in_numpy_leaves_no_tape() -> None:
    lr = torch.tensor(0.1, dtype=torch.float64)
    assert vector_jacobian(declare(plain_loop, {"network": network(), "lr": lr}, "lr")) is None
    arms = {"logits": np.zeros(2), "baseline": 0.0, "rate": 0.3}
    assert vector_jacobian(declare(bandit, arms, ("rate", "baseline"))) is None


def test_an_update_in_place_that_the_tape_refuses_is_no_error() -> None:
    def step(s: dict[str, Tensor]) -> dict[str, Tensor]:
        s["w"] *= 1 - s["lr"]
        return s

    assert vector_jacobian(pair(step)) is None


DROPPED = {
    "item": lambda s: {"lr": s["lr"], "w": s["w"] - s["lr"].item() * s["w"]},
    "detach": lambda s: {"lr": s["lr"] + 0.01 * s["w"].detach().sum(), "w": s["w"] * 0.9},
    "data": lambda s: {"lr": s["lr"] * 1, "w": s["w"] * 1 - 0.1 * s["w"].data},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "where"), [("item", "inner depends on lr"), ("detach", "outer depends on w"),
                                             ("data", "inner depends on w")])  # fmt: skip
def test_a_dropped_influence_is_found(name: str, where: str, dtype: torch.dtype) -> None:
    system = pair(DROPPED[name], dtype)
    product = vector_jacobian(system)
    assert product is not None
    assert where in check(system, product).missed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_whole_tape_is_not_accused(dtype: torch.dtype) -> None:
    for seed in range(20):
        system = pair(lambda s: {"lr": s["lr"] * (1 - 1e-3 * (s["w"] ** 2).sum()), "w": s["w"] * (1 - s["lr"])}, dtype)
        product = vector_jacobian(system)
        assert product is not None
        assert check(system, product, seed=seed) == Check("", ())


def test_differences_move_each_leaf_by_its_own_scale() -> None:
    """A rate of 1e-6 next to weights of 1e3: one spacing for both would lose one of them."""
    state = {"lr": torch.tensor(1e-6, dtype=torch.float64), "w": torch.full((2,), 1e3, dtype=torch.float64)}
    system = declare(lambda s: {"lr": s["lr"] ** 2, "w": s["w"] * (1 - s["lr"].sqrt())}, state, "lr")
    exact, found = jacobian(system, "tape"), jacobian(system, "differences")
    torch.testing.assert_close(found, exact, rtol=1e-7, atol=1e-9)


def test_a_wider_spacing_sees_past_jumps() -> None:
    system = declare(lambda z: (z * 100).round() / 100, torch.tensor([1.2345, 0.5], dtype=torch.float64), [0])
    assert jacobian(system, "differences")[0, 0] == pytest.approx(0, abs=1e-9)
    assert jacobian(system, "differences", spacing=0.5)[0, 0] == pytest.approx(1, abs=0.02)


def test_derivatives_that_do_not_exist_are_refused() -> None:
    system = declare(lambda z: z.abs().sqrt() - 1, torch.tensor([0.0, 4.0], dtype=torch.float64), [1])
    with pytest.raises(MeasureError, match="NaN or infinity by state"):
        jacobian(system, "tape")
    with pytest.raises(MeasureError, match=r"got none\. Return new tensors"):
        jacobian(declare(lambda z: z.detach() * 2, torch.ones(2), [0]), "tape")


def second_moment(detached: bool, v: list[float]) -> System:
    """A step down the root of a second moment, which has no value below 0."""

    def step(s: dict[str, Tensor]) -> dict[str, Tensor]:
        scale = s["v"].detach() if detached else s["v"]
        return {"w": s["w"] * (1 - 0.1 / (scale.sqrt() + 1e-3)), "v": s["v"] * 1}

    return declare(step, {"w": torch.ones(2).double(), "v": torch.tensor(v).double()}, "v")


@pytest.mark.parametrize("v", [[0.5, 1.0], [1e-8, 1.0]])
def test_next_to_the_end_of_a_domain_the_tape_is_checked_closer(v: list[float]) -> None:
    for detached in (False, True):
        system = second_moment(detached, v)
        product = vector_jacobian(system)
        assert product is not None
        assert ("inner depends on v" in check(system, product).missed) == detached
    found, exact = (jacobian(second_moment(False, v), way) for way in ("differences", "tape"))
    torch.testing.assert_close(found[:, 2:], exact[:, 2:], rtol=0.2, atol=1e-6)


def test_what_cannot_be_checked_is_named() -> None:
    system = second_moment(False, [0.0, 1.0])
    system = declare(lambda s: {"w": s["w"] * 1, "v": s["v"] + 0 * s["v"].sqrt().detach()}, system.state, "v")
    product = vector_jacobian(system)
    assert product is not None
    assert check(system, product) == Check("", ("v",))


@pytest.mark.parametrize("seed", range(6))
def test_kinks_in_float32_are_no_fault_of_the_tape(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(256, 20, generator=generator), torch.randn(256, generator=generator)
    net = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))

    def step(s: dict[str, Any]) -> dict[str, Any]:
        weights = dict(s["net"].named_parameters())
        loss = (torch.func.functional_call(s["net"], weights, (x,)).squeeze() - y).square().mean()
        slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        return {
            "net": {k: w - s["lr"] * g for (k, w), g in zip(weights.items(), slopes, strict=True)},
            "lr": s["lr"] * 1,
        }

    system = declare(step, {"net": net, "lr": torch.tensor(0.05)}, "lr")
    product = vector_jacobian(system)
    assert product is not None
    assert check(system, product).missed == ""


def test_one_coordinate_of_many_is_moved_no_farther_than_one_of_few() -> None:
    for n in (1, 400):
        system = declare(lambda z: z - 0.1 * (3 * z).sin(), torch.linspace(0.5, 1.5, n + 1).double(), [0])
        exact, found = jacobian(system, "tape"), jacobian(system, "differences")
        torch.testing.assert_close(found, exact, rtol=0, atol=1e-9)


def test_a_spacing_is_positive() -> None:
    for spacing in (0.0, -1.0):
        with pytest.raises(MeasureError, match="a spacing > 0"):
            jacobian(flat(), "differences", spacing=spacing)
