"""The state: addressed by paths, never written in place, fingerprinted seed by seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sandbox.core.error import EditError
from sandbox.core.state import (
    SLOTS,
    State,
    choose_seeds,
    detach,
    digest,
    finite_seeds,
    leaves,
    map_state,
    put,
    subtree,
)

PATHS = ("init/w", "params/layer/w", "params/layer/b", "slots/momentum", "rule/lr", "rule/net/w", "meta/1/count")


def everything(state: State) -> dict[str, Tensor]:
    return {path: leaf for slot in SLOTS for path, leaf in leaves(state, slot).items()}


def at(state: State, path: str) -> Tensor:
    return leaves(state, path)[path]


def only(state: State, seed: int) -> State:
    """The state of one seed alone."""
    part = map_state(lambda leaf: leaf.reshape(state.seeds, -1, *leaf.shape[1:])[seed], state)
    return replace(part, seed=state.seed[seed : seed + 1])


# ---- the record -----------------------------------------------------------------------------------------------------


def test_a_state_can_not_be_written_to(state: State) -> None:
    with pytest.raises(FrozenInstanceError):
        state.t = 0  # pyright: ignore[reportAttributeAccessIssue]


def test_a_state_takes_no_fields_by_inheritance(state: State) -> None:
    @dataclass(frozen=True)
    class Bigger(State):
        hidden: int = 0

    with pytest.raises(TypeError, match="State is final"):
        Bigger(**vars(state))


# ---- paths ----------------------------------------------------------------------------------------------------------


def test_leaves_come_under_their_full_path(state: State) -> None:
    assert set(leaves(state, "params")) == {"params/layer/w", "params/layer/b"}
    assert set(leaves(state, "params/layer/b")) == {"params/layer/b"}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("rules/lr", "Did you mean 'rule'?"),
        ("rule/lrr", "Did you mean 'lr'?"),
        ("params/layre/w", "Did you mean 'layer'?"),
        ("rule/zzz", "Known: lr, lr2, net."),
        ("rule/lr/deeper", "Known: none."),
        ("seed", "slot of the state"),
        ("", "slot of the state"),
    ],
)
def test_an_unknown_path_is_told_with_its_near_miss(state: State, path: str, hint: str) -> None:
    with pytest.raises(EditError, match=r"^expected .*; got ") as caught:
        subtree(state, path)
    assert hint in str(caught.value)
    assert f"'{path}'" in str(caught.value)


# ---- put ------------------------------------------------------------------------------------------------------------


@given(st.sets(st.sampled_from(PATHS)))
def test_put_copies_the_spine_and_never_a_leaf(state: State, paths: set[str]) -> None:
    before = everything(state)
    new = {path: before[path] + 1 for path in paths}
    after = everything(put(state, new))
    assert all(after[path] is new.get(path, leaf) for path, leaf in before.items())
    assert all(leaf is before[path] for path, leaf in everything(state).items())


def test_put_shares_every_tree_beside_the_spine(state: State) -> None:
    after = put(state, {"rule/lr": torch.zeros(4)})
    assert after.params is state.params
    assert subtree(after, "rule/net") is subtree(state, "rule/net")


def test_put_replaces_whole_trees_and_slots(state: State) -> None:
    tree = {"other": torch.ones(4)}
    assert subtree(put(state, {"rule/net": tree}), "rule/net") is tree
    assert put(state, {"rule": tree}).rule is tree


def test_put_makes_no_new_paths(state: State) -> None:
    with pytest.raises(EditError, match="momentum"):
        put(state, {"slots/momentun": torch.ones(8)})


def test_detach_leaves_the_tape(state: State) -> None:
    taped = put(state, {"rule/lr": torch.ones(4, requires_grad=True) * 2})
    assert at(taped, "rule/lr").requires_grad
    assert not any(leaf.requires_grad for leaf in everything(detach(taped)).values())


# ---- seed by seed ---------------------------------------------------------------------------------------------------


@given(st.sampled_from(PATHS[:-1]), st.sets(st.integers(0, 3)))
def test_finite_seeds_finds_a_bad_number_in_any_slot(state: State, path: str, bad: set[int]) -> None:
    leaf = at(state, path).clone()
    for seed in bad:
        leaf[(seed + 1) * leaf.shape[0] // 4 - 1] = torch.nan  # the last lane of the seed
    assert finite_seeds(put(state, {path: leaf})).tolist() == [seed not in bad for seed in range(4)]


@given(st.lists(st.booleans(), min_size=4, max_size=4))
def test_choose_seeds_takes_each_seed_whole(state: State, bits: list[bool]) -> None:
    other = replace(map_state(lambda leaf: leaf + 1, state), t=state.t + 5)
    chosen = choose_seeds(torch.tensor(bits), other, state)
    expected = [digest(other if bit else replace(state, t=other.t))[seed] for seed, bit in enumerate(bits)]
    assert digest(chosen) == expected
    assert chosen.t == other.t


def test_choose_seeds_takes_by_reference_where_all_agree(state: State) -> None:
    other = map_state(torch.clone, state)
    assert choose_seeds(torch.ones(4, dtype=torch.bool), other, state) is other
    assert choose_seeds(torch.zeros(4, dtype=torch.bool), other, state).params is state.params


# ---- digest ---------------------------------------------------------------------------------------------------------


@given(st.sampled_from(PATHS), st.integers(0, 3))
def test_a_change_in_one_seed_shows_in_its_digest_alone(state: State, path: str, seed: int) -> None:
    changed = everything(state)[path].clone()
    changed[(seed + 1) * changed.shape[0] // 4 - 1] += 1  # the last lane of the seed
    differs = [a != b for a, b in zip(digest(state), digest(put(state, {path: changed})), strict=True)]
    assert differs == [other == seed for other in range(4)]


@pytest.mark.parametrize("seed", range(4))
def test_a_digest_does_not_know_its_batch(state: State, seed: int) -> None:
    assert digest(only(state, seed)) == [digest(state)[seed]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: put(s, {"meta/1/count": torch.zeros(4, dtype=torch.float64)}), id="dtype"),
        pytest.param(lambda s: put(s, {"rule/net/w": at(s, "rule/net/w").reshape(4, 2, 3)}), id="shape"),
        pytest.param(lambda s: put(s, {"rule/net": {"v": at(s, "rule/net/w")}}), id="path"),
        pytest.param(lambda s: replace(s, slots=s.gate, gate=s.slots), id="slot"),
        pytest.param(lambda s: replace(s, t=s.t + 1), id="t"),
        pytest.param(lambda s: replace(s, seed=s.seed + 1), id="seed"),
    ],
)
def test_a_digest_tells_states_of_equal_bytes_apart(state: State, change: Callable[[State], State]) -> None:
    assert not set(digest(state)) & set(digest(change(state)))


def test_a_digest_reads_values_not_storage(state: State) -> None:
    strided = at(state, "rule/net/w").t().contiguous().t().requires_grad_()
    assert digest(put(state, {"rule/net/w": strided})) == digest(state)
