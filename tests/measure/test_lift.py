"""A step in float64, whatever precision it was written in, does what the step does, without its rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sandbox.measure.lift import lift
from sandbox.measure.reading import read
from sandbox.measure.system import declare

X, Y = (torch.randn(12, k, generator=torch.Generator().manual_seed(k)) for k in (3, 1))


def plain(s: dict[str, Any]) -> None:
    loss = (s["net"](X.to(s["net"][0].weight.dtype)) - Y.to(s["net"][0].weight.dtype)).square().mean()
    loss.backward()
    with torch.no_grad():
        for parameter in s["net"].parameters():
            parameter -= s["rate"] * parameter.grad


def closed_over(s: dict[str, Any]) -> None:
    """Data and a random draw stay in float32, whatever the weights are in."""
    drawn = torch.nn.functional.dropout(X + 0.1 * torch.randn(12, 3), 0.2)
    loss = (s["net"](drawn) - Y).square().mean() + 0.1 * torch.multinomial(torch.ones(5), 2).float().mean()
    loss.backward()
    noise = torch.empty(3).normal_().sum()
    with torch.no_grad():
        for parameter in s["net"].parameters():
            parameter.data.add_(parameter.grad.float() + 0.01 * noise, alpha=-float(s["rate"]))
    s["rate"] = s["rate"] * (1 - 0.1 * loss.item()) + torch.rand(2).float().sum().item()


def state(dtype: torch.dtype) -> dict[str, Any]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).to(dtype)
    return {"net": net, "rate": 0.1}


@pytest.mark.parametrize("step", [plain, closed_over])
def test_a_float32_step_is_lifted_and_draws_what_it_drew(step: Any) -> None:
    system = declare(step, state(torch.float32), "rate")
    found = lift(system)
    assert found.lifted
    assert all(leaf.dtype == torch.float64 for leaf in found.system.leaves)
    torch.testing.assert_close(found.system.lived(system.flat), system.lived(system.flat), rtol=2e-3, atol=2e-4)
    assert torch.get_default_dtype() == torch.float32
    (net,) = [state(torch.float32)["net"]]
    assert net(X).dtype == torch.float32  # no hook is left behind


def test_a_step_in_float64_throughout_is_left_as_it_is() -> None:
    system = declare(plain, state(torch.float64), "rate")
    found = lift(system)
    assert (found.system, found.lifted, found.why) == (system, False, "")


def test_a_step_that_asks_for_its_precision_keeps_it_and_says_so() -> None:
    def asks(s: dict[str, Any]) -> None:
        assert s["net"][0].weight.dtype == torch.float32, "float32 only"
        plain(s)
        s["rate"] = s["rate"] * (1 - s["net"][0].weight.detach().square().sum().item())

    found = read(asks, state(torch.float32), outer="rate", cut_steps=1, partitions=2)
    assert "in the step's own precision: in float64 the step fails: float32 only" in found.note
    exact = read(asks, state(torch.float32) | {}, outer="rate", cut_steps=1, partitions=2, seed=1)
    assert float(exact.coupling.error) > 1e-7  # of float32, and told

    def free(s: dict[str, Any]) -> None:
        plain(s)
        s["rate"] = s["rate"] * (1 - s["net"][0].weight.detach().square().sum().item())

    double = state(torch.float32)
    double["net"].double()
    known = read(free, double, outer="rate", cut_steps=1, partitions=2)
    assert abs(float(found.coupling.m - known.coupling.m)) <= float(found.coupling.error)


def test_what_does_something_else_in_float64_is_not_lifted() -> None:
    def looks(s: dict[str, Any]) -> dict[str, Any]:
        return {"a": s["a"] + (0.5 if s["a"].dtype == torch.float64 else 0.1) * s["b"], "b": s["b"] - 0.1 * s["a"]}

    found = lift(declare(looks, {"a": torch.ones(2), "b": torch.ones(2)}, "a"))
    assert (found.lifted, found.why) == (False, "in float64 the step does something else")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_reads_the_loop_that_is_there(dtype: torch.dtype) -> None:
    """In its own precision such a step often moves nothing: M was 0."""

    def game(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"x": s["x"] - 1e-3 * s["y"], "y": s["y"] + 1e-3 * s["x"]}

    found = read(game, {"x": torch.ones(3, dtype=dtype), "y": torch.ones(3, dtype=dtype)}, outer="x", cut_steps=1)
    assert float(found.coupling.m) == 1
    assert float(found.coupling.outer_inner) == pytest.approx(1e-3 * 3**0.5)


def test_a_numpy_step_that_rounds_inside_reads_with_the_error_that_this_makes() -> None:
    def step(s: dict[str, Any]) -> dict[str, Any]:
        w = s["w"].astype(np.float32).astype(float)
        return {"w": w - s["rate"] * np.sin(w), "rate": s["rate"] - 0.01 * np.square(w).sum()}

    found = read(step, {"w": np.array([0.3, -0.7, 1.1]), "rate": 0.2}, outer="rate", cut_steps=1, partitions=2)
    w, rate = np.array([0.3, -0.7, 1.1]), 0.2
    norms = [0, np.linalg.norm(0.02 * w), np.linalg.norm(np.sin(w)), np.linalg.norm(rate * np.cos(w))]
    c, read_norms = found.coupling, found.errors.reshape(-1)
    for norm, expected, error in zip(
        (c.outer_outer, c.outer_inner, c.inner_outer, c.inner_inner), norms, read_norms, strict=True
    ):
        assert abs(float(norm) - expected) <= error + 1e-12
    assert 1e-9 < read_norms.max() < 1e-2


def other(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Five times as fast in float64, though hardly a rounding of the state."""
    rate = 5e-3 if s["a"].dtype == torch.float64 else 1e-3
    return {"a": s["a"] + rate * s["b"], "b": s["b"] - 1e-3 * s["a"]}


def test_the_update_must_be_the_same_and_not_the_state_alone() -> None:
    ones = {"a": torch.ones(3), "b": torch.ones(3)}
    assert not lift(declare(other, ones, "a")).lifted
    half = {name: value.bfloat16() for name, value in ones.items()}
    found = read(other, half, outer="a", cut_steps=1)  # bfloat16 hides what would tell
    assert "which hides the update of a, b" in found.note


def test_a_coarse_leaf_does_not_hide_another_draw_of_a_fine_one() -> None:
    def step(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        drawn = torch.randn_like(s["w"])
        after = s["w"] - 0.01 * s["r"] * (s["w"] + 3 * drawn * s["w"].sin())
        return {"r": s["r"] - 1e-3 * (drawn * after).sum() * s["r"], "w": after, "mean": s["mean"] * 1}

    state = {
        "r": torch.tensor([0.5]).double(),
        "w": torch.linspace(-2, 2, 40).double(),
    }  # from 16 on torch draws otherwise in float32
    coarse = read(step, state | {"mean": torch.ones(2).bfloat16()}, outer="r", cut_steps=1)
    fine = read(step, state | {"mean": torch.ones(2).double()}, outer="r", cut_steps=1)
    assert float(coarse.coupling.m) == pytest.approx(float(fine.coupling.m), abs=1e-6)
