"""Whether a figure rises over the steps of a run, and whether it is more than its control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest, kendalltau

from sandbox.measure.array import Array, array
from sandbox.measure.error import wrong
from sandbox.measure.interval import Interval, interval, paired


@dataclass(frozen=True)
class MannKendall:
    """`s`: pairs of steps over which the value rises, less those over which it falls. `tau` in [-1, 1]: Kendall's
    tau-b, 1 where it rises at every step, 0 where it has no direction or is constant. `z`: s over its standard
    deviation under any order, ties counted, without correction for continuity. `p` in [0, 1], two-sided: exact where
    SciPy counts the orders (short or nearly monotone series without ties), otherwise that of z."""

    s: int
    tau: float
    z: float
    p: float


@dataclass(frozen=True, eq=False)
class Trend:
    """`taus` [seeds] with the interval of their mean, and how many are `rising` and `falling`; `p` in [0, 1] is the
    two-sided sign test of these, 1 where no seed has a direction. `shuffled` ≥ 0 is the null: the standard deviation
    that the mean tau would have if the steps of each seed came in random order."""

    tau: Interval
    taus: Array
    rising: int
    falling: int
    p: float
    shuffled: float


def mann_kendall(values: Any) -> MannKendall:
    """The trend of `values` [T] (Mann 1945, Kendall 1975). Raises for fewer than three, and for what is not finite.

    It assumes that the values are independent given the trend. Those of successive steps are not, so that p is too
    small, often by far: over seeds, which are independent, see `trend`.
    """
    found = array(values, "values", [None])
    if len(found) < 3:
        raise wrong(expected="at least three values", got=f"{len(found)}", do="Two always have a direction.")
    s = int(np.triu(np.sign(found - found[:, None])).sum())
    most, deviation = _orders(found)
    if deviation == 0:
        return MannKendall(0, 0.0, 0.0, 1.0)
    test: Any = kendalltau(np.arange(len(found)), found)
    return MannKendall(s, s / most, s / deviation, float(test.pvalue))


def trend(values: Any) -> Trend:
    """Whether seeds agree on a direction, from `values` [seeds, T].

    Believe the sign test and the interval, for which only seeds need be independent; five seeds that agree have
    p = .06, six .03. `shuffled` assumes as much as `mann_kendall` does. For the other nulls give the values of their
    runs: frozen outer, edits in another order, matched noise (`oracle.matched_noise`), the last also to `blur`. Raises
    for fewer than two seeds or three steps, and for what is not finite.
    """
    found = array(values, "values", [None, None])
    if len(found) < 2:
        raise wrong(expected="values [seeds, T] of two seeds at least", got=f"{list(found.shape)}",
                    do="For one run see `mann_kendall`, and its caveat.")  # fmt: skip
    each = [mann_kendall(row) for row in found]
    taus = np.array([one.tau for one in each])
    rising, falling = int((taus > 0).sum()), int((taus < 0).sum())
    p = float(binomtest(rising, rising + falling).pvalue) if rising + falling else 1.0
    spreads = [deviation / most if most > 0 else 0.0 for most, deviation in map(_orders, found)]
    return Trend(interval(taus), taus, rising, falling, p, float(np.linalg.norm(spreads)) / len(found))


def blur(reflective: Any, matched: Any) -> Interval:
    """MI of reflective runs [seeds] less that of their matched-noise controls [seeds], with its interval over pairs.

    In [-1, 1]. Where nothing of the agent reaches the outer in the control its MI is 0 exactly, so an interval that
    excludes 0 is the work of reflection. Raises for fewer than two seeds, and for what is not finite.
    """
    found = array(reflective, "the reflective runs' MI", [None])
    if len(found) < 2:
        raise wrong(expected="MI [seeds] of two seeds at least", got=f"{len(found)}", do="One run has no interval.")
    return paired(found, array(matched, "their controls' MI", found.shape))


def _orders(values: Array) -> tuple[float, float]:
    """Over all orders of the values: what S is divided by for tau-b, and the standard deviation of S (Kendall 1975)."""
    n, ties = len(values), np.unique(values, return_counts=True)[1]
    pairs, tied = n * (n - 1) / 2, (ties * (ties - 1) / 2).sum()
    variance = n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()
    return float(np.sqrt(pairs * (pairs - tied))), float(np.sqrt(variance / 18))
