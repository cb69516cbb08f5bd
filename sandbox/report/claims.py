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
    `name` completes the words "it holds that"."""

    name: str
    figure: str
    arm: str
    other: str
    sign: Literal[-1, 0, 1] = 0


CLAIMS = (
    Claim("editing by P raises H", "human", "process", "fixed", 1),
    Claim("editing by its own loss raises H", "human", "own", "fixed", 1),
    Claim("editing by P lowers P", "process", "process", "fixed", -1),
    Claim("editing by its own loss raises raw P", "process", "own", "fixed", 1),
    Claim("editing by its own loss lowers calibrated P", "process_calibrated", "own", "fixed", -1),
    Claim("its own trace lowers P further than another seed's edits", "process", "process", "process_yoked", -1),
    Claim("its own trace raises H further than another seed's edits", "human", "process", "process_yoked", 1),
    Claim("its own trace lowers P further than the mean course", "process", "process", "process_mean_course", -1),
    Claim("the gate costs some H", "human", "own_gated", "own", -1),
    Claim("an editable scale costs H", "human", "own_scale", "own", -1),
    Claim("given time, teacher and taught merge beyond the null", "merge", "merge_panel", "merge_panel", 1),
)
"""Of the arms of the default experiment."""

ARMS = ("fixed", "process", "own", "own_gated", "own_scale", "process_yoked", "process_mean_course", "merge_panel")
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
    its null. The reference is the first arm; naming another by `against` sets the known claims aside."""
    names = [arm.name for arm in arms]
    known = [claim for claim in CLAIMS if {claim.arm, claim.other} <= set(names) and against is None]
    reference = names[0] if against is None else named(arms, against).name
    others = [] if known else [name for name in names if name != reference]
    return [
        *known,
        *(Claim("", figure, name, reference) for figure in ("process", "human") for name in others),
        *(Claim("", "merge", name, name) for name in names if not known),
    ]


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
    def such(outcome: Outcome) -> list[str]:
        return [d.claim.name for d in found if d.claim.sign and d.outcome == outcome]

    clauses: list[str] = []
    if names := such("holds"):
        clauses.append(f"it holds that {_listed(names, 'and that')}")
    if names := such("reversed"):
        clauses.append(f"the opposite holds of the claim that {_listed(names, 'and that')}")
    if names := such("open"):
        clauses.append(f"it stays open whether {_listed(names, 'and whether')}")
    return clauses


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
