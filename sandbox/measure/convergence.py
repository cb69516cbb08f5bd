"""How a distance settles over the steps of a run: its level and pace, when two meet, and what became of all three."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize_scalar

from sandbox.measure.array import Array, array
from sandbox.measure.error import wrong
from sandbox.measure.interval import Interval, interval

ROUNDING = 1e-12  # change, relative to the largest distance, that is none
STRAIGHT = 1e-3  # time constants that a run covers, below which its bend is rounding
FASTEST = 8.0  # decay per step, the end of the search; a curve as fast has jumped
SLOWEST, GROWTH = 0.01, 10.0  # decay over the run, next to none, and the largest growth over the run
PERIODIC = 0.5  # autocorrelation from which a curve repeats itself
UNSLOWED = 0.9  # change in a quarter of the run relative to the quarter before, from which it isn't slowing

Kind = Literal["approach", "straight", "diverging", "constant"]
KINDS: dict[int, Kind] = {1: "approach", 0: "straight", -1: "diverging"}  # by the sign of the rate
Outcome = Literal["divergence", "cycle", "aligned merge", "string", "collusive merge", "failure"]


@dataclass(frozen=True)
class Approach:
    """d_t = `level` + c `factor`^t with `factor` = exp(-1/`tau`), all as intervals over seeds, and the `change` from
    start to end. `misfit` in [0, 1] is the largest distance of the mean curve from its fit, as a share of its range:
    beyond the noise it is no single exponential, and level and tau are not to be believed.

    `factor` ≥ 0 is what is left of the way after each step; near a fixed point it is the spectral radius ρ(J). `tau` is
    in steps. Kinds: "approach", the factor lies below 1; "straight", its interval reaches 1, so no levelling off was
    seen; "diverging", it lies above 1; "constant", the interval of the change contains 0 (as with two seeds it mostly
    does), the level is the mean, tau and factor are 0. A curve that is straight or diverging has its level anywhere
    beyond its end: infinite, with an interval from there. Nothing is NaN.
    """

    kind: Kind
    level: Interval
    tau: Interval
    factor: Interval
    change: Interval
    misfit: float


def approach(curves: Any) -> Approach:
    """Least squares of an exponential through the mean of `curves` [seeds, T + 1], its start being fitted too.

    It is one exponential: leave out the steps before the slowest mode is alone. `change` is from the first step to the
    mean of the last tenth. Intervals are over seeds, from jackknife pseudo-values (Tukey 1958): with 3 and 5 seeds
    these covered 94 to 96 %, the percentile bootstrap of the curves, whose means vary too little, 72 to 85; with 10 and
    20 both 90 to 93. Raises for fewer than two seeds or four steps, and for what is not finite.
    """
    found = array(curves, "curves", [None, None])
    n, size = found.shape
    if n < 2 or size < 4:
        raise wrong(expected="curves [seeds, T + 1] of two seeds and four steps at least", got=f"{list(found.shape)}",
                    do="One run has no interval, and three numbers fit anything.")  # fmt: skip
    moved = found[:, -max(1, size // 10) :].mean(axis=1) - found[:, 0]
    change = interval(np.where(np.abs(moved) > ROUNDING * np.abs(found).max(), moved, 0))
    if change.sign == 0:
        none = Interval(0.0, 0.0, 0.0, n)
        return Approach("constant", interval(found.mean(axis=1)), none, none, change, _misfit(found.mean(axis=0), 0.0))
    whole = np.array(_fit(found.mean(axis=0)))
    without = np.array([_fit(np.delete(found, one, axis=0).mean(axis=0)) for one in range(n)])
    rate, level = map(interval, (n * whole - (n - 1) * without).T)
    factor = _falling(rate, lambda k: exp(-k))
    tau = _falling(rate, lambda k: 1 / k if k > 0 else inf)
    sign = rate.sign if abs(rate.mean) * size > STRAIGHT else 0
    if sign <= 0:
        end, beyond = float(found[:, -1].mean()), inf if change.mean > 0 else -inf
        level = Interval(beyond, min(end, beyond), max(end, beyond), n)
    return Approach(KINDS[sign], level, tau, factor, change, _misfit(found.mean(axis=0), whole[0]))


def merge_time(distance: Any, delta: float) -> Array:
    """[...]: the first step from which a distance [..., T + 1] stays at or below `delta`; infinite where it never does.

    The end of the run is taken for the end of time: the last step alone being near counts.
    """
    near = array(distance, "distances") <= delta
    if not near.ndim or not near.shape[-1]:
        raise wrong(expected="distances [..., T + 1]", got=f"{list(near.shape)}", do="Give them step by step.")
    left = np.argmax(~near[..., ::-1], axis=-1)  # steps at the end that are near, where not all are
    stays = np.where(near.all(axis=-1), 0, near.shape[-1] - left)
    return np.where(near[..., -1], stays, inf)


def outcome(distances: Any, *, threshold: float = 0.1) -> Outcome:
    """What became of one run, from d(H, P), d(P, A) and d(H, A) [3, T + 1]. The first of these that holds:

    - "divergence": one is not finite, or in the last quarter of the run its maximum rises by more than `threshold` and
      by at least 9/10 of what it rose by in the quarter before.
    - "cycle": in the second half of the run one both rises and falls by more than `threshold`, and its autocorrelation,
      less a linear trend, falls below 0 and then exceeds 1/2, which it can't do at a lag of half that window. So two
      periods and a bit must be seen, and no monotone curve qualifies.
    - by means over the last tenth, small being at most `threshold`: d(H, A) is small, and so is a leg ("aligned merge")
      or neither ("string").
    - "collusive merge": d(P, A) is small, and d(H, A) has not fallen by more than `threshold` since the start.
    - "failure": anything else. Also P and A that met on their way to the human, and not at it.

    That P and A have met says nothing of the human. Raises for fewer than eight steps and a threshold that isn't
    positive.
    """
    found = np.asarray(distances, float)
    if found.ndim != 2 or len(found) != 3 or found.shape[1] < 8:
        raise wrong(expected="d(H, P), d(P, A) and d(H, A) [3, T + 1] over eight steps or more",
                    got=f"{list(found.shape)}", do="Give one run at a time, from its start.")  # fmt: skip
    if not threshold > 0:
        raise wrong(expected="a threshold > 0", got=f"{threshold}", do="Say how near is near.")
    if not np.isfinite(found).all() or any(_diverges(curve, threshold) for curve in found):
        return "divergence"
    if any(_cycles(curve, threshold) for curve in found):
        return "cycle"
    end = found[:, -max(1, found.shape[1] // 10) :].mean(axis=1)
    to_process, between, to_agent = end <= threshold
    if to_agent:
        return "aligned merge" if to_process or between else "string"
    return "collusive merge" if between and end[2] >= found[2, 0] - threshold else "failure"


def _fit(curve: Array) -> tuple[float, float]:
    """Rate k and level of level + c exp(-k t): for each k a linear fit, so only k is searched for."""
    t, span = np.arange(len(curve), dtype=float), len(curve) - 1
    growth, decay = np.geomspace(GROWTH / span, SLOWEST / span, 16), np.geomspace(SLOWEST / span, FASTEST, 64)
    rates = np.concatenate([-growth, [0], decay])

    def miss(k: float) -> float:
        bend = _bend(k, t)
        return -(float(bend @ curve) ** 2) / float(bend @ bend)

    best = int(np.argmin([miss(k) for k in rates]))
    ends = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
    found = minimize_scalar(miss, bounds=ends, method="bounded", options={"xatol": 1e-10 / span})
    k = float(found.x)  # pyright: ignore[reportAttributeAccessIssue]
    bend = _bend(k, t)
    slope = float(bend @ curve) / float(bend @ bend)
    return k, float(curve.mean() + slope * (bend[0] + (1 / k if k else 0)))


def _misfit(curve: Array, k: float) -> float:
    """The largest distance of a curve to its fit of rate k (0: a straight line), over its range."""
    bend = _bend(k, np.arange(len(curve), dtype=float))
    apart = curve - curve.mean() - float(bend @ curve) / float(bend @ bend) * bend
    return float(np.abs(apart).max() / np.ptp(curve)) if np.ptp(curve) > 0 else 0.0


def _bend(k: float, t: Array) -> Array:
    """(1 - exp(-k t)) / k less its mean: t at k = 0, and the same family on both sides of it."""
    bend = -np.expm1(-k * t) / k if k else t
    return bend - bend.mean()


def _falling(rate: Interval, of: Callable[[float], float]) -> Interval:
    """The interval of a falling function of the rate."""
    return Interval(of(rate.mean), of(rate.high), of(rate.low), rate.n)


def _diverges(curve: Array, threshold: float) -> bool:
    _, second, third, last = (quarter.max() for quarter in np.array_split(curve, 4))
    return last - third > threshold and last - third >= UNSLOWED * (third - second)


def _cycles(curve: Array, threshold: float) -> bool:
    settled = curve[len(curve) // 2 :]
    fall = (np.maximum.accumulate(settled) - settled).max()
    rise = (settled - np.minimum.accumulate(settled)).max()
    if min(fall, rise) <= threshold:
        return False
    t = np.arange(len(settled))
    rest = settled - np.polyval(np.polyfit(t, settled, 1), t)
    correlation = np.correlate(rest, rest, "full")[len(rest) - 1 :] / max(float(rest @ rest), np.finfo(float).tiny)
    below = np.flatnonzero(correlation < 0)
    return bool(len(below)) and bool((correlation[below[0] :] > PERIODIC).any())
