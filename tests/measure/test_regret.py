"""Regret and usefulness: worked by hand, and where they have nothing to divide by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.measure.error import MeasureError
from sandbox.measure.mdp import MDP
from sandbox.measure.regret import regret, usefulness

by_property = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10_000)

# from 0, action a leads to state 1 + a for good; leaving state 1, 2, 3 pays 0, 1, 4
FORK = MDP(
    np.stack([np.eye(4)[[1, 1, 2, 3]], np.eye(4)[[2, 1, 2, 3]], np.eye(4)[[3, 1, 2, 3]]], axis=1), 0.5, [1, 0, 0, 0]
)
PAYS = [0.0, 0.0, 1.0, 4.0]


def goes(*probabilities: float) -> np.ndarray:
    return np.tile(probabilities, (4, 1))


@pytest.mark.parametrize(
    ("policy", "lost", "useful"),
    [
        (goes(0, 0, 1), 0.0, 1.0),
        (goes(1, 0, 0), 1.0, -5 / 7),
        (goes(0, 1, 0), 0.75, -2 / 7),
        (goes(1 / 3, 1 / 3, 1 / 3), 7 / 12, 0.0),
        (goes(0, 0.5, 0.5), 0.375, 2.5 / 7),
    ],
)
def test_a_fork_by_hand(policy: np.ndarray, lost: float, useful: float) -> None:
    assert regret(FORK, PAYS, policy) == pytest.approx(lost, abs=1e-12)
    assert usefulness(FORK, PAYS, policy) == pytest.approx(useful, abs=1e-12)


@pytest.mark.parametrize("reward", [[0.0] * 4, [3.0] * 4, [-1e-12] * 4, [1e9] * 4])
def test_where_nothing_can_be_lost_both_are_zero(reward: list[float]) -> None:
    for policy in (goes(1, 0, 0), goes(0, 0, 1), FORK.uniform):
        assert regret(FORK, reward, policy) == 0
        assert usefulness(FORK, reward, policy) == 0


@pytest.mark.parametrize("seed", range(20))
def test_nor_can_shaping_alone_win_anything_near_an_endless_future(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mdp = MDP(rng.dirichlet(np.full(20, 0.3), (20, 4)), 0.999)
    nothing = mdp.shaped(np.full(20, rng.normal()), rng.normal(0, 100, 20))
    assert regret(mdp, nothing, rng.dirichlet(np.ones(4), 20)) == 0
    assert usefulness(mdp, nothing, rng.dirichlet(np.ones(4), 20)) == 0


def test_better_than_optimal_by_a_rounding_stays_on_the_scale() -> None:
    # waiting pays a hair more than taking at once, too little for policy iteration to bother
    mdp = MDP(np.stack([np.eye(3)[[2, 2, 2]], np.eye(3)[[1, 2, 2]], np.eye(3)[[2, 2, 2]]], axis=1), 0.5, [1, 0, 0])
    reward = np.array([[1, 0, -1], [2 + 8e-11] * 3, [0] * 3])
    waits = np.tile([0.0, 1, 0], (3, 1))
    assert mdp.performance(reward, waits) > mdp.performance(reward, mdp.optimal(reward))
    assert regret(mdp, reward, waits) == 0
    assert regret(mdp, -reward, waits) == 1
    assert usefulness(mdp, reward, waits) == 1


def test_what_the_start_never_reaches_does_not_count() -> None:
    settled = MDP(FORK.transitions, 0.5, [0, 0, 0, 1])
    assert regret(settled, PAYS, goes(1, 0, 0)) == 0
    assert usefulness(settled, PAYS, goes(1, 0, 0)) == 0


def world(seed: int) -> tuple[MDP, np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    transitions = rng.dirichlet(np.full(5, 0.3), (5, 3))
    return MDP(transitions, 0.9), rng.normal(size=(5, 3, 5)), rng.dirichlet(np.ones(3), 5), rng


@given(seed=seeds)
@by_property
def test_ends_of_the_scale(seed: int) -> None:
    mdp, reward, policy, _ = world(seed)
    best, worst = mdp.optimal(reward), mdp.optimal(-reward)
    assert regret(mdp, reward, best) == 0
    assert usefulness(mdp, reward, best) == 1
    assert regret(mdp, reward, worst) == 1
    assert usefulness(mdp, reward, mdp.uniform) == 0
    assert usefulness(mdp, reward, worst) < 0
    assert 0 < regret(mdp, reward, policy) < 1
    assert regret(mdp, reward, policy) + regret(mdp, -reward, policy) == pytest.approx(1, abs=1e-9)


@given(seed=seeds, scale=st.floats(-100, 100))
@by_property
def test_scale_shaping_and_redistribution_change_nothing(seed: int, scale: float) -> None:
    mdp, reward, policy, rng = world(seed)
    noise = rng.normal(size=reward.shape)
    same = mdp.shaped(reward + noise - mdp.mean_reward(noise)[:, :, None], rng.normal(size=5)) * 10.0**scale
    assert regret(mdp, same, policy) == pytest.approx(regret(mdp, reward, policy), abs=1e-9)
    assert usefulness(mdp, same, policy) == pytest.approx(usefulness(mdp, reward, policy), abs=1e-9)


def test_an_infinite_future_without_discount_is_refused() -> None:
    endless = MDP(FORK.transitions, 1.0)
    for score in (regret, usefulness):
        with pytest.raises(MeasureError, match=r"at most 0\.999"):
            score(endless, PAYS, endless.uniform)
        with pytest.raises(MeasureError, match="a policy"):
            score(FORK, PAYS, np.ones((4, 3)))
