"""What derivatives can't see is found by moving a state, and M is not called exact there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sandbox.measure.differences import Differences
from sandbox.measure.doubt import blindness, error_of_m
from sandbox.measure.jumps import Unseen, unseen
from sandbox.measure.reading import Reading, read
from sandbox.measure.system import System, declare

NONE = torch.zeros(2, 2, dtype=torch.bool)


def pair(step: Any, a: float = 0.3, b: float = 0.7) -> System:
    return declare(step, {"a": torch.tensor([a, a / 2]).double(), "b": torch.tensor([b, -b]).double()}, "a")


def kinds(system: System) -> dict[tuple[int, int], str]:
    return {(one.source, one.target): one.kind for one in unseen(system, ~NONE)}


def jumps(s: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"a": s["a"] - 0.1 * (s["b"] > 0.2), "b": s["b"] - 0.1 * s["a"]}


def staircase(s: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"a": s["a"] + 0.1 * torch.floor(s["b"] * 1e5) / 1e5, "b": s["b"] - 0.1 * s["a"]}


def smooth(s: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"a": s["a"] + 0.3 * (5 * s["b"]).sin(), "b": s["b"] * s["a"].exp() + s["a"].prod() / (0.1 + s["b"] ** 2)}


def pole(s: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"a": s["a"] + 0.01 / s["b"], "b": s["b"] - 0.1 * s["a"]}


def test_a_jump_is_found_and_curves_and_poles_are_none() -> None:
    assert kinds(pair(jumps))[1, 0] == "jumps"
    assert kinds(pair(smooth)) == {}
    assert kinds(pair(pole)) == {}


def test_a_staircase_too_fine_for_its_own_derivative_is_rough() -> None:
    system = pair(staircase)
    ways = Differences(system)
    assert ways.unit > 1e-8  # the rounding is measured, not taken from the dtype
    found = read(staircase, system.state, outer="a", cut_steps=1, partitions=2)
    assert float(found.coupling.outer_inner) == pytest.approx(0.1 * 2**0.5, abs=float(found.errors[0, 1]))
    assert found.errors[0, 1] > 1e-6


def test_a_derivative_that_is_0_here_alone_is_told() -> None:
    system = pair(lambda s: {"a": s["a"] + s["b"].square() - s["b"].square(), "b": s["b"] - s["a"] ** 2}, a=0.0)
    assert kinds(system) == {(0, 1): "0 at this very state"}


def argmax(s: dict[str, Any]) -> dict[str, Any]:
    best = int(s["values"].argmax())
    values = s["values"].clone()
    values[best] -= s["rate"] * 0.3
    return {"rate": s["rate"] * (0.9 if best else 1.1), "values": values}


def sampled(s: dict[str, Any]) -> dict[str, Any]:
    best = int(torch.multinomial(s["values"].softmax(0), 1))
    values = s["values"].clone()
    values[best] -= s["rate"] * 0.3
    return {"rate": s["rate"] * (0.9 if best else 1.1), "values": values}


def chosen(s: dict[str, Any]) -> dict[str, Any]:
    chances = s["values"].softmax(0).numpy()
    best = int(np.random.choice(2, p=chances))
    values = s["values"].clone()
    values[best] -= s["rate"] * 0.3
    return {"rate": s["rate"] * (0.9 if best else 1.1), "values": values}


@pytest.mark.parametrize("step", [argmax, sampled, chosen])
def test_an_agent_that_chooses_is_not_read_as_an_exact_zero(step: Any) -> None:
    state = {"rate": torch.tensor(0.2).double(), "values": torch.tensor([0.5, 0.45]).double()}
    found = read(step, state, outer="rate")
    assert float(found.coupling.m) == 0
    assert "M is blind here" in found.blind
    assert "believe LCD" in str(found)
    assert "exact" not in str(found)


def bold_driver(s: dict[str, Tensor]) -> dict[str, Tensor]:
    """The rate grows while the weights are small."""
    small = bool((s["w"].square().sum() < 1).item())
    return {"w": s["w"] - s["rate"] * s["w"], "rate": s["rate"] * (1.1 if small else 0.5)}


def test_a_threshold_on_the_way_to_0_is_found_before_the_course_reaches_it() -> None:
    state = {"w": torch.tensor([1.0, -2.0, 0.5]).double(), "rate": torch.tensor(0.05).double()}
    found = read(bold_driver, state, outer="rate", cut_steps=2)
    assert divergence(found) == 0
    assert "the outer answers the inner by jumps" in found.blind


def test_a_rate_at_its_bound_is_told() -> None:
    def clamped(s: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"w": s["w"] - s["rate"].clamp(0, 0.05) * s["w"], "rate": s["rate"] - 0.01 * s["w"].square().sum()}

    state = {"w": torch.tensor([1.0, -2.0, 0.5]).double(), "rate": torch.tensor(0.1).double()}
    found = read(clamped, state, outer="rate", cut_steps=2)
    assert float(found.coupling.m) == 0
    assert "the inner answers the outer farther on" in found.blind


def normed(s: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kinks, a pole and a clip, none of which is a jump of this state."""
    w = s["w"] - s["rate"] * torch.relu(s["w"] - 0.1) / s["w"].abs().max()
    return {"w": w, "rate": (s["rate"] * (1 - 0.1 * w.abs().sum())).clamp(min=1e-3)}


def test_kinks_are_no_jumps() -> None:
    state = {"w": torch.tensor([1.0, -2.0, 0.5]).double(), "rate": torch.tensor(0.1).double()}
    assert read(normed, state, outer="rate", cut_steps=2).blind == ""


def whole(s: dict[str, Any]) -> dict[str, Any]:
    """The outer reads a count of the inner, and the inner the outer."""
    return {
        "rate": s["rate"] + 0.01 * s["n"],
        "w": s["w"] - s["rate"] * s["w"],
        "n": s["n"] + (1 if s["w"] > 0.5 else 0),
    }


def test_whole_numbers_that_carry_the_feedback_are_told() -> None:
    found = read(whole, {"rate": torch.tensor(0.1).double(), "w": torch.tensor(0.9).double(), "n": 2}, outer="rate")
    assert float(found.coupling.m) == 0
    assert "M is blind here" in found.blind
    with_clock = read(whole, {"rate": torch.tensor(0.1).double(), "w": torch.tensor(0.4).double(), "n": 2},
                      outer=("rate", "n"))  # fmt: skip
    assert with_clock.blind == ""  # what it counts is no answer to the inner here, and the outer's own


def at_a_bound(s: dict[str, Any]) -> dict[str, Any]:
    """The rate answers a position, which can only fall."""
    paid = [0.1, 0.1, 0.1, 0.7][min(s["n"], 3)]
    return {"rate": s["rate"] * 0.9 + paid, "w": s["w"] * 0.9 + 0.1 * s["rate"], "n": min(s["n"], 3)}


def test_whole_numbers_are_moved_both_ways() -> None:
    state = {"rate": torch.tensor(0.3).double(), "w": torch.tensor(0.5).double(), "n": 3}
    assert "the outer answers the inner by whole numbers" in read(at_a_bound, state, outer="rate", cut_steps=1).blind


def quantised(grain: float) -> Any:
    """Six weights on a grid, with a small slope beside."""

    def step(s: dict[str, Tensor]) -> dict[str, Tensor]:
        seen = (0.01 * s["w"] + torch.round(s["w"] * grain) / grain).sum()
        return {"a": 0.9 * s["a"] + 0.1 * seen, "w": s["w"] * 0.7 + 0.2 * s["a"]}

    return step


@pytest.mark.parametrize("grain", [8, 64, 128])
def test_a_staircase_of_middling_steps_is_told(grain: float) -> None:
    for seed in range(2):
        w = torch.randn(6, generator=torch.Generator().manual_seed(seed)).double()
        found = read(quantised(grain), {"a": torch.tensor([0.5]).double(), "w": w}, outer="a", cut_steps=1)
        assert "the outer answers the inner by jumps" in found.blind


def test_small_jumps_of_what_is_else_smooth_are_no_staircase() -> None:
    """A hundred units that switch on, each by a hundredth of a slope that runs on."""
    edges = torch.linspace(-3, 3, 101).double()

    def step(s: dict[str, Tensor]) -> dict[str, Tensor]:
        on = (s["b"] > edges).double().sum() / 100
        return {"a": 0.8 * s["a"] + 0.1 * (s["b"].square().sum() + 0.1 * on), "b": 0.7 * s["b"] + 0.2 * s["a"]}

    found = read(step, {"a": torch.ones(1).double(), "b": torch.full((1,), 0.31).double()}, outer="a", cut_steps=1)
    assert found.blind == ""


def test_a_kink_at_the_state_is_called_one() -> None:
    def step(s: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"a": 0.8 * s["a"] + 0.1 * torch.relu(s["b"]), "b": 0.7 * s["b"] + 0.2 * s["a"]}

    found = read(step, {"a": torch.ones(1).double(), "b": torch.zeros(1).double()}, outer="a", cut_steps=1)
    assert found.blind or "can't tell" in found.note
    assert "too fine" not in found.blind
    assert "exact" not in str(found)


def test_a_table_that_ends_beside_the_state_is_read() -> None:
    paid = [0.1, 0.2, 0.3, 0.5]

    def step(s: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"a": s["a"] * 0.9 + paid[int(s["w"] * 10)], "w": s["w"] * 0.9 + 0.1 * s["a"]}

    found = read(step, {"a": torch.tensor(0.2).double(), "w": torch.tensor(0.3999).double()}, outer="a")
    assert "by jumps" in found.blind
    assert "index out of range" in str(found.cut)  # on its way


def told(norms: list[list[float]], *found: Unseen, divergence: float = 0.0) -> str:
    return blindness(torch.tensor(norms).double(), torch.full((2, 2), 1e-6).double(), found, divergence, 1e-9)


def test_blindness_matters_where_it_would_close_the_loop() -> None:
    jump, clock = Unseen(1, 0, "jumps"), Unseen(0, 1, "whole numbers")
    assert told([[1, 0], [1, 1]]) == ""
    assert "the outer answers the inner by jumps" in told([[1, 0], [1, 1]], jump)
    assert told([[1, 0], [0, 1]], jump) == ""  # nothing goes forward
    assert "by whole numbers" in told([[1, 1], [0, 1]], clock)
    assert told([[1, 1], [1, 1]], clock) == ""  # the forward influence is there anyway
    assert told([[1, 1], [1, 1]], Unseen(1, 1, "whole numbers")) == ""
    assert "LCD 0.5" in told([[1, 0], [0, 1]], divergence=0.5)
    assert told([[1, 1], [0, 1]], divergence=0.5) == ""


def test_the_error_of_m_is_that_of_its_norms_in_the_worst_direction() -> None:
    norms = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double()
    assert error_of_m(norms, torch.zeros(2, 2).double()) == 0
    m, high = 6 / 10, 2.1 * 3.1 / (2.1 * 3.1 + 0.9 * 3.9)
    low = 1.9 * 2.9 / (1.9 * 2.9 + 1.1 * 4.1)
    assert error_of_m(norms, torch.full((2, 2), 0.1).double()) == pytest.approx(max(high - m, m - low))
    frozen = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double()
    assert error_of_m(frozen, torch.tensor([[0.0, 1e-12], [0.0, 0.0]]).double()) == 1  # nothing is known then


def divergence(found: Reading) -> float:
    assert not isinstance(found.cut, str)
    return float(found.cut.divergence[-1])


def test_each_step_of_a_course_draws_afresh_and_both_courses_alike() -> None:
    drawn: list[float] = []

    def noisy(s: dict[str, Tensor]) -> dict[str, Tensor]:
        drawn.append(float(torch.rand(())))
        return {"a": s["a"] + drawn[-1], "b": s["b"] * 0.5}

    state = {"a": torch.tensor(0.0).double(), "b": torch.tensor(1.0).double()}
    found = read(noisy, state, outer="a", cut_steps=6)
    assert divergence(found) == 0  # the same noise in both
    assert len(set(drawn)) >= 6
    assert drawn.count(drawn[0]) >= 4  # derivatives keep one draw
    assert "the step draws random numbers: of the draw of seed 0" in found.note
