"""Trends against their definitions and by enumeration, and blur on the oracle."""

from __future__ import annotations

from itertools import combinations, permutations
from math import erfc, nan, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.measure.error import MeasureError
from sandbox.measure.modes import merge_index
from sandbox.measure.oracle import RegressionString, matched_noise
from sandbox.measure.trend import blur, mann_kendall, trend

law = settings(deadline=None, max_examples=25, derandomize=True)
values = st.lists(st.integers(-4, 4), min_size=3, max_size=40)


def test_by_hand() -> None:
    found = mann_kendall([1.0, 3.0, 2.0, 4.0])  # five pairs rise, one falls
    assert found.s == 4
    assert found.tau == pytest.approx(4 / 6)
    assert found.z == pytest.approx(4 / sqrt(4 * 3 * 13 / 18))
    assert found.p == pytest.approx(2 * 4 / 24)  # of 24 orders, 4 have S ≥ 4


def test_by_hand_with_ties() -> None:
    found = mann_kendall([1.0, 1.0, 2.0, 2.0, 2.0])
    assert found.s == 6
    assert found.tau == pytest.approx(6 / sqrt(10 * 6))
    assert found.z == pytest.approx(6 / sqrt((5 * 4 * 15 - 2 * 1 * 9 - 3 * 2 * 11) / 18))
    assert found.p == pytest.approx(erfc(found.z / sqrt(2)))


def test_p_is_exact_without_ties_and_that_of_z_beyond() -> None:
    few = [0.3, 0.1, 0.4, 0.2, 0.9, 0.7]
    sums = [sum(np.sign(b - a) for a, b in combinations(order, 2)) for order in permutations(few)]
    found = mann_kendall(few)
    assert found.p == pytest.approx(np.mean(np.abs(sums) >= abs(found.s)))
    assert np.std(sums) == pytest.approx(found.s / found.z)
    many = mann_kendall(np.random.default_rng(0).standard_normal(60))
    assert many.p == pytest.approx(erfc(abs(many.z) / sqrt(2)))


@law
@given(values)
def test_s_and_tau_are_counts_of_pairs(given_values: list[int]) -> None:
    found = mann_kendall(given_values)
    signs = [np.sign(b - a) for a, b in combinations(given_values, 2)]
    assert found.s == sum(signs)
    if any(signs):
        assert found.tau == pytest.approx(sum(signs) / sqrt(len(signs) * np.abs(signs).sum()))
    else:
        assert found == mann_kendall([7, 7, 7])


@law
@given(values)
def test_direction_turns_it_and_units_don_t(given_values: list[int]) -> None:
    found, back = mann_kendall(given_values), mann_kendall(given_values[::-1])
    assert (back.s, back.p) == (-found.s, pytest.approx(found.p))
    assert mann_kendall(np.exp(np.array(given_values) / 2)) == found


def test_a_constant_has_no_trend() -> None:
    found = mann_kendall([0.2] * 9)
    assert (found.s, found.tau, found.z, found.p) == (0, 0, 0, 1)


def test_dependence_makes_p_too_small() -> None:
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.standard_normal((200, 40)), axis=1)  # no direction, yet steps depend on one another
    assert np.mean([mann_kendall(walk).p < 0.05 for walk in walks]) > 0.4
    tests = [trend(walks[start : start + 6]) for start in range(0, 198, 6)]
    assert np.mean([test.p < 0.05 for test in tests]) <= 0.1


def test_seeds_that_agree() -> None:
    rising = np.linspace(0, 1, 20) + 0.1 * np.random.default_rng(0).standard_normal((6, 20))
    found = trend(rising)
    assert (found.rising, found.falling) == (6, 0)
    assert found.p == pytest.approx(2 / 2**6)
    assert found.tau.low > 0.5
    assert found.taus.tolist() == [mann_kendall(row).tau for row in rising]
    assert trend(rising[:5]).p == pytest.approx(0.0625)
    mixed = trend(np.concatenate([rising[:5], -rising[:1], np.ones((2, 20))]))
    assert (mixed.rising, mixed.falling) == (5, 1)
    assert mixed.p == pytest.approx(14 / 64)
    assert mixed.tau.n == 8


def test_constant_seeds_have_none() -> None:
    found = trend(np.full((4, 10), 0.3))
    assert (found.rising, found.falling, found.p, found.shuffled) == (0, 0, 1, 0)
    assert (found.tau.mean, found.tau.low, found.tau.high) == (0, 0, 0)


def test_shuffled_is_the_spread_of_the_mean_under_shuffling() -> None:
    rng = np.random.default_rng(0)
    rows = np.round(np.linspace(0, 2, 12) + rng.standard_normal((3, 12)), 1)
    rows[0] = np.round(rows[0])  # ties
    rows[2] = np.arange(12) % 3  # S may be 0
    shuffles = [trend(rng.permuted(rows, axis=1)).tau.mean for _ in range(800)]
    assert trend(rows).shuffled == pytest.approx(np.std(shuffles), rel=0.08)
    assert np.mean(shuffles) == pytest.approx(0, abs=0.02)


@law
@given(st.integers(0, 10**6))
def test_shuffled_doesn_t_see_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 4, (3, 5)).astype(float)
    assert trend(rng.permuted(rows, axis=1)).shuffled == pytest.approx(trend(rows).shuffled)


def merge_indices(seed: int, lam: float) -> tuple[float, float]:
    """MI of a regression string and of its matched-noise control."""
    rng = np.random.default_rng(seed)
    inputs, fields = rng.standard_normal((2, 60, 2)), rng.standard_normal((2, 2))
    string, state = RegressionString(*inputs, *fields, 0.05, 0.3, lam), torch.from_numpy(rng.standard_normal(4))
    steps = string.step, matched_noise(string, state, seed=seed)
    own, control = (merge_index(torch.func.jacrev(step)(state).numpy(), [0, 1]).value for step in steps)
    return own, control


def test_blur_of_the_oracle_is_all_reflection() -> None:
    own, control = np.array([merge_indices(seed, 0.5) for seed in range(5)]).T
    found = blur(own, control)
    assert not control.any()
    assert found.sign == 1
    assert found.mean == pytest.approx(own.mean())
    assert found.n == 5
    frozen, noise = np.array([merge_indices(seed, 0) for seed in range(5)]).T
    assert (blur(frozen, noise).low, blur(frozen, noise).high) == (0, 0)


def test_blur_is_paired() -> None:
    control = np.array([0.1, 0.5, 0.9])
    found = blur(control + np.array([0.01, 0.02, 0.03]), control)
    assert found.mean == pytest.approx(0.02)
    assert found.high - found.low < 0.06
    assert blur(control, control + 0.1).sign == -1


def test_turning_the_dial_up_is_a_trend_that_its_controls_don_t_have() -> None:
    dial = np.linspace(0, 1, 8)
    both = np.array([[merge_indices(seed, lam) for lam in dial] for seed in range(6)])
    found, control = trend(both[..., 0]), trend(both[..., 1])
    assert found.taus.tolist() == [1] * 6
    assert found.p < 0.05
    assert found.tau.mean > 5 * found.shuffled
    assert (control.tau.mean, control.p) == (0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mann_kendall([1, 2]),
        lambda: mann_kendall([1, nan, 2]),
        lambda: mann_kendall([[1, 2, 3]]),
        lambda: trend([[1, 2, 3]]),
        lambda: trend([[1, 2], [1, 2]]),
        lambda: trend([1, 2, 3]),
        lambda: blur([0.5], [0.0]),
        lambda: blur([0.5, 0.6], [0.0]),
        lambda: blur([0.5, nan], [0.0, 0.0]),
        lambda: blur([0.5, 0.6], [0.0, nan]),
    ],
)
def test_what_has_no_trend_is_refused(call) -> None:
    with pytest.raises(MeasureError):
        call()
