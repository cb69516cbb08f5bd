"""What the comparison of arms is expected to show, by their study, and what it does show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.core.reading import Reading
from sandbox.measure.interval import Interval, paired
from sandbox.report.arms import Arm, named
from sandbox.report.readings import called, letter, told
from sandbox.report.study import Claim, Study

NAMED = 8  # arms that a sentence names; of more it tells the number
Outcome = Literal["holds", "reversed", "higher", "lower", "open"]


def in_order(arms: Iterable[Arm], study: Study) -> list[Arm]:
    """The arms of the study first, as told (parallel runs register in any order); the others after them."""
    names = study.arms
    return sorted(arms, key=lambda arm: names.index(arm.name) if arm.name in names else len(names))


@dataclass(frozen=True)
class Difference:
    """A claim beside the interval of its paired difference, over the seeds that both arms share. `letter` is what its
    reading is called in short."""

    claim: Claim
    interval: Interval
    letter: str = ""

    @property
    def than(self) -> str:
        return self.claim.than or "its null"

    @property
    def outcome(self) -> Outcome:
        """By whether the interval excludes 0, and on which side."""
        sign, expected = self.interval.sign, self.claim.sign
        if not sign:
            return "open"
        if not expected:
            return "higher" if sign > 0 else "lower"
        return "holds" if sign == expected else "reversed"


def claims_for(arms: Sequence[Arm], study: Study, against: str | None = None) -> list[Claim]:
    """The study's claims whose arms are all here; or else each arm minus the reference, for every headline that has a
    better side, and each headline against its null. The reference is the study's or the first arm; naming another by
    `against` sets the study's claims aside. Arms that live on another task than the reference's are not set against it.
    """
    names = [arm.name for arm in arms]
    known = [claim for claim in study.claims if {claim.arm, claim.than or claim.arm} <= set(names)]
    if known and against is None:
        return known
    reference = named(arms, against) if against else next((arm for arm in arms if arm.name == study.reference), arms[0])
    others = [arm.name for arm in arms if arm is not reference and _same_task(arm, reference)]
    headlines = [reading for reading in told(arms, study)[1:] if reading.headline]
    return [
        *(Claim(reading.name, name, reference.name) for reading in headlines if reading.better for name in others),
        *(Claim(reading.name, name) for reading in headlines if reading.null for name in names),
    ]


def _same_task(arm: Arm, other: Arm) -> bool:
    return arm.config.get("task") == other.config.get("task")


def differences(arms: Sequence[Arm], study: Study, against: str | None = None) -> list[Difference]:
    """Every claim whose readings were taken, measured."""
    readings = told(arms, study)
    found: list[Difference] = []
    for claim in claims_for(arms, study, against):
        arm, other = named(arms, claim.arm), named(arms, claim.than or claim.arm)
        reading = called(claim.reading, readings)
        a, b = arm.final(reading.name), other.final(reading.name if claim.than else reading.null)
        if a is not None and b is not None:
            _, rows, columns = np.intersect1d(arm.seeds, other.seeds, return_indices=True)
            found.append(Difference(claim, paired(a[rows], b[columns]), _told_apart(reading, readings)))
    return found


def _told_apart(reading: Reading, readings: Sequence[Reading]) -> str:
    """What a reading is called in short; where two headlines are called so, with the group of its name."""
    so = letter(reading)
    alike = [one for one in readings if one.headline and letter(one) == so and one.title != reading.title]
    return f"{so} ({reading.name.partition('/')[0]})" if alike else so


def sentence(found: Sequence[Difference], arms: int = 1) -> str:
    """What the intervals say, in one sentence, of so many arms."""
    if not found:
        several = "Nothing is compared: no headline of these arms has a better side, and no study makes claims of them."
        return several if arms > 1 else "There is one arm and nothing to compare it with."
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
        return ", ".join(f"{d.claim.say} ({d.interval.mean:+.3f})" for d in such)

    holding = sum(d.outcome == "holds" for d in known)
    clauses = [f"{holding} of {len(known)} expected differences hold"]
    if headlines := told("holds", headlines=True):
        clauses[0] += f": {headlines}"
    clauses += [f"the opposite is found of: {told('reversed')}"] if told("reversed") else []
    return clauses + ([f"open: {told('open')}"] if told("open") else [])


def _unexpected(found: Sequence[Difference]) -> list[str]:
    """One clause for each reading and reference."""
    pairs: dict[tuple[str, str], dict[Outcome, list[str]]] = {}
    for difference in found:
        if not difference.claim.sign:
            by_outcome = pairs.setdefault((difference.letter, difference.than), {})
            by_outcome.setdefault(difference.outcome, []).append(difference.claim.arm)
    clauses: list[str] = []
    for (called_so, than), by_outcome in pairs.items():
        parts = [f"{outcome} for {_those(arms, outcome)}" for outcome, arms in sorted(by_outcome.items())]
        clauses.append(f"against {than}, {called_so} is {', '.join(parts)}")
    return clauses


def _those(arms: Sequence[str], outcome: Outcome) -> str:
    """Of many arms that nothing is known of, their number will do."""
    return f"{len(arms)} arms" if outcome == "open" and len(arms) > NAMED else listed(arms)


def listed(names: Sequence[str]) -> str:
    """The names in words, of many the first and how many others there are."""
    if len(names) > NAMED + 1:
        names = [*names[:NAMED], f"{len(names) - NAMED} others"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
