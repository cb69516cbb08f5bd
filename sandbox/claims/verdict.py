"""Verdicts: a difference, its interval, and what the criterion that was written before says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.stats import t

from sandbox.claims.claim import Comparison, EssayClaim
from sandbox.core.error import LineageError, did_you_mean, explain
from sandbox.measure.interval import Interval, interval, paired

Verdict = Literal["supported", "not supported", "undecided"]
Values = Mapping[int, float]
Evidence = Mapping[str, Mapping[str, Values]]
"""{arm: {reading: {seed: number}}}."""

LEVEL = 0.05


@dataclass(frozen=True)
class Row:
    """A comparison, measured: means of arm and control over their seeds, the interval of the paired difference,
    the p value of its criterion, and `holm`, the same corrected for all rows of its table."""

    claim: str
    comparison: Comparison
    measured: Interval
    control: Interval
    difference: Interval
    p: float
    holm: float
    ablation: str = ""

    @property
    def raw(self) -> Verdict:
        """By the 95 % interval alone: all of it where the criterion expects it, none of it, or some."""
        low, high = self.comparison.region
        if not np.isfinite([self.difference.low, self.difference.high]).all():
            return "undecided"
        if low < self.difference.low and self.difference.high < high:
            return "supported"
        return "not supported" if self.difference.high <= low or self.difference.low >= high else "undecided"

    @property
    def verdict(self) -> Verdict:
        """`raw`, where support also stands up to the number of comparisons; else undecided."""
        return "undecided" if self.raw == "supported" and self.holm > LEVEL else self.raw

    def told(self) -> dict[str, Any]:
        """As a line of JSON."""
        one = self.comparison
        return {"claim": self.claim, "comparison": one.name, "ablation": self.ablation, "says": one.say,
                "stands": one.stands,
                "reading": one.reading, "arm": one.arm, "than": one.than, "measured": self.measured.mean,
                "control": self.control.mean, "n": self.difference.n, "difference": self.difference.mean,
                "interval": [self.difference.low, self.difference.high], "criterion": one.criterion, "p": self.p,
                "holm": self.holm, "raw": self.raw, "verdict": self.verdict}  # fmt: skip


def rows(claim: EssayClaim, evidence: Evidence, ablation: str = "", of: Sequence[str] = ()) -> list[Row]:
    """Every comparison of a claim (or those named by `of`), not yet corrected for their number."""
    return [_row(claim.letter, one, evidence, ablation) for one in claim.comparisons if not of or one.name in of]


def _row(letter: str, one: Comparison, evidence: Evidence, ablation: str) -> Row:
    arm = _values(evidence, one.arm, one.reading)
    than = dict.fromkeys(arm, float(one.than)) if not isinstance(one.than, str) else (
        _values(evidence, one.than, one.minus or one.reading))  # fmt: skip
    seeds = sorted(arm)
    if {*arm} != {*than}:
        raise LineageError(explain(expected=f"the same seeds of {one.arm} and {one.than}",
                                   got=f"{seeds} and {sorted(than)}", do="Measure both anew."))  # fmt: skip
    a, b = (np.array([values[seed] for seed in seeds], float) for values in (arm, than))
    p = _p_value(a - b, one)
    return Row(letter, one, interval(a), interval(b), paired(a, b), p, p, ablation)


def _values(evidence: Evidence, arm: str, reading: str) -> Values:
    for name, known, what in ((arm, evidence, "an arm"), (reading, evidence.get(arm, {}), f"a reading of {arm}")):
        if name not in known:
            raise LineageError(explain(expected=f"{what}, measured", got=f"none called '{name}'",
                                       do=did_you_mean(name, known)))  # fmt: skip
    return evidence[arm][reading]


def _p_value(difference: Any, one: Comparison) -> float:
    """Of Student's t test that the mean difference lies outside the criterion's region; for `within` the larger of two
    (Schuirmann 1987). Differences that do not vary decide without one."""
    low, high = one.region
    n = len(difference)
    if n < 2 or not np.isfinite(difference).all():
        return 1.0
    mean, error = float(difference.mean()), float(difference.std(ddof=1) / n**0.5)
    sides = [(mean - low, np.isfinite(low)), (high - mean, np.isfinite(high))]
    inside = [distance for distance, bounded in sides if bounded]
    if error == 0:
        return float(min(inside) <= 0)
    return max(float(t.sf(distance / error, n - 1)) for distance in inside)


def corrected(found: Sequence[Row]) -> list[Row]:
    """The rows with their p values corrected for their number."""
    return [replace(row, holm=p) for row, p in zip(found, holm([row.p for row in found]), strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """p values so corrected for their number that the chance of one false rejection among all stays at the level that
    each is held to (Holm 1979)."""
    least, found = 0.0, dict[int, float]()
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        found[place] = least
    return [found[place] for place in range(len(p))]


def together(found: Sequence[Row]) -> Verdict:
    """Of a whole claim, by the comparisons that stand for it: supported where all are, not supported where one is not,
    else undecided."""
    said = {row.verdict for row in found if row.comparison.stands == "for"}
    if said == {"supported"}:
        return "supported"
    return "not supported" if "not supported" in said else "undecided"
