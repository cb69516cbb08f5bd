"""What the comparison of arms is expected to show, as data, and what it does show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.measure.interval import Interval, paired
from sandbox.report.arms import Arm, named

LETTERS = {"own": "A", "process": "P", "process_calibrated": "P calibrated", "human": "H", "merge": "M"}

Outcome = Literal["holds", "reversed", "higher", "lower", "open"]


@dataclass(frozen=True)
class Claim:
    """`figure` of `arm` minus that of `other` has `sign` (0: nothing expected). M is set against the null of `other`.
    `name` says it in words; a `headline` is told in the closing sentence even where it holds."""

    name: str
    figure: str
    arm: str
    other: str
    sign: Literal[-1, 0, 1] = 0
    headline: bool = False


CLAIMS = (
    Claim("editing by P raises H", "human", "process", "fixed", 1),
    Claim("editing by P lowers P", "process", "process", "fixed", -1),
    Claim("its own trace lowers P beyond another seed's edits", "process", "process", "process_yoked", -1),
    Claim("its own trace raises H beyond another seed's edits", "human", "process", "process_yoked", 1),
    Claim("its own trace lowers P beyond the mean course", "process", "process", "process_mean_course", -1),
    Claim("", "human", "process", "process_mean_course"),  # added when its outcome was known: nothing is expected
    Claim("an agent that edits its loss by that very loss raises H", "human", "own", "fixed", 1, headline=True),
    Claim("also beyond the best constant", "human", "own", "best_constant", 1, headline=True),
    Claim("also beyond another seed's edits", "human", "own", "own_yoked", 1, headline=True),
    Claim("while raw P rises", "process", "own", "fixed", 1, headline=True),
    Claim("and calibrated P falls", "process_calibrated", "own", "fixed", -1, headline=True),
    Claim("the gate costs some H", "human", "own_gated", "own", -1),
    Claim("an editable scale costs H", "human", "own_scale", "own", -1, headline=True),
    Claim("given time, M passes its null", "merge", "merge_panel", "merge_panel", 1, headline=True),
    Claim("H is then above the fixed rule's", "human", "merge_panel", "merge_fixed", 1),
)
"""Of the arms of the default experiment. Each stands on its own interval: nothing is corrected for their number."""

ARMS = ("fixed", "best_constant", "process", "own", "own_gated", "own_scale", "process_yoked", "process_mean_course",
        "own_yoked", "merge_fixed", "merge_panel")  # fmt: skip
"""The same arms in the order in which they are told: parallel runs register in any."""


def in_order(arms: Iterable[Arm]) -> list[Arm]:
    """Known arms first, as told; the others after them, as they come."""
    return sorted(arms, key=lambda arm: ARMS.index(arm.name) if arm.name in ARMS else len(ARMS))


@dataclass(frozen=True)
class Difference:
    """A claim beside the interval of its paired difference, over the seeds that both arms share."""

    claim: Claim
    interval: Interval

    @property
    def outcome(self) -> Outcome:
        """By whether the interval excludes 0, and on which side."""
        sign, expected = self.interval.sign, self.claim.sign
        if not sign:
            return "open"
        if not expected:
            return "higher" if sign > 0 else "lower"
        return "holds" if sign == expected else "reversed"


def claims_for(arms: Sequence[Arm], against: str | None = None) -> list[Claim]:
    """The known claims whose arms are all here; or else each arm minus the reference, for P and H, and each M against
    its null. The reference is the first arm; naming another by `against` sets the known claims aside. Arms that live on
    another task than the reference's are not set against it."""
    names = [arm.name for arm in arms]
    known = [claim for claim in CLAIMS if {claim.arm, claim.other} <= set(names) and against is None]
    reference = arms[0] if against is None else named(arms, against)
    others = [] if known else [arm.name for arm in arms if arm is not reference and _same_task(arm, reference)]
    return [
        *known,
        *(Claim("", figure, name, reference.name) for figure in ("process", "human") for name in others),
        *(Claim("", "merge", name, name) for name in names if not known),
    ]


def _same_task(arm: Arm, other: Arm) -> bool:
    return arm.config.get("task") == other.config.get("task")


def differences(arms: Sequence[Arm], against: str | None = None) -> list[Difference]:
    """Every claim whose figures were read, measured."""
    found: list[Difference] = []
    for claim in claims_for(arms, against):
        arm, other = named(arms, claim.arm), named(arms, claim.other)
        a, b = arm.final(claim.figure), other.final("merge_null" if claim.figure == "merge" else claim.figure)
        if a is not None and b is not None:
            _, rows, columns = np.intersect1d(arm.seeds, other.seeds, return_indices=True)
            found.append(Difference(claim, paired(a[rows], b[columns])))
    return found


def sentence(found: Sequence[Difference]) -> str:
    """What the intervals say, in one sentence."""
    if not found:
        return "There is one arm and nothing to compare it with."
    counts = sorted({difference.interval.n for difference in found})
    over = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    clauses = [*_expected(found), *_unexpected(found)]
    return f"With 95 % intervals over {over} paired seeds, {'; '.join(clauses)}."


def _expected(found: Sequence[Difference]) -> list[str]:
    known = [d for d in found if d.claim.sign]
    if not known:
        return []

    def told(outcome: Outcome, *, headlines: bool = False) -> str:
        such = [d for d in known if d.outcome == outcome and (d.claim.headline or not headlines)]
        return ", ".join(f"{d.claim.name} ({d.interval.mean:+.3f})" for d in such)

    holding = sum(d.outcome == "holds" for d in known)
    clauses = [f"{holding} of {len(known)} expected differences hold"]
    if headlines := told("holds", headlines=True):
        clauses[0] += f": {headlines}"
    clauses += [f"the opposite is found of: {told('reversed')}"] if told("reversed") else []
    return clauses + ([f"open: {told('open')}"] if told("open") else [])


def _unexpected(found: Sequence[Difference]) -> list[str]:
    """One clause for each figure and reference."""
    pairs: dict[tuple[str, str], dict[Outcome, list[str]]] = {}
    for difference in found:
        claim = difference.claim
        if not claim.sign:
            than = "its null" if claim.figure == "merge" else claim.other
            by_outcome = pairs.setdefault((LETTERS[claim.figure], than), {})
            by_outcome.setdefault(difference.outcome, []).append(claim.arm)
    clauses: list[str] = []
    for (letter, than), by_outcome in pairs.items():
        parts = [f"{outcome} for {_listed(arms, 'and')}" for outcome, arms in sorted(by_outcome.items())]
        clauses.append(f"against {than}, {letter} is {', '.join(parts)}")
    return clauses


def _listed(names: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
