"""Canonical rewards: written out term by term, their bases, what weighs in them, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.measure.distance import (
    Ensemble,
    chord,
    dard,
    ensemble,
    epic,
    feasible,
    minimal_l2_basis,
    minimal_l2_canonical,
    pairwise,
    starc,
    starc_basis,
    starc_canonical,
    trivial,
)
from sandbox.measure.error import MeasureError
from tests.measure.worlds import rewards, world

by_property = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10_000)


@given(seed=seeds)
@by_property
def test_canonical_rewards_are_rewards_of_the_same_class(seed: int) -> None:
    mdp = world(seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(mdp.actions), mdp.states)
    reward = rewards(seed, 1, mdp)[0]
    advantage, smallest = starc_canonical(mdp, reward, policy=policy), minimal_l2_canonical(mdp, reward)
    assert np.abs(mdp.value(advantage, policy)).max() < 1e-12
    assert np.abs(np.einsum("sa,sat->t", smallest, mdp.discount * mdp.transitions) - smallest.sum(axis=1)).max() < 1e-12
    assert minimal_l2_canonical(mdp, advantage) == pytest.approx(smallest, abs=1e-10)
    assert starc_canonical(mdp, smallest, policy=policy) == pytest.approx(advantage, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_bases_span_the_canonical_rewards(seed: int) -> None:
    mdp = world(seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(mdp.actions), mdp.states)
    reward = rewards(seed, 1, mdp)[0]
    starcs, smallests = starc_basis(mdp, policy=policy), minimal_l2_basis(mdp)
    canonicals = starc_canonical(mdp, reward, policy=policy), minimal_l2_canonical(mdp, reward)
    for basis, canonical in zip((starcs, smallests), canonicals, strict=True):
        flat = basis.reshape(len(basis), -1)
        assert basis.shape == (mdp.states * (mdp.actions - 1), mdp.states, mdp.actions)
        assert flat @ flat.T == pytest.approx(np.eye(len(flat)), abs=1e-12)
        assert (flat @ canonical.ravel()) @ flat == pytest.approx(canonical.ravel(), abs=1e-12)
    assert starc_canonical(mdp, starcs[3], policy=policy) == pytest.approx(starcs[3], abs=1e-12)
    assert minimal_l2_canonical(mdp, smallests[3]) == pytest.approx(smallests[3], abs=1e-12)


def pearson_distance(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    covariance = np.cov(a.ravel(), b.ravel(), aweights=weight.ravel())
    return float(np.sqrt((1 - covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])) / 2))


@pytest.mark.parametrize("distance", [epic, dard])
def test_epic_and_dard_term_by_term(distance: Callable[..., float]) -> None:
    mdp = world(3, 0.7, states=3, actions=2)
    t, g, states, actions = mdp.transitions, 0.7, range(3), range(2)
    found = []
    for reward in rewards(3, 2, mdp):
        canonical = np.zeros((3, 2, 3))
        for s, a, after in np.ndindex(3, 2, 3):
            total = reward[s, a, after]
            for b in actions:
                for u in states:
                    for v in states:
                        # EPIC: S = u, S' = v, uniform; DARD: S' = u from s, S'' = v from s'
                        share = 1 / (2 * 9) if distance is epic else t[s, b, u] * t[after, b, v] / 2
                        back = reward[s, b, v] if distance is epic else reward[s, b, u]
                        total += share * (g * reward[after, b, v] - back - g * reward[u, b, v])
            canonical[s, a, after] = total
        found.append(canonical)
    coverage = np.random.default_rng(0).dirichlet(np.ones(18)).reshape(3, 2, 3)
    a, b = rewards(3, 2, mdp)
    assert distance(mdp, a, b) == pytest.approx(pearson_distance(*found, t / 6), abs=1e-12)
    assert distance(mdp, a, b, coverage=coverage) == pytest.approx(pearson_distance(*found, coverage), abs=1e-12)


def test_epic_with_a_coverage_does_not_see_the_dynamics() -> None:
    one, other = world(0), world(1)
    a, b = rewards(0, 2, one)
    coverage = feasible(one)
    assert epic(one, a, b, coverage=coverage) == epic(other, a, b, coverage=coverage)
    assert epic(one, a, b) == epic(one, a, b, coverage=coverage)
    assert epic(one, a, b) != epic(other, a, b)


@pytest.mark.parametrize(
    ("coverage", "told"),
    [
        (np.full((5, 3, 5), 1.0), "off by"),
        (np.full((5, 3), 1 / 15), "shape"),
        (np.where(np.arange(75).reshape(5, 3, 5) == 0, -1, 2 / 74), "entry -1"),
    ],
)
@pytest.mark.parametrize("distance", [epic, dard])
def test_a_coverage_is_a_distribution(distance: Callable[..., float], coverage: np.ndarray, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        distance(world(0), np.ones(5), np.ones(5), coverage=coverage)


def test_a_policy_without_full_support_is_refused() -> None:
    mdp = world(0)
    with pytest.raises(MeasureError, match="5 probabilities of 0"):
        starc(mdp, np.ones(5), np.ones(5), policy=np.tile([0.5, 0.5, 0], (5, 1)))
    with pytest.raises(MeasureError, match="off by"):
        starc(mdp, np.ones(5), np.ones(5), policy=np.ones((5, 3)))
    with pytest.raises(MeasureError, match="5 probabilities of 0"):
        starc_basis(mdp, policy=np.tile([0.5, 0.5, 0], (5, 1)))


def test_the_policy_of_starc_is_part_of_its_meaning() -> None:
    mdp = world(0)
    a, b = rewards(0, 2, mdp)
    eager = np.tile([0.8, 0.1, 0.1], (5, 1))
    assert starc(mdp, a, b) == starc(mdp, a, b, policy=mdp.uniform)
    assert abs(starc(mdp, a, b, policy=eager) - starc(mdp, a, b)) > 0.01
    assert starc(mdp, a, mdp.shaped(a, [3, 1, 4, 1, 5]), policy=eager) < 1e-10


def test_many_at_once() -> None:
    mdp = world(0)
    many = rewards(0, 4, mdp)
    found = pairwise([starc_canonical(mdp, reward) for reward in [*many, np.ones(5)]])
    assert found.shape == (5, 5)
    assert found[1, 3] == found[3, 1] == pytest.approx(starc(mdp, many[1], many[3]), abs=1e-12)
    assert np.diag(found).tolist() == [0] * 5
    assert found[4, :4] == pytest.approx([0.5] * 4, abs=1e-12)
    with pytest.raises(MeasureError, match=r"\[N, \.\.\.\]"):
        pairwise(np.ones(3))


def test_a_chord_is_between_vectors_of_one_shape() -> None:
    assert chord(np.array([1.0, 0]), np.array([0, 1.0])) == pytest.approx(np.sqrt(0.5))
    with pytest.raises(MeasureError, match="shape"):
        chord(np.ones((2, 2)), np.ones((2, 2, 2)))


def test_an_ensemble_is_its_ends_and_its_mean() -> None:
    assert ensemble([0.2, 0.6, 0.1]) == Ensemble(0.1, pytest.approx(0.3), 0.6)  # type: ignore[arg-type]
    assert ensemble([0.4]) == Ensemble(0.4, 0.4, 0.4)
    with pytest.raises(MeasureError, match="at least"):
        ensemble([])


def test_one_action_leaves_nothing_to_prefer() -> None:
    mdp = world(0, actions=1)
    assert trivial(starc_canonical(mdp, rewards(0, 1, mdp)[0]))
    assert trivial(minimal_l2_canonical(mdp, rewards(0, 1, mdp)[0]))
    assert starc_basis(mdp).shape == minimal_l2_basis(mdp).shape == (0, 5, 1)
