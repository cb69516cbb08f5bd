"""Tabular decision problems: values worked by hand, optimal policies against all of them, refusals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from sandbox.measure.error import MeasureError
from sandbox.measure.mdp import MDP

# two states; action 0 stays, action 1 crosses over with probability 1/2
PAIR = MDP([[[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]]], 0.5)
ALWAYS_CROSS = np.array([[0.0, 1.0], [0.0, 1.0]])


def test_a_reward_has_three_shapes_and_one_meaning() -> None:
    by_state = PAIR.reward([1, 2])
    assert by_state.shape == (2, 2, 2)
    assert by_state.tolist() == PAIR.reward([[1, 1], [2, 2]]).tolist() == PAIR.reward(by_state).tolist()
    assert PAIR.reward(torch.tensor([[1.0, 3], [2, 2]]))[0, 1].tolist() == [3, 3]
    assert PAIR.mean_reward([[[1, 9], [2, 4]], [[9, 1], [0, 1]]]).tolist() == [[1, 3], [1, 0.5]]


def test_values_by_hand() -> None:
    # crossing: V0 = 1 + (V0 + V1) / 4 and V1 = (V0 + V1) / 4, so V0 + V1 = 2
    assert PAIR.value([1, 0], ALWAYS_CROSS).tolist() == pytest.approx([1.5, 0.5])
    assert PAIR.performance([1, 0], ALWAYS_CROSS) == pytest.approx(1.0)
    # staying in the first, from then on crossing
    value = PAIR.value([1, 0], ALWAYS_CROSS)
    assert PAIR.action_value([1, 0], value).ravel().tolist() == pytest.approx([1.75, 1.5, 0.25, 0.5])


def test_visits_by_hand() -> None:
    mdp = MDP(PAIR.transitions, 0.5, [1, 0])
    found = mdp.occupancy(ALWAYS_CROSS)
    assert found.tolist() == pytest.approx([1.5, 0.5])
    assert found.sum() == pytest.approx(1 / (1 - 0.5))
    assert found @ [1, 0] == pytest.approx(mdp.performance([1, 0], ALWAYS_CROSS))


def test_visits_add_up_to_the_return() -> None:
    rng = np.random.default_rng(0)
    mdp = MDP(rng.dirichlet(np.full(4, 0.3), (4, 3)), 0.9, rng.dirichlet(np.ones(4)))
    policy, reward = rng.dirichlet(np.ones(3), 4), rng.normal(size=(4, 3))
    assert mdp.occupancy(policy) @ (policy * reward).sum(axis=1) == pytest.approx(mdp.performance(reward, policy))


def test_shaping_by_hand_and_what_it_leaves() -> None:
    found = PAIR.shaped([1, 0], [4, 2])
    assert found[0, 0].tolist() == [1 + 2 - 4, 1 + 1 - 4]
    assert found[1, 1].tolist() == [2 - 2, 1 - 2]
    shift = PAIR.value(found, ALWAYS_CROSS) - PAIR.value([1, 0], ALWAYS_CROSS)
    assert shift.tolist() == pytest.approx([-4, -2])


def test_size_is_of_what_can_happen() -> None:
    assert PAIR.size([[[1, 9], [-2, 1]], [[9, 1], [0, 1]]]) == 2


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scale", [1.0, 1e-40, 1e40])
def test_the_optimal_policy_is_the_best_of_all(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    mdp = MDP(rng.dirichlet(np.full(3, 0.3), (3, 3)), 0.95)
    reward = rng.normal(size=(3, 3, 3)) * scale
    value = mdp.value(reward, mdp.optimal(reward))
    every = [mdp.value(reward, np.eye(3)[list(choice)]) for choice in product(range(3), repeat=3)]
    assert value / scale == pytest.approx(np.max(every, axis=0) / scale, abs=1e-9)


def test_of_tied_actions_the_first() -> None:
    assert PAIR.optimal([3, 3]).tolist() == [[1, 0], [1, 0]]
    assert PAIR.optimal([1, 0]).tolist() == [[1, 0], [0, 1]]


def test_sizes_start_and_uniform_policy() -> None:
    mdp = MDP(np.full((4, 3, 4), 0.25), 0.9)
    assert (mdp.states, mdp.actions) == (4, 3)
    assert mdp.start.tolist() == [0.25] * 4
    assert mdp.uniform == pytest.approx(np.full((4, 3), 1 / 3))


@pytest.mark.parametrize(
    ("transitions", "discount", "start", "told"),
    [
        (np.ones((2, 2)), 0.9, None, r"\[S, A, S\]"),
        (np.ones((2, 2, 3)) / 3, 0.9, None, r"\[S, A, S\]"),
        (np.ones((0, 2, 0)), 0.9, None, r"\[S, A, S\]"),
        (np.ones((2, 2, 2)), 0.9, None, "off by 1"),
        ([[[2, -1]], [[0, 1]]], 0.9, None, "the entry -1"),
        ([[[np.nan, 1]], [[0, 1]]], 0.9, None, "1 of 4 that are NaN"),
        (PAIR.transitions, 1.1, None, "a discount"),
        (PAIR.transitions, -0.1, None, "a discount"),
        (PAIR.transitions, np.nan, None, "a discount"),
        (PAIR.transitions, 0.9, [1, 1], "off by 1"),
        (PAIR.transitions, 0.9, [1], "shape"),
    ],
)
def test_no_world_is_refused(transitions: object, discount: float, start: object, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        MDP(transitions, discount, start)


@pytest.mark.parametrize("reward", [1.0, [1, 2, 3], np.ones((2, 2, 2, 2)), np.ones((2, 3))])
def test_a_reward_of_another_shape_is_refused(reward: object) -> None:
    with pytest.raises(MeasureError, match=r"\[2, 2, 2\]"):
        PAIR.reward(reward)


def test_policies_and_potentials_are_checked() -> None:
    with pytest.raises(MeasureError, match="a policy"):
        PAIR.value([1, 0], np.ones((2, 2)))
    with pytest.raises(MeasureError, match="a policy"):
        PAIR.occupancy(np.ones((2, 3)) / 3)
    with pytest.raises(MeasureError, match="a potential"):
        PAIR.shaped([1, 0], [1, 2, 3])


def test_an_infinite_future_needs_a_discount() -> None:
    for discount in (0.9995, 1.0):
        endless = MDP(PAIR.transitions, discount)
        for call in (endless.value, endless.performance):
            with pytest.raises(MeasureError, match=r"at most 0\.999"):
                call([1, 0], ALWAYS_CROSS)
        with pytest.raises(MeasureError, match=r"at most 0\.999"):
            endless.occupancy(ALWAYS_CROSS)
        with pytest.raises(MeasureError, match=r"at most 0\.999"):
            endless.optimal([1, 0])
    assert MDP(PAIR.transitions, 0.999).value([1, 1], ALWAYS_CROSS) == pytest.approx(1000, rel=1e-9)
