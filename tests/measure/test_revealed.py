"""Revealed objectives: the log-policy identity, every property MEG claims, and visits that a fitted reward matches."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.measure.distance import dard, epic, minimal_l2, starc
from sandbox.measure.error import MeasureError
from sandbox.measure.mdp import MDP
from sandbox.measure.revealed import (
    goal_attribution,
    mce_irl,
    meg,
    occupancy,
    revealed_reward,
    smoothed_policy,
    soft_policy,
)

by_property = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10_000)
horizons = pytest.mark.parametrize("horizon", [None, 1, 12])
LADDER = MDP(np.full((3, 4, 3), 1 / 3), 1.0)  # 12 decisions without consequence
FIRST = np.eye(4)[[0, 0, 0]]  # pays 1 for the first action, whatever the state
# from 0, action a leads to state 1 + a for good; nothing can be done anywhere else
FORK = MDP(np.stack([np.eye(3)[[1 + a, 1, 2]] for a in range(2)], axis=1), 0.5, [1, 0, 0])


def world(seed: int, discount: float = 0.9, *, states: int = 6, actions: int = 4) -> tuple[MDP, np.ndarray]:
    """Every transition possible; a reward in [-1, 1] of all three arguments."""
    rng = np.random.default_rng([7, seed])
    transitions = rng.dirichlet(np.ones(states), (states, actions))
    return MDP(transitions, discount), rng.uniform(-1, 1, (states, actions, states))


def some_policy(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng([8, seed]).dirichlet(np.ones(shape[-1]), shape[:-1])


# ---- soft policies ----


@given(seed=seeds, beta=st.floats(-30, 30), discount=st.sampled_from([0.0, 0.5, 0.9, 0.999]))
@by_property
def test_a_soft_policy_satisfies_the_soft_bellman_equation(seed: int, beta: float, discount: float) -> None:
    mdp, reward = world(seed, discount)
    policy = soft_policy(mdp, reward, beta)
    # log π + v = βr + g E v: v follows from any one action, and all must agree on it
    value = np.linalg.solve(
        np.eye(6) - discount * mdp.transitions[:, 0], (beta * mdp.mean_reward(reward) - np.log(policy))[:, 0]
    )
    q = beta * mdp.mean_reward(reward) + discount * mdp.transitions @ value
    assert policy.sum(axis=1) == pytest.approx(1)
    np.testing.assert_allclose(np.log(policy), q - value[:, None], atol=1e-8)


@horizons
def test_soft_policies_at_the_ends(horizon: int | None) -> None:
    mdp, reward = world(0)
    np.testing.assert_array_equal(soft_policy(mdp, reward, 0, horizon=horizon) == 1 / 4, True)
    np.testing.assert_allclose(
        soft_policy(mdp, reward, -3, horizon=horizon), soft_policy(mdp, -reward, 3, horizon=horizon), atol=1e-12
    )
    sharp = soft_policy(mdp, reward, 1e6, horizon=horizon)
    greedy = mdp.optimal(reward) if horizon is None else np.eye(4)[mdp.mean_reward(reward).argmax(axis=1)]
    np.testing.assert_allclose(sharp if horizon is None else sharp[-1], greedy, atol=1e-9)


def test_two_soft_decisions_by_hand() -> None:
    # leaving state 1 pays 0, state 2 pays log 3; of what follows the first decision only that is worth anything
    policy = soft_policy(FORK, [0, 0, log(3)], 2, horizon=2)
    assert policy.shape == (2, 3, 2)
    np.testing.assert_allclose(policy[0, 0], [1 / 4, 3 / 4], atol=1e-12)  # odds exp(2 · .5 · log 3)
    np.testing.assert_allclose(policy[1], 0.5, atol=1e-12)


def test_a_long_horizon_is_an_infinite_one() -> None:
    mdp, reward = world(1)
    np.testing.assert_allclose(
        soft_policy(mdp, reward, 2, horizon=300)[0], soft_policy(mdp, reward, 2), atol=1e-10
    )  # .9^300 = 2e-14
    policy = some_policy(1, 6, 4)
    assert meg(mdp, reward, policy, horizon=300).nats == pytest.approx(meg(mdp, reward, policy).nats, abs=1e-9)


# ---- log-policies ----


@pytest.mark.parametrize("beta", [0.1, 1, 5, 20])
@pytest.mark.parametrize("discount", [0.5, 0.9, 0.99])
def test_the_log_of_a_soft_policy_is_its_reward(beta: float, discount: float) -> None:
    for seed in range(5):
        mdp, reward = world(seed, discount)
        found = revealed_reward(soft_policy(mdp, reward / 2, beta))
        assert found.clipped == 0
        assert starc(mdp, found.reward, reward) < 1e-10
        assert minimal_l2(mdp, found.reward, reward) < 1e-10
        assert min(epic(mdp, found.reward, reward), dard(mdp, found.reward, reward)) > 0.4  # as documented


def test_a_policy_of_negative_beta_reveals_the_opposite() -> None:
    mdp, reward = world(2)
    assert starc(mdp, revealed_reward(soft_policy(mdp, reward, -2)).reward, reward) == pytest.approx(1, abs=1e-12)


def test_what_is_nearly_never_done_is_clipped_and_said_to_be() -> None:
    found = revealed_reward([[1 - 1e-13, 1e-13], [0.5, 0.5]])
    np.testing.assert_allclose(found.reward, [[0, log(1e-12)], [log(0.5)] * 2], atol=1e-12)
    assert found.clipped == 0.25


@pytest.mark.parametrize(
    ("policy", "said"),
    [([[1, 0], [0.5, 0.5]], "1 zeros"), ([[0.5, 0.4]], "off by 0.1"), ([0.5, 0.5], "of shape"), ([[2, -1]], "-1")],
)
def test_what_reveals_no_reward(policy: list[list[float]], said: str) -> None:
    with pytest.raises(MeasureError, match=said):
        revealed_reward(policy)


def test_counts_are_smoothed_by_a_half() -> None:
    np.testing.assert_allclose(smoothed_policy([[0, 3], [0, 0]]), [[0.125, 0.875], [0.5, 0.5]])
    for counts in ([[-1, 2]], [1, 2], np.zeros((0, 2)), [[np.nan, 1]]):
        with pytest.raises(MeasureError):
            smoothed_policy(counts)


def test_sampling_error_falls_with_the_root_of_the_sample() -> None:
    sizes, apart = np.array([1_000, 10_000, 100_000]), np.zeros((3, 20))
    for seed in range(20):
        mdp, reward = world(seed)
        policy, rng = soft_policy(mdp, reward, 2), np.random.default_rng(seed)
        for i, n in enumerate(sizes):
            counts = np.stack([rng.multinomial(n, row) for row in policy])
            apart[i, seed] = starc(mdp, revealed_reward(smoothed_policy(counts)).reward, reward)
    rate = apart.mean(axis=1) * np.sqrt(sizes)
    assert rate[0] == pytest.approx(rate[2], rel=0.1)
    assert (rate > 1.0).all()
    assert (rate < 3.0).all()


# ---- MEG ----


@horizons
@pytest.mark.parametrize("beta", [-2, -0.5, 0.5, 2, 10])
def test_meg_finds_the_beta_of_a_soft_policy(horizon: int | None, beta: float) -> None:
    mdp, reward = world(3)
    policy = soft_policy(mdp, reward, beta, horizon=horizon)
    found = meg(mdp, reward, policy, horizon=horizon)
    assert found.beta == pytest.approx(beta, rel=1e-9)
    assert not found.at_bound
    # it is the relative entropy to the uniform policy, summed along the way
    steps = np.broadcast_to(policy, (horizon or 400, 6, 4))
    at, nats = mdp.start, 0.0
    for t, step in enumerate(steps):
        nats += 0.9**t * at @ (step * np.log(step * 4)).sum(axis=1)
        at = np.einsum("s,sa,sat->t", at, step, mdp.transitions)
    assert found.nats == pytest.approx(nats, abs=1e-10)
    assert found.share == pytest.approx(nats / (log(4) * sum(0.9**t for t in range(horizon or 400))))


@horizons
def test_the_uniform_policy_has_no_meg(horizon: int | None) -> None:
    for seed in range(10):
        mdp, reward = world(seed)
        found = meg(mdp, reward, mdp.uniform, horizon=horizon)
        assert (found.nats, found.share, found.beta, found.at_bound) == (0, 0, 0, False)
        assert goal_attribution(mdp, {"reward": reward, "cost": -reward}, mdp.uniform, horizon=horizon).goal is None


@given(seed=seeds, scale=st.floats(-20, 20), sign=st.sampled_from([-1, 1]), shift=st.floats(-10, 10))
@by_property
def test_meg_forgets_scale_and_zero_of_the_utility_but_not_the_sign(
    seed: int, scale: float, sign: int, shift: float
) -> None:
    mdp, utility = world(seed)
    policy, factor = some_policy(seed, 12, 6, 4), sign * 10.0**scale
    for horizon in (None, 12):
        acts = policy[0] if horizon is None else policy
        one = meg(mdp, utility, acts, horizon=horizon)
        other = meg(mdp, factor * (utility + shift), acts, horizon=horizon)
        assert other.nats == pytest.approx(one.nats, abs=1e-9)
        assert other.beta * factor == pytest.approx(one.beta, rel=1e-5, abs=1e-7)
        assert not other.at_bound


@given(seed=seeds)
@by_property
def test_shaping_changes_no_meg_of_an_infinite_future(seed: int) -> None:
    mdp, utility = world(seed)
    policy = some_policy(seed, 6, 4)
    shaped = mdp.shaped(utility, np.random.default_rng(seed).normal(size=6))
    assert meg(mdp, shaped, policy).nats == pytest.approx(meg(mdp, utility, policy).nats, abs=1e-9)


@given(seed=seeds, horizon=st.sampled_from([None, 3]))
@by_property
def test_meg_is_the_largest_predictive_gain_of_any_beta(seed: int, horizon: int | None) -> None:
    mdp, utility = world(seed)
    policy = some_policy(seed, 6, 4)
    found = meg(mdp, utility, policy, horizon=horizon)

    def gain(beta: float) -> float:
        """E Σ g^t log(π_β A), step by step."""
        soft = soft_policy(mdp, utility, beta, horizon=horizon)
        log_gain = np.log(soft * 4)
        if horizon is None:
            return float(mdp.start @ mdp.value(log_gain, policy))
        at, total = mdp.start, 0.0
        for t in range(horizon):
            total += mdp.discount**t * at @ (policy * log_gain[t]).sum(axis=1)
            at = np.einsum("s,sa,sat->t", at, policy, mdp.transitions)
        return float(total)

    assert found.nats == pytest.approx(gain(found.beta), abs=1e-9)
    assert found.nats > max(gain(beta) for beta in (*np.linspace(-20, 20, 41), found.beta - 0.01, found.beta + 0.01))
    kept = mdp.value(np.log(policy * 4), policy) if horizon is None else None
    assert 0 <= found.share < 1
    assert kept is None or found.nats <= mdp.start @ kept + 1e-9  # no prediction beats the policy itself


def test_a_single_best_policy_is_foretold_in_full() -> None:
    found = meg(LADDER, FIRST, FIRST, horizon=12)
    assert found.nats == pytest.approx(12 * log(4), abs=1e-9)  # 16.6355
    assert found.share == pytest.approx(1)
    assert found.at_bound
    assert found.beta == 1e5
    half = meg(LADDER, FIRST, FIRST, horizon=12, bound=2.0)
    assert (half.at_bound, half.beta) == (True, 2.0)
    assert half.nats == pytest.approx(12 * log(4 * np.exp(2) / (np.exp(2) + 3)))


def test_a_single_worst_policy_is_foretold_in_full_with_the_sign_turned() -> None:
    found = meg(LADDER, -3 * FIRST, FIRST, horizon=12)
    assert found.nats == pytest.approx(12 * log(4), abs=1e-9)
    assert found.at_bound
    assert found.beta == pytest.approx(-1e5 / 3)


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("zero", [0, 1e6])
def test_optimal_and_worst_policies_of_random_worlds(discount: float, zero: float) -> None:
    for seed in range(5):
        mdp, utility = world(seed, discount)
        for sign in (1, -1):
            found = meg(mdp, sign * utility + zero, mdp.optimal(utility))
            assert found.at_bound
            assert np.sign(found.beta) == sign
            assert found.share == pytest.approx(1, abs=1e-4)
            assert found.nats == pytest.approx(log(4) / (1 - discount), rel=1e-4)


def test_any_mixture_of_tied_best_actions_is_at_the_bound() -> None:
    for seed in range(10):
        mdp, utility = world(seed, 0.999)
        twice = MDP(np.repeat(mdp.transitions, 2, axis=1), 0.999)  # every action under two names
        share = np.random.default_rng(seed).uniform(size=(6, 1, 1))
        policy = (mdp.optimal(utility)[:, :, None] * np.concatenate([share, 1 - share], axis=2)).reshape(6, 8)
        found = meg(twice, np.repeat(utility, 2, axis=1), policy)
        assert found.at_bound
        assert found.nats == pytest.approx(log(4) / (1 - 0.999), rel=1e-4)  # which name is not foretold


def test_a_nearly_best_policy_is_not_taken_for_the_best() -> None:
    mdp, reward = world(3)
    for beta in (40, -40, 200):
        found = meg(mdp, reward, soft_policy(mdp, reward, beta))
        assert not found.at_bound
        assert found.beta == pytest.approx(beta, rel=1e-3)


def test_of_tied_best_actions_half_is_foretold() -> None:
    pays = np.tile([1.0, 1.0, 0.0, 0.0], (3, 1))
    for policy in (FIRST, np.tile([0.5, 0.5, 0, 0], (3, 1))):
        assert meg(LADDER, pays, policy, horizon=12).nats == pytest.approx(12 * log(2), abs=1e-9)


def test_no_influence_no_meg() -> None:
    for utility in ([0, 1, 2], np.full((3, 4), 7.0), [1e9 + 1e-3, 1e9, 1e9]):
        found = meg(LADDER, utility, FIRST, horizon=5)
        assert (found.nats, found.share, found.beta, found.at_bound) == (0, 0, 0, False)
    mdp, _ = world(0)  # of a constant only rounding is left
    assert meg(mdp, np.full((6, 4, 6), 0.1), mdp.optimal(np.arange(6.0))).nats == 0
    alone = MDP([[[1.0]]], 0.9)
    assert meg(alone, [1.0], [[1.0]]).share == 0
    settled = MDP(FORK.transitions, 0.5, [0, 0.5, 0.5])  # the fork is never reached
    assert meg(settled, [0, 0, 1], [[1, 0]] * 3).nats == 0


def test_meg_of_what_it_cannot_measure() -> None:
    mdp, utility = world(6)
    with pytest.raises(MeasureError, match="finite horizon"):
        meg(MDP(mdp.transitions, 1.0), utility, mdp.uniform)
    for horizon in (0, -1, 2.5, True):
        with pytest.raises(MeasureError, match="decisions"):
            meg(mdp, utility, mdp.uniform, horizon=horizon)  # pyright: ignore[reportArgumentType]
    for bound in (0, -1, np.inf, np.nan):
        with pytest.raises(MeasureError, match="bound"):
            meg(mdp, utility, mdp.uniform, bound=bound)
    with pytest.raises(MeasureError, match="sum to 1"):
        meg(mdp, utility, mdp.uniform * 1.1)
    with pytest.raises(MeasureError, match="shape"):
        meg(mdp, utility, some_policy(0, 3, 6, 4), horizon=4)
    with pytest.raises(MeasureError, match="finite"):
        soft_policy(mdp, utility, np.inf)


# ---- goals ----


def test_a_pursued_goal_is_told_from_the_others() -> None:
    mdp, _ = world(7)
    goals = {f"state {s}": np.eye(6)[s] for s in range(6)}
    for s in range(6):
        found = goal_attribution(mdp, goals, soft_policy(mdp, goals[f"state {s}"], 30))
        shares = sorted(each.share if each.beta > 0 else 0 for each in found.goals.values())
        assert found.goal == f"state {s}"
        assert found.margin == pytest.approx(shares[-1] - shares[-2])
        assert found.margin > 0.2
        assert list(found.goals) == list(goals)


def test_goals_fled_or_left_to_chance_are_not_pursued() -> None:
    goals = {"left": [0, 1, 0], "right": [0, 0, 1], "constant": [1, 1, 1]}
    fled = goal_attribution(FORK, goals, [[0, 1]] * 3)
    assert fled.goal == "right"
    assert fled.margin == fled.goals["right"].share  # the others count 0, though left is fled with as much MEG
    assert fled.goals["left"].share == pytest.approx(fled.goals["right"].share)
    assert fled.goals["left"].beta < 0
    for names, policy in ((["left"], [[0, 1]] * 3), (list(goals), FORK.uniform)):
        none = goal_attribution(FORK, {name: goals[name] for name in names}, policy)
        assert (none.goal, none.margin) == (None, 0)
    with pytest.raises(MeasureError, match="candidate"):
        goal_attribution(FORK, {}, FORK.uniform)


# ---- visits and rewards fitted to them ----


@pytest.mark.parametrize("discount", [0, 0.5, 0.9, 0.99, 1])
@given(seed=seeds, horizon=st.integers(1, 20))
@by_property
def test_visits_sum_to_the_discounted_number_of_states(discount: float, seed: int, horizon: int) -> None:
    mdp, _ = world(seed, discount)
    total = horizon + 1 if discount == 1 else (1 - discount ** (horizon + 1)) / (1 - discount)
    stationary, timed = some_policy(seed, 6, 4), some_policy(seed, horizon, 6, 4)
    assert occupancy(mdp, stationary, horizon=horizon).sum() == pytest.approx(total)
    assert occupancy(mdp, timed, horizon=horizon).sum() == pytest.approx(total)


def test_visits_by_hand() -> None:
    np.testing.assert_allclose(occupancy(FORK, [[0.25, 0.75]] * 3, horizon=2), [1, 0.75 / 4, 0.75 * 3 / 4])
    timed = np.array([[[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3])
    np.testing.assert_allclose(occupancy(FORK, timed, horizon=2), [1, 0.75, 0])


@pytest.mark.parametrize("discount", [0, 0.5, 0.9, 0.99, 1])
@pytest.mark.parametrize("horizon", [1, 10])
def test_a_fitted_reward_goes_where_the_given_one_goes(discount: float, horizon: int) -> None:
    mdp, _ = world(9, discount)
    visits = occupancy(mdp, some_policy(9, horizon, 6, 4), horizon=horizon)
    found = mce_irl(mdp, visits, horizon=horizon)
    assert found.converged
    assert np.abs(found.visits - visits).max() == pytest.approx(found.gap)
    assert found.gap <= 1e-3
    assert found.policy.shape == (horizon, 6, 4)
    np.testing.assert_allclose(occupancy(mdp, found.policy, horizon=horizon), found.visits)


def test_a_state_reward_is_found_up_to_a_constant() -> None:
    mdp, _ = world(10)
    truth = np.random.default_rng(10).normal(size=6)
    # the reward is paid in the last state too: one decision more, of no consequence
    policy = soft_policy(mdp, truth, 1, horizon=9)[:-1]
    found = mce_irl(mdp, occupancy(mdp, policy, horizon=8), horizon=8, tolerance=1e-9)
    np.testing.assert_allclose(found.reward - found.reward.mean(), truth - truth.mean(), atol=1e-5)
    np.testing.assert_allclose(found.policy, policy, atol=1e-6)


def test_features_are_matched_in_place_of_states() -> None:
    mdp, _ = world(11)
    features = np.random.default_rng(11).normal(size=(6, 2))
    visits = occupancy(mdp, some_policy(11, 6, 4), horizon=5)
    found = mce_irl(mdp, visits, horizon=5, features=features)
    assert np.abs(features.T @ (found.visits - visits)).max() == pytest.approx(found.gap)
    assert found.converged
    assert np.linalg.lstsq(features, found.reward)[1] == pytest.approx(0, abs=1e-12)
    assert np.abs(found.visits - visits).max() > 1e-3


def test_states_out_of_reach_keep_no_reward() -> None:
    apart = MDP(np.stack([np.eye(3)[[0, 1, 2]], np.eye(3)[[1, 0, 2]]], axis=1), 1, [1, 0, 0])
    found = mce_irl(apart, [3.5, 1.5, 0], horizon=4)
    assert found.converged
    assert found.reward[2] == 0


def test_visits_that_no_policy_has_do_not_converge() -> None:
    apart = MDP(np.stack([np.eye(3)[[0, 1, 2]], np.eye(3)[[1, 0, 2]]], axis=1), 1, [1, 0, 0])
    found = mce_irl(apart, [0, 0, 5], horizon=4)
    assert not found.converged
    assert found.gap > 1
    assert np.isfinite(found.reward).all()


def test_visits_that_are_refused() -> None:
    mdp, _ = world(12)
    good = occupancy(mdp, mdp.uniform, horizon=3)
    for visits, said in (
        (good * 1.01, "sum to"),
        (good - np.eye(6)[0] * 2 + np.eye(6)[1] * 2, "least"),
        (good[:5], "shape"),
    ):
        with pytest.raises(MeasureError, match=said):
            mce_irl(mdp, visits, horizon=3)
    with pytest.raises(MeasureError, match="features"):
        mce_irl(mdp, good, horizon=3, features=np.eye(5))
    with pytest.raises(MeasureError, match="decisions"):
        mce_irl(mdp, good, horizon=0)
