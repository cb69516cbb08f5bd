"""Mean and 95 % interval over seeds: Student's t below ten of them, the percentile bootstrap from ten."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sandbox.measure.error import wrong

COVER = 0.95
BOOTSTRAP_FROM = 10  # with three seeds its 95 % interval covers 74 %, Student's 93 %
RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean, the ends of its 95 % interval, and the number of values. One value has no interval: its ends are NaN.
    A value that is not finite makes all three NaN: leaving it out would flatter."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies above or below 0, else 0 (also where there is no interval)."""
        return int(self.low > 0) - int(self.high < 0)


def interval(values: ArrayLike) -> Interval:
    """The interval of the mean of `values` [n]."""
    values = np.asarray(values, float)
    if not len(values):
        return Interval(nan, nan, nan, 0)
    mean, low, high = (float(figure[0]) for figure in bands(values[None]))
    return Interval(mean, low, high, len(values))


def paired(a: ArrayLike, b: ArrayLike) -> Interval:
    """The interval of the mean of a - b, both [n] in the same order of seeds."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        got = f"{len(a)} values against {len(b)}"
        raise wrong(expected="pairs", got=got, do="Keep the shared seeds, in one order.")
    return interval(np.where(np.isfinite(a) & np.isfinite(b), a, nan) - np.where(np.isfinite(b), b, nan))


def bands(values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, low and high [rows] over the last axis of `values` [rows, n], n ≥ 1.

    Every row is resampled alike, from a generator of a fixed seed: the same values give the same interval.
    """
    values = np.asarray(values, float)
    values = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, nan)
    n = values.shape[1]
    first = values[:, :1]
    apart = values - first  # so that constant rows stay exact
    shift = apart.mean(axis=1, keepdims=True)
    mean = (first + shift)[:, 0]
    if n == 1:
        return mean, np.full_like(mean, nan), np.full_like(mean, nan)
    if n < BOOTSTRAP_FROM:
        from scipy.special import stdtrit

        half = stdtrit(n - 1, (1 + COVER) / 2) * apart.std(axis=1, ddof=1) / n**0.5
        return mean, mean - half, mean + half
    low, high = np.quantile((apart - shift) @ _shares(n), [(1 - COVER) / 2, (1 + COVER) / 2], axis=1)
    return mean, mean + low, mean + high


@lru_cache(maxsize=4)
def _shares(n: int) -> NDArray[np.float64]:
    """[n, resamples]: the share of each resample that each value makes up."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).T / n
