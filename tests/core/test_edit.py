"""Edits: refused whole when malformed, seed by seed when not finite, and never by touching the old state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.edit import Edit, apply, covers, expand
from sandbox.core.error import EditError
from sandbox.core.state import SLOTS, State, digest, leaves, subtree

ALLOW = ("rule", "params/layer/b")
SEEDS = [0, 1, 2, 3]


def at(state: State, path: str) -> torch.Tensor:
    return leaves(state, path)[path]


@pytest.mark.parametrize(
    ("path", "covered"),
    [("rule/lr", True), ("rule/lr/deep", True), ("rule/lr2", False), ("rule", False), ("rul", False), ("init", True)],
)
def test_an_allowed_path_covers_what_lies_below_it_and_no_namesake(path: str, covered: bool) -> None:
    assert covers(["rule/lr", "init"], path) is covered


def test_nothing_is_covered_by_an_empty_list() -> None:
    assert not covers([], "rule")


def test_expand_names_each_leaf_once(state: State) -> None:
    assert expand(state, ["rule/net", "rule", "meta"]) == ("rule/net/w", "rule/lr", "rule/lr2", "meta/1/count")


# ---- what is taken --------------------------------------------------------------------------------------------------


def test_an_edit_replaces_its_leaves_and_shares_the_rest(state: State) -> None:
    lr, bias = torch.full((4,), 9.0).double(), torch.full((8,), 5.0).double()
    after, taken = apply(state, Edit({"rule/lr": lr, "params/layer/b": bias}), allow=ALLOW)
    assert taken.tolist() == [True] * 4
    assert torch.equal(at(after, "rule/lr"), lr)
    assert torch.equal(at(after, "params/layer/b"), bias)
    assert at(after, "rule/lr2") is at(state, "rule/lr2")
    assert after.init is state.init


def test_an_empty_edit_changes_nothing(state: State) -> None:
    after, taken = apply(state, Edit(), allow=())
    assert bool(taken.all())
    assert all(getattr(after, slot) is getattr(state, slot) for slot in SLOTS)


@given(st.sets(st.sampled_from(SEEDS)), st.sampled_from([torch.nan, torch.inf, -torch.inf]))
def test_a_seed_that_is_not_finite_keeps_what_it_has_and_the_others_go_on(
    state: State, bad: set[int], value: float
) -> None:
    lr, bias = torch.full((4,), 9.0).double(), torch.full((8,), 5.0).double()
    for seed in bad:
        bias[2 * seed + 1] = value  # one lane of the seed, in one of the two leaves
    after, taken = apply(state, Edit({"rule/lr": lr, "params/layer/b": bias}), allow=ALLOW)
    assert taken.tolist() == [seed not in bad for seed in SEEDS]
    for seed in SEEDS:
        lanes = slice(2 * seed, 2 * seed + 2)
        old = seed in bad
        assert at(after, "rule/lr")[seed] == (at(state, "rule/lr")[seed] if old else 9)
        assert torch.equal(
            at(after, "params/layer/b")[lanes], at(state, "params/layer/b")[lanes] if old else bias[lanes]
        )


def test_frozen_seeds_keep_what_they_have(state: State) -> None:
    frozen = torch.tensor([False, True, False, True])
    after, taken = apply(state, Edit({"rule/lr": torch.full((4,), 9.0).double()}), allow=ALLOW, frozen=frozen)
    assert torch.equal(taken, ~frozen)
    assert torch.equal(at(after, "rule/lr")[frozen], at(state, "rule/lr")[frozen])
    assert at(after, "rule/lr")[~frozen].tolist() == [9, 9]


def test_an_old_state_outlives_its_edit_so_rolling_back_is_a_reference(state: State) -> None:
    kept, before = at(state, "rule/lr"), digest(state)
    after, _ = apply(state, Edit({"rule/lr": kept + 1e-9}), allow=ALLOW)
    assert digest(after) != before
    assert at(state, "rule/lr") is kept
    assert digest(state) == before


# ---- what is refused ------------------------------------------------------------------------------------------------

GOOD = torch.ones(4, dtype=torch.float64)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        pytest.param("rule/lrr", GOOD, "Did you mean 'lr'?", id="unknown path"),
        pytest.param("rules/lr", GOOD, "Did you mean 'rule'?", id="unknown slot"),
        pytest.param("seed", GOOD, "a path that starts with a slot", id="not a slot"),
        pytest.param("gate/1/asked", GOOD, "an edit within ['rule', 'params/layer/b']", id="not allowed"),
        pytest.param("params/layer/w", GOOD, "an edit within", id="beside what is allowed"),
        pytest.param("rule/net", GOOD, "the path of a leaf", id="a tree"),
        pytest.param("rule/lr", GOOD[:, None], "got torch.float64 of shape [1]", id="shape"),
        pytest.param("rule/lr", GOOD.float(), "got torch.float32 of shape []", id="dtype"),
        pytest.param("rule/lr", GOOD.long(), "got torch.int64 of shape []", id="integers"),
        pytest.param("rule/lr", 0.5, "a tensor at 'rule/lr'; got float", id="not a tensor"),
    ],
)
def test_a_malformed_edit_is_refused_whole(state: State, path: str, value: Any, told: str) -> None:
    before = digest(state)
    with pytest.raises(EditError, match=r"^expected .*; got .*\. .+") as caught:
        apply(state, Edit({"rule/lr2": GOOD, path: value}), allow=ALLOW)
    assert told in str(caught.value)
    assert digest(state) == before


def test_a_leaf_of_integers_may_be_edited(state: State) -> None:
    count = torch.tensor([1, 2, 3, 4])
    after, taken = apply(state, Edit({"meta/1/count": count}), allow=["meta"])
    assert bool(taken.all())
    assert torch.equal(at(after, "meta/1/count"), count)
    assert subtree(after, "rule") is state.rule
