from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from sandbox.measure.error import MeasureError
from sandbox.measure.interval import bands, interval, paired


def test_below_ten_it_is_students() -> None:
    found = interval([1.0, 2.0, 3.0])
    half = 0.95 * (2 / (1 - 0.95**2)) ** 0.5 / 3**0.5  # the quantile of two degrees of freedom in closed form; sd 1
    assert (found.mean, found.n) == (2.0, 3)
    assert found.low == pytest.approx(2 - half, abs=1e-8)
    assert found.high == pytest.approx(2 + half, abs=1e-8)


def test_from_ten_it_is_the_percentile_bootstrap_of_scipy() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(5).exponential(size=25)  # skewed, so that a symmetric interval would differ
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000).confidence_interval
    ours = interval(values)
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)
    assert ours.high - ours.mean > 1.05 * (ours.mean - ours.low)
    assert interval(values) == ours


@pytest.mark.parametrize("n", [3, 49])
def test_constant_values_have_no_width(n: int) -> None:
    found = interval([0.1] * n)
    assert (found.mean, found.low, found.high) == (0.1, 0.1, 0.1)
    assert found.sign == 1


def test_one_value_has_no_interval() -> None:
    found = interval([0.7])
    assert (found.mean, found.n, found.sign) == (0.7, 1, 0)
    assert isnan(found.low)
    assert isnan(found.high)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 4, 32])
def test_what_is_not_finite_is_not_left_out(bad: float, n: int) -> None:
    found = interval([*np.arange(n - 1.0), bad])
    assert isnan(found.mean)
    assert isnan(found.low)
    assert (found.n, found.sign) == (n, 0)
    assert isnan(paired([bad] * n, [bad] * n).mean)


def test_no_value_at_all_is_no_figure() -> None:
    found = interval([])
    assert isnan(found.mean)
    assert found.n == 0


def test_pairs_cancel_what_they_share() -> None:
    shared = np.random.default_rng(1).normal(size=32) * 100
    found = paired(shared - 0.5, shared)
    assert found.mean == pytest.approx(-0.5)
    assert found.high - found.low < 1e-6
    assert found.sign == -1
    with pytest.raises(MeasureError, match="3 values against 2"):
        paired([1, 2, 3], [1, 2])


@pytest.mark.parametrize("n", [5, 20])
def test_each_row_of_a_band_is_the_interval_of_that_row(n: int) -> None:
    rows = np.random.default_rng(2).normal(size=(3, n))
    mean, low, high = bands(rows)
    alone = [interval(row) for row in rows]
    assert mean == pytest.approx([row.mean for row in alone])
    assert low == pytest.approx([row.low for row in alone])
    assert high == pytest.approx([row.high for row in alone])
