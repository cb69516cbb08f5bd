"""The intermediate-optimiser gap where the answer is known: gradients, rotations, hierarchies and their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from sandbox.measure.error import MeasureError
from sandbox.measure.integrability import integrability
from tests.measure.systems import plain_training

law = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10**6)


def step(k) -> NDArray[np.float64]:
    k = np.asarray(k, float)
    return k + np.eye(len(k))


def symmetric(seed: int, n: int) -> NDArray[np.float64]:
    a = np.random.default_rng(seed).standard_normal((n, n))
    return a + a.T


@law
@given(seeds, st.integers(1, 12))
def test_descent_of_a_scalar_has_no_gap(seed: int, n: int) -> None:
    found = integrability(step(-symmetric(seed, n)))
    assert found.gap < 1e-24
    assert found.raw == found.one_way == 0
    assert found.rates == pytest.approx(np.ones(n))


@law
@given(seeds, st.integers(2, 12), st.floats(0, 4))
def test_nor_has_descent_at_any_rates_and_the_rates_are_found(seed: int, n: int, spread: float) -> None:
    rates = 10 ** np.random.default_rng(seed).uniform(-spread, spread, n)
    found = integrability(step(-rates[:, None] * symmetric(seed, n)))
    assert found.gap < 1e-12  # rounding of J, of relative size 1e-16 times the greatest over the least rate
    assert found.rates == pytest.approx(rates / np.exp(np.log(rates).mean()), rel=1e-4)
    assert found.spread == pytest.approx(rates.max() / rates.min(), rel=1e-4)


def test_preconditioned_descent_of_a_quartic_by_its_jacobian() -> None:
    coupled = torch.tensor([[1.0, 0.5, 0.2], [0.5, 2.0, -0.3], [0.2, -0.3, 1.5]], dtype=torch.float64)
    rates = torch.tensor([0.01, 0.3, 1.0], dtype=torch.float64)

    def descend(z: torch.Tensor) -> torch.Tensor:
        return z - rates * torch.func.grad(lambda y: y @ coupled @ y / 2 + (y.sum() ** 4) / 4)(z)

    found = integrability(torch.func.jacrev(descend)(torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)))
    assert found.gap < 1e-28
    assert found.raw > 0.05


@pytest.mark.parametrize("k", [[[0, -1], [1, 0]], [[0, -4], [1, 0]], [[0, 1e-3], [-1e3, 0]]])
def test_a_rotation_in_any_units_is_one(k: list[list[float]]) -> None:
    assert integrability(step(k)).gap == pytest.approx(1, abs=1e-12)


def test_a_ring_is_a_half_its_influences_return_but_not_by_the_way_they_came() -> None:
    found = integrability(step([[0, 8, 0], [0, 0, 1], [1, 0, 0]]))
    assert found.gap == pytest.approx(0.5, abs=1e-12)
    assert found.one_way == 0


def test_saddle_and_spiral_by_hand() -> None:
    assert integrability(step([[2, 1], [1, -3]])).gap == pytest.approx(0, abs=1e-28)
    assert integrability(step([[-1, -1], [1, -1]])).gap == pytest.approx(0.5)
    assert integrability(step([[-1, -9], [1, -1]])).gap == pytest.approx(18 / 20)  # balanced: 1, 1, and -3 against 3


def test_a_hierarchy_has_no_gap_of_its_own_and_says_that_it_is_one() -> None:
    found = integrability(step([[1, 1], [0, 1]]))
    assert (found.gap, found.spread) == (0, 1)
    assert found.one_way == pytest.approx(1 / 3)
    assert found.raw == pytest.approx(1 / 6)
    trained = integrability(plain_training().jacobian)  # descent given a frozen rule
    assert trained.gap < 1e-24
    assert trained.one_way > 0.1


@law
@given(seeds)
def test_a_weak_return_is_the_limit_of_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, back = rng.standard_normal((5, 5)), np.zeros((5, 5))
    k[3:, :3] = 0
    back[3:, :3] = rng.standard_normal((2, 3))
    gaps = [integrability(step(k + c * back)).gap for c in (0, 1e-12, 1e-8)]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=1e-3)


def test_a_least_share_over_row_scales_is_no_measure() -> None:
    """Why the module balances: that infimum is at most 1/2 for a rotation and 0 for a hierarchy."""

    def least(k: NDArray[np.float64]) -> float:
        def share(log_ratio: NDArray[np.float64]) -> float:
            scaled = np.exp([0, log_ratio[0]])[:, None] * k
            return float(np.square(scaled - scaled.T).sum() / np.square(scaled).sum() / 4)

        return min(float(minimize(share, [x], bounds=[(-20, 20)]).fun) for x in (-5.0, 5.0))

    assert least(np.array([[0.0, -1.0], [1.0, 0.0]])) == pytest.approx(0.5, abs=1e-3)
    assert least(np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx(0, abs=1e-3)


def test_independent_entries_read_about_half() -> None:
    found = [integrability(step(np.random.default_rng(s).standard_normal((20, 20)))) for s in range(40)]
    assert np.mean([each.gap for each in found]) == pytest.approx(0.475, abs=0.02)  # (1 - 1/n)/2
    assert np.mean([each.raw for each in found]) == pytest.approx(0.475, abs=0.02)


@law
@given(seeds, st.integers(2, 10), st.floats(0.1, 1))
def test_units_order_and_a_common_rate_change_nothing(seed: int, n: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    k = rng.standard_normal((n, n)) * (rng.random((n, n)) < density)
    units, order = 10 ** rng.uniform(-2, 2, n), rng.permutation(n)
    found = integrability(step(k))
    assert 0 <= found.gap <= 1 + 1e-12
    assert integrability(step(units[:, None] * k / units)).gap == pytest.approx(found.gap, abs=1e-7)
    assert integrability(step(k[np.ix_(order, order)])).gap == pytest.approx(found.gap, abs=1e-9)
    assert integrability(step(-0.01 * k)).gap == pytest.approx(found.gap, abs=1e-9)
    assert integrability(step(k.T)).gap == pytest.approx(found.gap, abs=1e-9)


def test_influences_of_very_different_strength_still_balance() -> None:
    rng = np.random.default_rng(0)
    for trial in range(60):
        k = rng.standard_normal((8, 8)) * 10.0 ** rng.uniform(-40 if trial % 2 else -6, 0, (8, 8))
        np.fill_diagonal(k, 0 if trial % 2 else -1)
        found = integrability(step(k))
        assert 0 <= found.gap <= 1
        assert np.log(found.rates).sum() == pytest.approx(0, abs=1e-6)
        balanced = np.square(k / np.sqrt(found.rates)[:, None] * np.sqrt(found.rates))
        assert balanced.sum(axis=0) == pytest.approx(balanced.sum(axis=1), abs=1e-12 * balanced.sum())


def test_units_of_any_size_are_undone() -> None:
    rng = np.random.default_rng(0)
    k, units = rng.standard_normal((12, 12)), 10 ** rng.uniform(-30, 30, 12)
    np.fill_diagonal(k, 0)
    assert integrability(step(units[:, None] * k / units)).gap == pytest.approx(integrability(step(k)).gap, abs=1e-9)


def test_weak_influences_balance_beside_strong_inner_pulls() -> None:
    found = integrability(step([[-1, 4e-6], [-1e-6, -1]]))
    assert found.spread == pytest.approx(4)
    assert found.rates[0] == pytest.approx(2)


def test_a_constant_update_is_a_gradient() -> None:
    found = integrability(np.eye(3))
    assert (found.gap, found.one_way, found.raw, found.spread) == (0, 0, 0, 1)


@pytest.mark.parametrize("j", [np.ones((2, 3)), np.full((2, 2), np.inf), [1.0]])
def test_what_is_no_jacobian_is_refused(j) -> None:
    with pytest.raises(MeasureError):
        integrability(j)
