"""Steps finer than the spacing of differences: a right tape is kept, and differences tell what they can't see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from sandbox.measure.differences import Differences
from sandbox.measure.reading import Reading, read
from sandbox.measure.system import declare
from scripts.known_steps import merged

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).double()
Y = torch.randn(8, generator=torch.Generator().manual_seed(1)).double()
CLIP = [1.0, 0.8, 1.2]
Formula = Callable[[Tensor], Tensor]
Way = Literal["auto", "differences"]


def absolute(z: Tensor) -> Tensor:
    return torch.cat([0.8 * z[:1] + 0.1 * z[1:].abs().sum(), 0.7 * z[1:] + 0.2 * z[:1]])


def least_squares(z: Tensor) -> Tensor:
    """A rate that falls with the weights' absolute sum."""
    rate, w = z[:1], z[1:]
    return torch.cat([rate * (1 - 0.1 * (w.abs().sum() - 0.5)), w - rate * (X.T @ (X @ w - Y) / 8)])


def counter(z: Tensor) -> Tensor:
    """A clock of 100,000 beside a rate and weights."""
    rate, w = z[1:2], z[2:]
    return torch.cat([z[:1] + 1, rate * (1 - 0.05 * w.sin().sum()), w - 20 * rate * (3 * w).sin()])


def sine(times: float) -> Formula:
    return lambda z: torch.cat([0.999 * z[:1] + 0.1 * (times * z[1:]).sin(), 0.7 * z[1:] + 0.2 * z[:1]])


def bump(z: Tensor) -> Tensor:
    """A slope that is there within 1e-4 of the state only."""
    near = (z[1:] - 1) / 1e-4
    return torch.cat([0.8 * z[:1] + 0.1 * z[1:] + 5e-5 * (-(near**2)).exp() * near.sin(), 0.7 * z[1:] + 0.2 * z[:1]])


def clipped(z: Tensor) -> Tensor:
    """A slope whose norm is 1e-9 below where it is clipped."""
    bound = torch.tensor(CLIP, dtype=torch.float64).mul(0.3).add(0.14).norm() + 1e-9
    slope = 0.3 * z[1:] + 0.2 * z[:1]
    shorter = (bound / slope.norm()).clamp(max=1)
    return torch.cat([0.8 * z[:1] + 0.3 * z[1:].square().sum(), z[1:] - slope * shorter])


FINE: dict[str, tuple[Formula, list[float], int]] = {
    "a kink at 1e-9": (absolute, [0.7, 1e-9, 1.0], 1),
    "a kink at 1e-9 among three": (absolute, [0.7, 1e-9, 1.0, 0.7], 1),
    "kinks at 1e-8 and 2e-7": (least_squares, [0.1, 1e-8, -2e-7, 0.4], 1),
    "a counter in a flat state": (counter, [1e5, 0.3, 0.2, -0.4, 0.35, 0.3], 2),
    "a sine of 300": (sine(3e2), [0.7, 0.9], 1),
    "a sine of 30,000": (sine(3e4), [0.7, 0.9], 1),
    "a bump": (bump, [1.0, 1.0], 1),
    "a clipped norm": (clipped, [0.7, *CLIP], 1),
}


def known(formula: Formula, z: Tensor, outer: int) -> float:
    jacobian = torch.autograd.functional.jacobian(formula, z)
    return merged(jacobian - torch.eye(len(z)), outer)  # type: ignore[operator]


def holds(found: Reading, m: float) -> None:
    assert abs(float(found.coupling.m) - m) <= float(found.coupling.error) + 1e-12
    assert float(found.coupling.error) < 1e-3
    assert found.blind == "" or "too fine for derivatives" in found.blind  # a slope so local is told


@pytest.mark.parametrize("method", ["auto", "differences"])
@pytest.mark.parametrize("name", list(FINE))
def test_what_is_finer_than_the_spacing_is_read_right(name: str, method: Way) -> None:
    formula, numbers, outer = FINE[name]
    z = torch.tensor(numbers, dtype=torch.float64)
    found = read(formula, z, outer=slice(0, outer), method=method, partitions=2, cut_steps=1)
    assert found.method == ("tape" if method == "auto" else "differences")
    holds(found, known(formula, z, outer))


@pytest.mark.slow
@pytest.mark.parametrize("exponent", range(-12, -3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_kink_at_any_distance_is_read_or_told(exponent: int, sign: int) -> None:
    for seed in range(5):
        w = torch.rand(3, generator=torch.Generator().manual_seed(seed)).double() + 0.5
        kink = w + sign * 10.0**exponent

        def step(z: Tensor, kink: Tensor = kink) -> Tensor:
            bent = torch.relu(z[1:] - kink).sum()
            return torch.cat([0.8 * z[:1] + 0.3 * bent + 0.1 * z[1:].sin().sum(), 0.7 * z[1:] + 0.2 * z[:1]])

        z = torch.cat([torch.tensor([0.7]).double(), w])
        for method in ("auto", "differences"):
            found = read(step, z, outer=[0], method=method, partitions=2, cut_steps=1)
            off = abs(float(found.coupling.m) - known(step, z, 1))
            assert off <= float(found.coupling.error) + 1e-12


def test_a_kink_at_the_state_itself_is_within_the_error_whichever_slope_is_meant() -> None:
    for method in ("auto", "differences"):
        found = read(absolute, torch.tensor([0.7, 0.0]).double(), outer=[0], method=method, partitions=2, cut_steps=1)
        m = 0.02 / (0.02 + 0.06)  # on either side
        assert abs(float(found.coupling.m) - m) <= float(found.coupling.error)
        assert "can't tell" in found.note or found.blind


def test_a_cut_that_is_small_beside_the_rest_is_found_or_within_the_error() -> None:
    for size in (1.0, 1e-3, 1e-6):

        def step(s: dict[str, Any], size: float = size) -> dict[str, Any]:
            seen = s["b"] + size * s["b"].detach().sin()
            return {"a": 0.9 * s["a"] + 0.1 * seen, "b": 0.9 * s["b"] + 0.1 * s["a"]}

        found = read(step, {name: torch.ones(2).double() for name in "ab"}, outer="a", partitions=2, cut_steps=1)
        norm = 0.1 * (1 + size * torch.ones(2).double().cos()).norm()
        assert abs(float(found.coupling.outer_inner) - float(norm)) <= float(found.errors[0, 1]) + 1e-15
        assert (found.method == "differences") == (size >= 1e-6)


def test_a_kink_is_no_rounding() -> None:
    z = torch.tensor([0.7, 1e-9, 1.0]).double()
    assert Differences(declare(absolute, z, [0])).unit < 1e-12
