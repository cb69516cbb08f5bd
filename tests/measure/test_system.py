"""States of every form are flattened, rebuilt and partitioned, and what can't be is refused with its reason."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from sandbox.measure.error import MeasureError
from sandbox.measure.system import declare


def unchanged(state: Any) -> Any:
    return state


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_paths_join_keys_and_module_names() -> None:
    state = {"net": nn.BatchNorm1d(2), "rule": {"lr": number(0.1)}, "log": [np.zeros(3), 4.0], "count": 7}
    system = declare(unchanged, state, "rule")
    names = ["net/weight", "net/bias", "net/running_mean", "net/running_var", "rule/lr", "log/0", "log/1"]
    assert [leaf.path for leaf in system.leaves] == names  # counters are no leaves
    assert system.n == 2 * 4 + 1 + 3 + 1
    assert system.outer.nonzero()[0].tolist() == [8]
    assert system.flat[-1] == 4


def test_a_module_alone_is_named_by_its_parameters() -> None:
    system = declare(unchanged, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), outer="0")
    assert int(system.outer.sum()) == 6
    assert declare(unchanged, nn.Linear(2, 1), outer="bias").outer.tolist() == [False, False, True]


@pytest.mark.parametrize("outer", [[0, 2], slice(0, 3, 2), torch.tensor([True, False, True]), range(0, 3, 2)])
def test_a_flat_state_is_partitioned_by_mask_slice_or_indices(outer: Any) -> None:
    assert declare(unchanged, torch.arange(3.0), outer).outer.tolist() == [True, False, True]


def test_a_name_covers_whole_parts_of_a_path_only() -> None:
    state = {"lr": number(1), "lr_decay": number(2), "lr.x": number(3)}
    assert declare(unchanged, state, "lr").outer.tolist() == [True, False, True]


def test_a_step_works_in_place_or_returns_and_never_touches_the_original() -> None:
    def in_place(state: dict[str, Any]) -> None:
        with torch.no_grad():
            state["net"].weight += 1
            state["w"] *= 2
        state["rate"] = state["rate"] / 2

    state = {"net": nn.Linear(1, 1, bias=False), "w": np.array([3.0]), "rate": 0.5}
    before = state["net"].weight.item()
    system = declare(in_place, state, "rate")
    after = system.lived(system.flat)
    assert after.tolist() == pytest.approx([before + 1, 6, 0.25])
    assert (state["net"].weight.item(), state["w"][0], state["rate"]) == (before, 3, 0.5)


def test_a_step_sees_the_form_that_was_declared() -> None:
    seen: list[Any] = []

    def step(state: dict[str, Any]) -> dict[str, Any]:
        seen.append(state)
        return state

    declare(step, {"a": torch.ones(2, 1), "b": np.ones(2), "c": 1.0, "d": 3, "e": [number(1)]}, "a")
    a, b, c, d, e = (seen[0][key] for key in "abcde")
    assert (a.dtype, a.shape) == (torch.float32, (2, 1))
    assert (type(b), type(c), type(d), type(e)) == (np.ndarray, float, int, list)
    assert not a.requires_grad


def test_a_leaf_that_requires_a_gradient_is_handed_out_so() -> None:
    def step(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        (slope,) = torch.autograd.grad(state["lr"] ** 2, state["lr"], create_graph=True)
        return {"lr": state["lr"] - 0.1 * slope, "w": state["w"]}

    system = declare(step, {"lr": number(1).requires_grad_(), "w": number(2)}, "lr")
    assert system.lived(system.flat).tolist() == pytest.approx([0.8, 2])


@pytest.mark.parametrize("draw", [lambda: torch.rand(()).item(), np.random.rand, random.random])
def test_global_generators_draw_the_same_at_every_call_and_stay_as_they_were(draw: Any) -> None:
    def noisy(z: torch.Tensor) -> torch.Tensor:
        return z + draw()

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    found = [declare(noisy, torch.zeros(2), [0], seed=seed) for seed in (0, 0, 1)]
    first, again, other = (system.lived(system.flat) for system in found)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert before[2] == np.random.get_state()[1].tolist()  # type: ignore[index]


# ---- what is refused ------------------------------------------------------------------------------------------------

PAIR = {"a": number(1), "b": number(2)}


@pytest.mark.parametrize(
    ("outer", "inner", "message"),
    [
        ("c", None, "got 'c'. Leaves: a, b"),
        ((), None, "0 outer of 2"),
        (("a", "b"), None, "2 outer of 2"),
        ("a", ("a", "b"), "a on both outer and inner"),
        ("a", "c", "got 'c'"),
        ([0, 0], None, "different indices"),
        ([2], None, r"0\.\.1"),
        ([0.5], None, "truth values"),
    ],
)
def test_a_partition_must_cover_and_not_overlap(outer: Any, inner: Any, message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        declare(unchanged, PAIR, outer, inner=inner)


def test_a_leaf_on_no_side_is_refused() -> None:
    with pytest.raises(MeasureError, match="c on neither"):
        declare(unchanged, {**PAIR, "c": number(3)}, "a", inner="b")
    assert declare(unchanged, PAIR, "a", inner="b").outer.tolist() == [True, False]


def test_a_state_must_be_of_numbers() -> None:
    with pytest.raises(MeasureError, match="got str at 'name'"):
        declare(unchanged, {"name": "x", "a": number(1)}, "a")
    with pytest.raises(MeasureError, match="floating-point leaves"):
        declare(unchanged, {"a": 1}, "a")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda s: {"a": s["a"]}, "returns the leaf 'b'; got a"),
        (lambda s: {**s, "b": torch.ones(2)}, r"'b' \[\] after the step; got \[2\]"),
        (lambda s: {**s, "b": s["b"] / 0}, "after the step; got NaN or infinity in b"),
    ],
)
def test_a_step_must_return_what_it_was_given(step: Any, message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        declare(step, PAIR, "a")


def test_a_diverged_state_is_refused() -> None:
    with pytest.raises(MeasureError, match="before the step; got NaN or infinity in a"):
        declare(unchanged, {"a": number(float("nan")), "b": number(1)}, "a")


def test_hidden_memory_is_noticed() -> None:
    rng = np.random.default_rng(0)
    for size in (1.0, 1e-12):
        with pytest.raises(MeasureError, match="two calls that differ in b"):
            declare(lambda s, size=size: {**s, "b": s["b"] + size * rng.random()}, PAIR, "a")


def test_a_parameter_in_two_places_and_two_leaves_of_one_path_are_refused() -> None:
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    two.weight = one.weight
    with pytest.raises(MeasureError, match="a parameter in two places"):
        declare(unchanged, {"one": one, "two": two}, "one")
    together = declare(unchanged, nn.ModuleDict({"one": one, "two": two}), "one.bias")
    assert together.n == 4 + 2 + 2
    with pytest.raises(MeasureError, match="two leaves of one path"):
        declare(unchanged, {"a/b": 1.0, "a": [2.0], "c": {"d": 1.0}, "c/d": 3.0}, "a")


def test_what_grows_is_refused() -> None:
    with pytest.raises(MeasureError, match="new ones: memory/1"):
        declare(lambda s: {**s, "memory": [*s["memory"], s["a"]]}, {**PAIR, "memory": [number(0)]}, "a")


@pytest.mark.parametrize("value", [torch.tensor(1j), 2**60, np.array([2**55])])
def test_numbers_that_a_flat_state_cannot_hold_are_refused(value: Any) -> None:
    with pytest.raises(MeasureError, match="'c' of real numbers"):
        declare(unchanged, {**PAIR, "c": value}, "a")


class Weights(NamedTuple):
    slow: torch.Tensor
    fast: torch.Tensor


def test_containers_keep_their_kind_and_fields_are_named() -> None:
    seen: list[Any] = []

    def step(state: dict[str, Any]) -> dict[str, Any]:
        seen.append(state)
        return state

    system = declare(step, {"w": Weights(number(1), number(2)), "pair": (number(3), 4)}, "w/slow")
    assert [leaf.path for leaf in system.leaves] == ["w/slow", "w/fast", "pair/0"]
    assert isinstance(seen[0]["w"], Weights)
    assert isinstance(seen[0]["pair"], tuple)


def test_discrete_leaves_come_last_and_keep_their_kind() -> None:
    def step(s: dict[str, Any]) -> dict[str, Any]:
        assert type(s["n"]) is int
        assert type(s["on"]) is bool
        assert s["ids"].dtype == np.int32
        return {**s, "n": s["n"] + 1, "on": not s["on"], "ids": s["ids"] + 1}

    state = {"n": 3, "on": True, "a": number(1), "ids": np.array([1, 2], np.int32), "b": number(2)}
    whole = declare(step, state, ("a", "n")).with_discrete
    assert [leaf.path for leaf in whole.leaves] == ["a", "b", "n", "on", "ids"]
    assert whole.sides.tolist() == [True, False, True, False, False, False]
    assert whole.lived(whole.lived(whole.flat)).tolist() == [1, 2, 5, 1, 3, 4]


def never(state: Any) -> Any:
    raise AssertionError("nothing is computed before the state is known")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.eye(3).to_sparse(), "torch.sparse_coo"),
        (nn.LazyLinear(2), "a lazy parameter"),
        (torch.ones(2, device="meta"), "on 'meta'"),
        (torch.ones(2).to_mkldnn(), "torch._mkldnn"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), "a masked array"),
        (np.array([None]), "numbers that torch knows"),
        (np.ones(2, np.longdouble), "numbers that torch knows"),
        (np.datetime64("2020-01-01"), "numbers that torch knows"),
        (2**70, "numbers that torch knows"),
        ({1, 2}, "got set"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_leaves_that_hold_no_plain_numbers_are_refused_before_anything_is_computed(value: Any, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        declare(never, {"x": value, **PAIR}, "a")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quantised_and_nested_tensors_are_refused() -> None:
    made = {"quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}  # fmt: skip
    for told, value in made.items():
        with pytest.raises(MeasureError, match=told):
            declare(never, {"x": value, **PAIR}, "a")


def test_a_step_that_returns_what_is_sparse_or_complex_is_refused() -> None:
    state = {"x": torch.ones(2, 2).double(), **PAIR}
    with pytest.raises(MeasureError, match=r"layout torch\.sparse_coo"):
        declare(lambda s: {**s, "x": s["x"].to_sparse()}, state, "a")
    with pytest.raises(MeasureError, match="complex"):
        declare(lambda s: {**s, "x": s["x"] + 1j}, state, "a")


@pytest.mark.parametrize("array", [np.arange(3.0)[::-1], np.broadcast_to(np.ones(1), (3,)), np.ones(3, np.float16)])
def test_arrays_of_any_strides_are_read(array: Any) -> None:
    system = declare(unchanged, {"x": array, **PAIR}, "a")
    assert system.flat[:3].tolist() == array.tolist()
    assert torch.equal(system.lived(system.flat), system.flat)
