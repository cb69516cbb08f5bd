"""Which numbers a report tells, in what order and under what titles: what meters say of their readings decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sandbox.core.reading import Reading
from sandbox.lines.readings import described
from sandbox.report.arms import Arm
from sandbox.report.study import Study

NOTHING = Study()

OWN = Reading("own", "A, its own objective", "lower", unit="own loss", headline=True)
ACCEPTED = Reading("edits/accepted", "share accepted", unit="edits a seed so far", headline=True)
REFUSED = Reading("edits/refused", "share declined", unit="edits a seed so far", headline=True)
"""What every run has without a meter; a share is of all edits that a seed asked for."""

BUILT_IN = {reading.name: reading for reading in (OWN, ACCEPTED, REFUSED)}
COMMA = re.compile(r",(?![^(]*\))")
ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}


def told(arms: Sequence[Arm], study: Study = NOTHING) -> list[Reading]:
    """Every reading of these arms: own, those that the study orders, the rest as their meters tell them, then outcomes.

    One that no meter describes has its name as its title; where no arm has descriptions at all, as in older runs, those
    that the study makes claims of are headlines, or all where it makes none.
    """
    known = list(dict.fromkeys(reading for arm in arms for run in arm.runs for reading in run.readings))
    names = list(dict.fromkeys(name for arm in arms for run in arm.runs for name in run.columns))
    found = {name: described(name, known) for name in names if name not in BUILT_IN}
    claimed = {claim.reading for claim in study.claims} or names
    readings = [
        reading or Reading(name, name, headline=not known and name in claimed) for name, reading in found.items()
    ]
    places = {reading: place for place, reading in enumerate(known)}

    def place(reading: Reading) -> tuple[int, int]:
        said = [n for n, one in enumerate(study.order) if one == reading.name]
        family = [place for one, place in places.items() if described(reading.name, [one])]
        return min(said, default=len(study.order)), min(family, default=len(places))

    return [OWN, *sorted(readings, key=place), ACCEPTED, REFUSED]


def called(name: str, readings: Iterable[Reading]) -> Reading:
    """The reading of that name, or one that is called by its name."""
    return next((reading for reading in readings if reading.name == name), Reading(name, name))


def shown(readings: Sequence[Reading], *, everything: bool) -> list[Reading]:
    """The headlines, or all, each followed by its null, which is called so."""
    chosen = [reading for reading in readings if everything or reading.headline]
    nulls = {reading.null for reading in chosen if reading.null}
    found: list[Reading] = []
    for reading in chosen:
        if reading.name not in nulls:
            found += [reading, replace(called(reading.null, readings), title="its null", better="")] if reading.null \
                else [reading]  # fmt: skip
    return found


def letter(reading: Reading) -> str:
    """A title's first part, up to a comma outside of brackets: `H` of `H, the human's objective`."""
    return COMMA.split(reading.title, maxsplit=1)[0]


def head(reading: Reading, *, short: bool = False) -> str:
    """A title with an arrow to its better side."""
    return (letter(reading) if short else reading.title) + ARROWS[reading.better]
