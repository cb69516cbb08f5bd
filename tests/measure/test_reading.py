"""One call on systems that the instruments were not written for, and on ones whose readings are known."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch

from sandbox.measure.cut import LoopCut
from sandbox.measure.error import MeasureError
from sandbox.measure.reading import Reading, read
from tests.measure.foreign import bandit, higher_loop, network, plain_loop
from tests.measure.systems import dense, meta_learning, online_hypergradient, plain_training, srwm, swap

ARMS = {"logits": np.zeros(2), "baseline": 0.0, "rate": 0.3}


def learner(*, requires_grad: bool = False) -> dict[str, Any]:
    return {"network": network(), "lr": torch.tensor(0.02, dtype=torch.float64, requires_grad=requires_grad)}


def divergence(found: Reading) -> list[float]:
    assert isinstance(found.cut, LoopCut)
    return found.cut.divergence.tolist()


# ---- three foreign systems ------------------------------------------------------------------------------------------


def test_a_plain_training_loop_is_a_hierarchy() -> None:
    found = read(plain_loop, learner(), outer="lr")
    assert (found.method, found.note) == ("differences", "the step leaves no tape")
    assert float(found.coupling.m) == 0
    assert bool(found.coupling.degenerate)  # the rate never moves at all
    assert float(found.coupling.inner_outer) > 0
    assert found.merge_index is not None
    assert found.merge_index.value == 0
    assert divergence(found) == [0] * 20
    assert found.components.components == (("network",), ("lr",))


@pytest.mark.parametrize("beta", [1e-4, 1e-3])
def test_a_loop_with_higher_that_moves_its_rate_is_coupled(beta: float) -> None:
    found = read(higher_loop(beta), learner(requires_grad=True), outer="lr")
    assert (found.method, found.note) == ("tape", "")
    assert 0 < float(found.coupling.m) < 1
    assert found.components.share == 1
    slow = read(higher_loop(beta / 10), learner(requires_grad=True), outer="lr")
    assert float(slow.coupling.m) == pytest.approx(float(found.coupling.m), rel=1e-6)  # M sees structure,
    assert slow.merge_index is not None
    assert found.merge_index is not None
    assert slow.merge_index.value < found.merge_index.value  # MI the timescale


def test_a_bandit_in_numpy_is_read_by_differences() -> None:
    found = read(bandit, ARMS, outer=("rate", "baseline"), bounds={"rate": (0, 0.3)})
    assert found.method == "differences"
    assert 0 < float(found.coupling.m) < 1
    assert float(found.coupling.near_bound) == 1  # the rate stands at its bound
    assert divergence(found)[0] == 0
    assert divergence(found)[-1] > 0
    free = read(bandit, ARMS | {"rate": 0.15}, outer=("rate", "baseline"), bounds={"rate": (0, 0.3)})
    assert float(free.coupling.near_bound) == 0


# ---- known systems --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [plain_training(), meta_learning(), srwm()])
def test_hierarchies_read_zero(system: Any) -> None:
    found = read(system.step, system.state, outer=system.indices)
    assert float(found.coupling.m) == pytest.approx(0, abs=1e-12)
    assert found.merge_index is not None
    assert found.merge_index.value == pytest.approx(0, abs=1e-12)


def test_a_swap_reads_one_and_a_dense_system_like_its_null() -> None:
    assert float(read(swap().step, swap().state, outer=swap().indices).coupling.m) == 1
    system = dense(outer=20, inner=20)
    found = read(system.step, system.state, outer=system.indices).coupling
    assert abs(float(found.m - found.null)) < 3 * float(found.null_spread)
    assert float(found.null) == pytest.approx(0.5, abs=0.05)


def walker(state: dict[str, Any]) -> dict[str, Any]:
    """The rate follows where a position on a ring of three takes it; the clock only counts."""
    value = [0.0, 1.0, -3.0][state["position"]]
    return {"rate": state["rate"] + 0.1 * value, "w": state["w"] * 0.9, "position": (state["position"] + 1) % 3,
            "clock": state["clock"] + 1}  # fmt: skip


def test_discrete_leaves_advance_while_the_loop_is_cut() -> None:
    state = {"rate": torch.tensor(0.0).double(), "w": torch.ones(2).double(), "position": 0, "clock": np.int64(5)}
    found = divergence(read(walker, state, outer=("rate", "clock"), cut_steps=6))
    intact = np.cumsum([0.0, 0.1, -0.3, 0.0, 0.1, -0.3])  # cut, the position stays 0 and the rate where it is
    assert found == pytest.approx([float(abs(value) > 1e-12) for value in intact])
    follower = read(walker, state, outer=("rate", "position"), cut_steps=6)
    assert divergence(follower) == [0] * 6  # the position belongs to the outer: nothing inner is read


def test_a_clock_that_the_outer_reads_runs_on_where_it_is_outer() -> None:
    def step(state: dict[str, Any]) -> dict[str, Any]:
        return {"a": state["a"] + 0.1 * state["t"], "b": state["b"] * 0.5, "t": state["t"] + 1}

    state = {"a": torch.tensor(0.0).double(), "b": torch.tensor(1.0).double(), "t": 0}
    assert divergence(read(step, state, outer=("a", "t"), cut_steps=4)) == [0] * 4
    assert divergence(read(step, state, outer="a", cut_steps=4)) == pytest.approx([0, 1, 1, 1])


def test_a_step_that_changes_nothing_is_told() -> None:
    found = read(lambda state: None, learner(), outer="lr")
    assert "the step changes nothing" in found.note
    assert "the outer did not move at all" in str(found)


def test_a_course_that_diverges_later_does_not_lose_what_is_known_of_this_step() -> None:
    found = read(lambda z: z**9, torch.tensor([0.5, 3.0], dtype=torch.float64), outer=[0])
    assert isinstance(found.cut, str)
    assert "after step" in found.cut
    assert "after step" in str(found)
    assert float(found.coupling.m) == 0


def test_modules_may_be_named_and_must_cover_the_state() -> None:
    state = {"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(1)}

    def step(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"a": s["a"] * 0.9, "b": s["b"] + s["a"].sum() + s["c"], "c": s["c"] - 0.1 * s["b"].sum()}

    found = read(step, state, outer="a", modules={"rule": ("a",), "rest": ("b", "c")})
    assert found.components.components == (("rest",), ("rule",))
    assert read(step, state, outer="a").components.components == (("b", "c"), ("a",))
    with pytest.raises(MeasureError, match="every coordinate in one module"):
        read(step, state, outer="a", modules={"rule": "a", "rest": "b"})
    with pytest.raises(MeasureError, match="every coordinate in one module"):
        read(step, state, outer="a", modules={"rule": ("a", "b"), "rest": ("b", "c")})


# ---- ways to the same numbers ---------------------------------------------------------------------------------------


def norms(found: Reading) -> list[float]:
    c = found.coupling
    return [float(norm) for norm in (c.outer_outer, c.outer_inner, c.inner_outer, c.inner_inner)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", ["tape", "differences"])
def test_a_large_system_is_read_by_probes_within_three_standard_errors(seed: int, method: Any) -> None:
    system = online_hypergradient(seed)
    exact = read(system.step, system.state, outer=system.indices)
    probed = read(system.step, system.state, outer=system.indices, largest=5, method=method, seed=seed)
    assert probed.merge_index is probed.integrability is probed.feedback is probed.jacobian is None
    assert abs(float(probed.coupling.m - exact.coupling.m)) < 3 * float(probed.coupling.error)
    assert norms(probed) == pytest.approx(norms(exact), rel=0.5)
    assert float(probed.coupling.null) == pytest.approx(float(exact.coupling.null), abs=0.25)
    assert probed.components.components == exact.components.components
    edges = probed.components.edges
    assert [edges[edge] for edge in exact.components.edges] == pytest.approx(
        list(exact.components.edges.values()), rel=0.5
    )
    assert divergence(probed) == divergence(exact)


@pytest.mark.parametrize("seed", range(3))
def test_differences_read_what_the_tape_reads(seed: int) -> None:
    system = online_hypergradient(seed)
    by_tape = read(system.step, system.state, outer=system.indices, method="tape")
    by_steps = read(system.step, system.state, outer=system.indices, method="differences")
    assert float(by_steps.coupling.m) == pytest.approx(float(by_tape.coupling.m), rel=1e-6)
    assert norms(by_steps) == pytest.approx(norms(by_tape), rel=1e-6)
    assert by_tape.merge_index is not None
    assert by_steps.merge_index is not None
    assert by_steps.merge_index.value == pytest.approx(by_tape.merge_index.value, rel=1e-5)


def test_a_tape_that_misses_an_influence_is_not_believed() -> None:
    def dropped(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"a": s["a"] - 0.1 * s["b"].detach(), "b": s["b"] - 0.1 * s["a"]}

    state = {name: torch.ones(2, dtype=torch.float64) for name in "ab"}
    found = read(dropped, state, outer="a")
    assert found.method == "differences"
    assert "the tape misses how outer depends on b" in found.note
    assert float(found.coupling.m) == pytest.approx(1)
    with pytest.raises(MeasureError, match="how outer depends on b"):
        read(dropped, state, outer="a", method="tape")


def test_a_reading_shows_m_with_all_that_it_must_be_read_against() -> None:
    text = str(read(higher_loop(0.001), learner(requires_grad=True), outer="lr", bounds={"lr": (0, 1)}))
    for word in ("M ", "random partitions", "|K_oi|", "near a bound: 0.00", "MI", "LSCC", "LCD_20", "IOG", "direction"):
        assert word in text
    assert "degenerate" in str(read(plain_loop, learner(), outer="lr"))
    assert "standard error" in str(read(dense().step, dense().state, outer=dense().indices, largest=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "jvp"}, "'auto', 'tape' or 'differences'"),
        ({"bounds": {"state": (0, 0.1)}}, r"some values in \[0, 0.1\]"),
        ({"cut_steps": 0}, "cut_steps: a whole number of at least 1"),
        ({"largest": 2, "probes": 1}, "probes: a whole number of at least 2"),
        ({"modules": {"x": "y"}}, "got 'y'"),
        ({"modules": {"x": 5}}, "paths of leaves"),
        ({"modules": ["x"]}, "modules {name: paths}"),
        ({"bounds": {"state": 5}}, "bounds {path: .low, high.}"),
        ({"bounds": {"state": ("a", "b")}}, "bounds {path: .low, high.}"),
        ({"cut_steps": 1.5}, "cut_steps: a whole number"),
        ({"seed": -1}, "seed: a whole number"),
        ({"largest": -1}, "largest: a whole number"),
        ({"spacing": "wide"}, "a spacing > 0"),
    ],
)
def test_malformed_options_are_refused(options: dict[str, Any], message: str) -> None:
    system = swap()
    with pytest.raises(MeasureError, match=message):
        read(system.step, system.state, outer=system.indices, **options)


def test_a_spacing_asks_for_differences() -> None:
    def jumps(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"a": s["a"] - 0.1 * (10 * s["b"]).round() / 10, "b": s["b"] - 0.1 * s["a"]}

    state = {"a": torch.tensor(1.0).double(), "b": torch.tensor(2.03).double()}
    found = read(jumps, state, outer="a", spacing=0.5)
    assert found.method == "differences"
    assert float(found.coupling.outer_inner) == pytest.approx(0.1, rel=0.05)
    with pytest.raises(MeasureError, match="a spacing with differences"):
        read(jumps, state, outer="a", spacing=0.5, method="tape")
    with pytest.raises(MeasureError, match="partitions: a whole number of at least 2"):
        read(jumps, state, outer="a", partitions=1)


def test_a_step_that_fails_later_on_does_not_lose_what_is_known_of_this_one() -> None:
    def step(s: dict[str, Any]) -> dict[str, Any]:
        return {"a": s["a"] - 0.1 / s["left"], "b": s["b"] * 0.5, "left": s["left"] - 1}

    found = read(step, {"a": 1.0, "b": 1.0, "left": 3}, outer=("a", "left"))
    assert found.cut == "float division by zero"
    assert "division" in str(found)


def test_a_memory_that_shows_after_some_calls_is_refused() -> None:
    calls: list[int] = []

    def step(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        calls.append(1)
        return {"a": 0.8 * s["a"] + (0.1 if len(calls) < 10 else 0.2) * s["b"], "b": 0.7 * s["b"] + 0.2 * s["a"]}

    with pytest.raises(MeasureError, match="another state after the same one"):
        read(step, {name: torch.ones(1).double() for name in "ab"}, outer="a")


def test_an_influence_of_less_than_a_bit_is_no_certain_zero() -> None:
    def step(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"a": s["a"] + 1e-19 * s["b"] + 1e-15 * (s["a"] - 1), "b": 0.9 * s["b"] + 1e3 * (s["a"] - 1)}

    found = read(step, {name: torch.ones(1).double() for name in "ab"}, outer="a", cut_steps=1)
    assert float(found.errors[0, 1]) > 1e-19
    assert "can't tell" in found.note


def test_whole_numbers_alone_are_no_outer() -> None:
    with pytest.raises(MeasureError, match="whole numbers or truth values alone"):
        read(lambda s: s, {"bits": 3, "w": torch.ones(2)}, outer="bits")


def test_a_step_is_a_function() -> None:
    with pytest.raises(MeasureError, match="a step: a function of the state; got 3"):
        read(3, torch.zeros(2), outer=[0])  # type: ignore[arg-type]


# ---- precision, errors and cost -------------------------------------------------------------------------------------


def cut_in_float32(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """61 weights whose rate is a Python number: the tape has none of what it does."""
    after = s["w"] - s["lr"].item() * s["w"].sin()
    return {"lr": s["lr"] - 1e-3 * s["lr"].item() * after.square().sum().item(), "w": after}


def test_a_cut_tape_in_float32_is_not_passed_because_it_is_coarse() -> None:
    weights = torch.linspace(-2, 2, 61)
    found = read(cut_in_float32, {"w": weights, "lr": torch.tensor(1e-3)}, outer="lr", partitions=2)
    assert found.method == "differences"
    w, lr = weights.double(), float(torch.tensor(1e-3))
    after, slope = w - lr * w.sin(), 1 - lr * w.cos()
    oo = abs(-1e-3 * (after.square().sum() - 2 * lr * (after * w.sin()).sum()))
    oi, io, ii = (1e-3 * lr * 2 * after * slope).norm(), w.sin().norm(), (lr * w.cos()).norm()
    assert norms(found) == pytest.approx([float(norm) for norm in (oo, oi, io, ii)], rel=1e-6)
    assert abs(float(found.coupling.m - oi * io / (oi * io + oo * ii))) <= float(found.coupling.error)
    assert found.calls < 1000


def wide(s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leaves of like size, all of which read a sum of each other; the rate descends the square of it."""
    total = sum((value.sin() / value.numel()).sum() for value in s.values())
    return {name: value - (0.01 * total**2 if name == "lr" else s["lr"] * (value.sin() + total))
            for name, value in s.items()}  # fmt: skip


@pytest.mark.parametrize("leaves", [5, pytest.param(61, marks=pytest.mark.slow)])
def test_probes_by_differences_cost_what_the_page_says(leaves: int) -> None:
    generator = torch.Generator().manual_seed(0)
    state = {f"w{i}": torch.randn(6, generator=generator).double() for i in range(leaves - 1)}
    state |= {"lr": torch.tensor(0.05).double()}
    exact = read(wide, state, outer="lr", partitions=2, cut_steps=1)
    found = read(wide, state, outer="lr", largest=0, method="differences", cut_steps=1)
    assert found.calls < (520 if leaves == 5 else 1000)
    assert abs(float(found.coupling.m - exact.coupling.m)) < 3 * float(found.coupling.error)
    assert found.errors.max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("method", "seconds"), [("tape", 60), ("differences", 60)])
def test_a_hundred_thousand_weights_are_read(method: Any, seconds: float) -> None:
    state = {"w": torch.linspace(-1, 1, 100_000).double(), "lr": torch.tensor(0.05).double()}
    begun = perf_counter()
    found = read(wide, state, outer="lr", method=method)
    assert perf_counter() - begun < seconds
    assert found.calls < 600
    assert 0 < float(found.coupling.m) < 1


def test_an_optimizer_is_read_with_all_that_it_holds() -> None:
    """`state_dict()` with its numbers, tensors, lists, truth values and None, as torch gives it."""
    net = torch.nn.Linear(2, 1).double()
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def step(s: dict[str, Any]) -> dict[str, Any]:
        optimizer = torch.optim.Adam(s["net"].parameters(), amsgrad=True)
        optimizer.load_state_dict(s["optimizer"])
        optimizer.zero_grad()
        (s["net"](x) - 1).square().mean().backward()
        optimizer.step()
        return {"net": s["net"], "optimizer": optimizer.state_dict()}

    optimizer = torch.optim.Adam(net.parameters(), amsgrad=True)
    with pytest.raises(MeasureError, match="has it after one step"):
        read(step, {"net": net, "optimizer": optimizer.state_dict()}, outer="optimizer")
    (net(x) - 1).square().mean().backward()
    optimizer.step()
    found = read(step, {"net": net, "optimizer": optimizer.state_dict()}, outer="optimizer", partitions=2)
    assert 0 < float(found.coupling.m) < 1
    assert float(found.coupling.error) < 1e-3
    assert found.components.components == (("net", "optimizer"),)
