"""Reward distances: the 3 x 3 gridworlds of Gleave et al. (2021), and every invariance that each one claims."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.measure.distance import (
    dard,
    dard_canonical,
    epic,
    epic_canonical,
    minimal_l2,
    minimal_l2_canonical,
    starc,
    starc_canonical,
    trivial,
)
from sandbox.measure.error import MeasureError
from sandbox.measure.mdp import MDP
from scripts.regret_correlation import AMOUNTS, WORLDS, correlation, pairs
from tests.measure.worlds import redistribution, rewards, world

CANONICAL = {starc: starc_canonical, minimal_l2: minimal_l2_canonical, epic: epic_canonical, dard: dard_canonical}
every = pytest.mark.parametrize("distance", CANONICAL, ids=lambda distance: distance.__name__)
by_property = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10_000)


def gridworld() -> MDP:
    moves = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]  # the first one stays; into a wall stays too
    transitions = np.zeros((9, 5, 9))
    for state in range(9):
        for action, (down, right) in enumerate(moves):
            row, column = (min(max(at + by, 0), 2) for at, by in zip(divmod(state, 3), (down, right), strict=True))
            transitions[state, action, 3 * row + column] = 1
    return MDP(transitions, 0.99)


GRID = gridworld()
GOAL = np.eye(9)[8]
TO_GOAL = np.array([4, 3, 2, 3, 2, 1, 2, 1, 0])
GRIDWORLD = {
    "sparse": GOAL,
    "center": np.eye(9)[4],
    "penalty": -GOAL,
    "dirt": np.array([0, -1, -1, 0, 0, 0, -1, -1, 4]),
    "cliff": np.array([0, -1, -1, 0, 0, 0, -4, -4, 4]),
}
PAIRS = list(combinations(GRIDWORLD, 2))


def test_epic_between_gridworld_rewards() -> None:
    found = [epic(GRID, GRIDWORLD[a], GRIDWORLD[b]) for a, b in PAIRS]
    told = [0.75, 1.0, 0.1602, 0.3676, 0.6614, 0.7071, 0.6692, 0.9871, 0.93, 0.2672]
    assert found == pytest.approx(told, abs=1e-4)
    assert found[0] == pytest.approx(np.sqrt((1 + 1 / 8) / 2), abs=1e-12)  # two of nine states: ρ = -1/8


def test_starc_between_gridworld_rewards() -> None:
    found = [starc(GRID, GRIDWORLD[a], GRIDWORLD[b]) for a, b in PAIRS]
    told = [0.7695, 1.0, 0.1292, 0.4203, 0.6387, 0.7419, 0.7094, 0.9916, 0.9074, 0.3529]
    assert found == pytest.approx(told, abs=1e-4)


@every
def test_dense_and_transformed_goals_are_the_sparse_one(distance: Callable[..., float]) -> None:
    assert distance(GRID, GOAL, GRID.shaped(GOAL, -TO_GOAL)) < 1e-10
    assert distance(GRID, GOAL, GRID.shaped(10 * GOAL - 1, -10 * TO_GOAL)) < 1e-10


@every
@given(seed=seeds, scale=st.floats(-150, 150), shift=st.floats(-10, 10))
@by_property
def test_scale_shaping_and_constants_change_nothing(
    distance: Callable[..., float], seed: int, scale: float, shift: float
) -> None:
    mdp = world(seed)
    a, b = rewards(seed, 2, mdp)
    same = mdp.shaped(b + shift, np.random.default_rng(seed).normal(0, 3, mdp.states)) * 10.0**scale
    assert distance(mdp, b, same) < 1e-10
    assert distance(mdp, a, same) == pytest.approx(distance(mdp, a, b), abs=1e-10)


@given(seed=seeds)
@by_property
def test_moving_reward_between_next_states_changes_starc_and_minimal_l2_by_nothing(seed: int) -> None:
    mdp = world(seed)
    a = rewards(seed, 1, mdp)[0]
    moved = a + redistribution(seed + 1, mdp)
    assert starc(mdp, a, moved) < 1e-10
    assert minimal_l2(mdp, a, moved) < 1e-10
    assert starc(mdp, a, mdp.mean_reward(a)) < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_epic_and_dard_see_reward_moved_between_next_states(seed: int) -> None:
    mdp = world(seed)
    a = rewards(seed, 1, mdp)[0]
    moved = a + redistribution(seed + 1, mdp)
    assert epic(mdp, a, moved) > 0.1
    assert dard(mdp, a, moved) > 0.1


@every
@given(seed=seeds)
@by_property
def test_it_is_a_pseudometric_with_the_opposite_at_one_and_nothing_at_a_half(
    distance: Callable[..., float], seed: int
) -> None:
    mdp = world(seed)
    a, b, c = rewards(seed, 3, mdp)
    assert distance(mdp, a, a) == 0
    assert distance(mdp, a, b) == distance(mdp, b, a)
    assert distance(mdp, a, c) <= distance(mdp, a, b) + distance(mdp, b, c) + 1e-12
    assert 1 - 1e-12 < distance(mdp, a, -2 * a) <= 1
    assert distance(mdp, a, np.zeros(mdp.states)) == pytest.approx(0.5, abs=1e-12)


@every
@given(seed=seeds)
@by_property
def test_it_is_the_sine_of_half_the_angle(distance: Callable[..., float], seed: int) -> None:
    mdp = world(seed)
    a, b = rewards(seed, 2, mdp)
    x, y = (CANONICAL[distance](mdp, reward) for reward in (a, b))
    assert np.linalg.norm(x) == pytest.approx(1, abs=1e-12)
    assert distance(mdp, a, b) == pytest.approx(np.sin(np.arccos((x * y).sum()) / 2), abs=1e-7)


@every
@given(seed=seeds)
@by_property
def test_names_of_states_do_not_matter(distance: Callable[..., float], seed: int) -> None:
    mdp = world(seed)
    a, b = rewards(seed, 2, mdp)
    order = np.random.default_rng(seed).permutation(mdp.states)
    renamed = MDP(mdp.transitions[order][:, :, order], mdp.discount)
    found = distance(renamed, a[order][:, :, order], b[order][:, :, order])
    assert found == pytest.approx(distance(mdp, a, b), abs=1e-12)


@every
@pytest.mark.parametrize("potential", [[0.0] * 5, [3.0, -1.0, 4.0, 1.0, -5.0]], ids=["constant", "shaped"])
@pytest.mark.parametrize("constant", [0.0, 1.0, -1e6])
def test_what_prefers_nothing_is_trivial(
    distance: Callable[..., float], potential: list[float], constant: float
) -> None:
    mdp = world(0)
    nothing = mdp.shaped(np.full(5, constant), potential)
    assert trivial(CANONICAL[distance](mdp, nothing))
    assert distance(mdp, nothing, rewards(0, 1, mdp)[0]) == pytest.approx(0.5, abs=1e-12)
    assert distance(mdp, nothing, -nothing) == 0  # both are the same class
    assert not trivial(CANONICAL[distance](mdp, rewards(0, 1, mdp)[0]))
    assert not trivial(np.array([[1.0, 0.0]]))


def test_redistribution_alone_is_trivial_where_it_is_ignored() -> None:
    mdp = world(0)
    assert trivial(starc_canonical(mdp, redistribution(0, mdp)))
    assert trivial(minimal_l2_canonical(mdp, redistribution(0, mdp)))


@pytest.mark.parametrize("distance", [epic, dard])
def test_what_a_coverage_leaves_out_is_not_compared(distance: Callable[..., float]) -> None:
    mdp = GRID  # deterministic, so that EPIC and DARD read few transitions of the covered state's actions
    covered = np.zeros(mdp.transitions.shape)
    covered[4, :, :] = mdp.transitions[4] / mdp.actions
    a = rewards(0, 1, mdp)[0]
    b = a + 0.0
    b[0, 1, 0] += 5
    b[0, 2, 0] -= 5  # EPIC's mean over actions stays; DARD reads neither from the centre
    assert distance(mdp, a, b, coverage=covered) == pytest.approx(0, abs=1e-10)
    assert epic(mdp, a, b) > 0.05


@pytest.mark.parametrize("distance", [minimal_l2, epic, dard])
def test_without_discounting_all_but_starc_work(distance: Callable[..., float]) -> None:
    mdp = world(0, 1.0)
    a, b = rewards(0, 2, mdp)
    same = mdp.shaped(a, [3.0, -1.0, 4.0, 1.0, -5.0])
    assert distance(mdp, a, same) < 1e-10
    assert 0.1 < distance(mdp, a, b) < 0.9
    # minimal-L2 then knows a constant from nothing: no potential amounts to one
    assert trivial(CANONICAL[distance](mdp, np.ones(5))) == (distance is not minimal_l2)
    with pytest.raises(MeasureError, match=r"at most 0\.999"):
        starc(mdp, a, b)


def test_near_one_the_distances_keep_their_digits() -> None:
    mdp = world(0, 0.999)
    a = rewards(0, 1, mdp)[0]
    same = mdp.shaped(7 * a + 1, [3.0, -1.0, 4.0, 1.0, -5.0]) + redistribution(5, mdp)
    assert starc(mdp, a, same) < 1e-10
    assert minimal_l2(mdp, a, same) < 1e-10


def test_parts_that_never_meet_share_one_scale_and_no_constant() -> None:
    left, right = world(0, states=2), world(1, states=3)
    transitions = np.zeros((5, 3, 5))
    transitions[:2, :, :2], transitions[2:, :, 2:] = left.transitions, right.transitions
    mdp = MDP(transitions, 0.9)
    a = rewards(0, 1, mdp)[0]
    raised = a + np.array([5.0, 5, 0, 0, 0])[:, None, None]  # no policy can earn it or lose it
    assert starc(mdp, a, raised) < 1e-10
    assert minimal_l2(mdp, a, raised) < 1e-10
    assert dard(mdp, a, raised) < 1e-10
    assert epic(mdp, a, raised) > 0.1  # it also averages over transitions from one part into the other
    louder = a * np.array([9.0, 9, 1, 1, 1])[:, None, None]  # the same best policies
    assert min(distance(mdp, a, louder) for distance in CANONICAL) > 0.1


@pytest.mark.slow
def test_starc_foretells_regret_and_epic_and_dard_less_where_reward_is_moved_about() -> None:
    found, lost = pairs(WORLDS, 0, AMOUNTS["any"])
    assert lost.size == 420
    told = {name: correlation(distance, lost)[0] for name, distance in found.items()}
    assert min(told["STARC"], told["minimal-L2"]) > 0.85
    assert told["STARC"] - max(told["EPIC"], told["DARD"]) > 0.1
    still, lost = pairs(WORLDS, 0, AMOUNTS["none"])
    ahead = correlation(still["STARC"], lost)[0] - correlation(still["EPIC"], lost)[0]
    assert 0 < ahead < 0.1  # so that the gap above is the moving
