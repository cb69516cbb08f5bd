"""The questions that a sweep is looked at for, each answered by one ranked number with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sandbox.core.reading import Reading
from sandbox.measure.interval import Interval, interval, paired
from sandbox.report.arms import Arm
from sandbox.report.claims import Difference
from sandbox.report.readings import called, head, letter, told
from sandbox.report.study import Study

GATE, AUDIT = "gap/practice_gate", "gap/audit"
LINES = 6  # how many lines of a panel are told apart by colour; the others are grey


@dataclass(frozen=True)
class Question:
    """`ask` in words, `number` what is told, `answers` {place of the arm: its interval at the last step}. `above`,
    `below`, `open`: what it means that the interval lies on a side of 0, or holds it; empty where 0 means nothing.
    `first`: which end is told first. `missing`: what to do where no arm has an answer. `note`: what the answers leave
    open. `warns`: whether to lie above 0 is bad news. `tied`: how many arms are not told apart from the one that is
    told first, paired by seed."""

    ask: str
    number: str
    answers: dict[int, Interval]
    above: str = ""
    below: str = ""
    open: str = ""
    first: str = "higher"
    missing: str = ""
    note: str = ""
    warns: bool = False
    tied: int = 0

    @property
    def ranked(self) -> list[int]:
        """The places of the arms in the order in which they are told; those without a mean last."""
        sign = -1 if self.first == "higher" else 1
        return sorted(self.answers, key=lambda place: _or_last(sign * self.answers[place].mean))


def questions(arms: Sequence[Arm], study: Study) -> list[Question]:
    """Who merges, who overfits its gate, and how each objective fares."""
    readings = told(arms, study)
    asked = [_merges(arms, reading, readings) for reading in readings if reading.null and reading.headline]
    asked = asked or [Question("Which one merges?", "M minus its null", {}, missing="meter=[…,merge] reads M.")]
    objectives = [reading for reading in readings if reading.headline and reading.better and not reading.null]
    return [*asked, _overfits(arms), *(_fares(arms, reading) for reading in objectives if reading.name != "own")]


def _merges(arms: Sequence[Arm], reading: Reading, readings: Sequence[Reading]) -> Question:
    null = called(reading.null, readings)
    found: dict[int, Interval] = {}
    for place, arm in enumerate(arms):
        a, b = arm.final(reading.name), arm.final(null.name)
        if a is not None and b is not None:
            found[place] = paired(a, b)
    ask = "Which one merges?" if reading.name == "merge/m" else f"Which one passes its null: {reading.title}?"
    return Question(ask, f"{letter(reading)} − {null.title}", found, "above its null", "below its null",
                    "not told apart from its null")  # fmt: skip


def _overfits(arms: Sequence[Arm]) -> Question:
    """P on the audit's data minus P on the gate's, where some arm has both; or else P on the gate's minus P on
    practice, which tells of the practice data alone."""
    gate = {place: values for place, arm in enumerate(arms) if (values := arm.final(GATE)) is not None}
    audit = {place: values for place, arm in enumerate(arms) if (values := arm.final(AUDIT)) is not None}
    both = {place: paired(audit[place], gate[place]) for place in gate if place in audit}
    if both or not gate:
        return Question("Which one overfits its gate?", "P on the audit's data − P on the gate's", both, "overfits",
                        "no: the audit is easier", "no sign of it", warns=True,
                        missing="meter=[…,gap] reads P on practice, the gate's data and the audit's.")  # fmt: skip
    return Question("Which one overfits, as its gate sees it?", "P on the gate's data − P on practice",
                    {place: interval(values) for place, values in gate.items()}, "overfits its practice",
                    "no: the gate's data are easier", "no sign of it", warns=True,
                    note="Overfitting of the gate itself takes an audit, read where lives are episodic.")  # fmt: skip


def _fares(arms: Sequence[Arm], reading: Reading) -> Question:
    finals = {place: values for place, arm in enumerate(arms) if (values := arm.final(reading.name)) is not None}
    answers = {place: interval(values) for place, values in finals.items()}
    best = "highest" if reading.better == "higher" else "lowest"
    asked = Question(f"Where is {letter(reading)} {best}?", head(reading), answers, first=reading.better)
    return replace(asked, tied=_tied(arms, finals, asked.ranked[0])) if answers else asked


def _tied(arms: Sequence[Arm], finals: Mapping[int, np.ndarray], first: int) -> int:
    """How many arms have a reading whose paired difference from that of the first one's holds 0."""
    count = 0
    for place in finals.keys() - {first}:
        _, a, b = np.intersect1d(arms[first].seeds, arms[place].seeds, return_indices=True)
        count += not len(a) or paired(finals[first][a], finals[place][b]).sign == 0
    return count


def stand_out(arms: Sequence[Arm], asked: Sequence[Question], found: Sequence[Difference], study: Study) -> list[int]:
    """The places of the arms that are coloured at first, at most `LINES`: the reference, those of headline claims, the
    first of each question, then the others as they come."""
    names = {arm.name: place for place, arm in enumerate(arms)}
    reference = [study.reference] if study.reference else []
    claimed = [name for one in found if one.claim.headline for name in (one.claim.arm, one.claim.than)]
    first = [one.ranked[0] for one in asked if one.answers]
    wanted = [*(names[name] for name in (*reference, *claimed) if name in names), *first, *range(len(arms))]
    return list(dict.fromkeys(wanted))[:LINES]


def _or_last(value: float) -> float:
    return value if np.isfinite(value) else np.inf
