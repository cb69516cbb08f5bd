"""What the page holds, as plain data: arms with their courses, finals and settings, runs, claims, and what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.core.reading import Reading
from sandbox.measure.interval import Interval, bands, interval
from sandbox.report.arms import NOT_A_DIFFERENCE, Arm, differing, flat
from sandbox.report.claims import Difference, sentence
from sandbox.report.course import COUNTED, POINTS, track
from sandbox.report.glance import LINES, Question, questions, stand_out
from sandbox.report.page_edits import edits
from sandbox.report.read import Failure, Run
from sandbox.report.readings import BUILT_IN, letter, told
from sandbox.report.study import Study
from sandbox.report.table import notes

NUMBERS = 900_000  # about as many numbers as the courses of a page hold, whatever the number of arms
FEWEST = 12  # points that a course keeps at least
DIGITS = 5  # significant, of every number of the page
SETTINGS = 12  # swept settings that the page tells

DISTANCES = ("distance/human_process", "distance/process_agent", "distance/human_agent")


def document(
    arms: Sequence[Arm], runs: Sequence[Run], failures: Sequence[Failure], found: Sequence[Difference], study: Study,
    programs: Sequence[Any] = (),
) -> dict[str, Any]:  # fmt: skip
    """Everything that the page shows, ready for JSON: numbers rounded, null for what is not finite."""
    readings = told(arms, study)
    asked = questions(arms, study) if arms else []
    points = most_points(arms, readings)
    settings = varied(arms)
    return {
        "question": study.question if any(arm.name in study.arms for arm in arms) else "",
        "sentence": sentence(found, len(arms)) if arms else "No run has written a line yet.",
        "notes": notes(arms, runs, study),
        "claims": [_claim(one) for one in found],
        "asked": [_question(one) for one in asked],
        "first": stand_out(arms, asked, found, study),
        "lines": LINES,
        "points": points,
        "thinned": [reading.name for reading in readings if _thinned(arms, reading, points)],
        "distances": DISTANCES,
        "settings": settings,
        "readings": [_reading(reading, readings) for reading in readings],
        "arms": [_arm(arm, readings, settings, points) for arm in arms],
        "runs": [_run(run, arms) for run in runs],
        "failures": [asdict(failure) for failure in failures],
        "edits": edits(arms),
        "programs": programs,
    }


def most_points(arms: Sequence[Arm], readings: Sequence[Reading]) -> int:
    """How many points a course may have for the page to stay small."""
    return int(min(POINTS, max(FEWEST, NUMBERS / (3 * max(1, len(arms) * len(readings))))))


def varied(arms: Sequence[Arm]) -> list[str]:
    """The dotted keys in which the arms differ: of more than `SETTINGS`, those first that have the most values."""
    known = [_settings(arm) for arm in arms]
    keys = differing(known) if arms else []
    if len(keys) > SETTINGS:
        keys = sorted(keys, key=lambda key: -len({str(one.get(key)) for one in known}))[:SETTINGS]
    return keys


def _settings(arm: Arm) -> dict[str, Any]:
    return flat({key: value for key, value in arm.config.items() if key not in NOT_A_DIFFERENCE})


def _thinned(arms: Sequence[Arm], reading: Reading, points: int) -> bool:
    return any(len(arm.series(reading.name)[0]) > points + 1 for arm in arms)


def _reading(reading: Reading, readings: Sequence[Reading]) -> dict[str, Any]:
    nulls = {one.null for one in readings}
    title = COUNTED.get(reading.name, reading.title)
    group = "" if reading.name in BUILT_IN else reading.name.partition("/")[0]
    return {"name": reading.name, "title": title, "letter": letter(reading), "better": reading.better,
            "unit": reading.unit, "null": reading.null, "headline": reading.headline, "group": group,
            "is_null": reading.name in nulls}  # fmt: skip


def _arm(arm: Arm, readings: Sequence[Reading], settings: Sequence[str], points: int) -> dict[str, Any]:
    own = _settings(arm)
    courses = {reading.name: _course(arm, reading, points) for reading in readings}
    finals = {reading.name: arm.final(reading.name) for reading in readings}
    return {
        "name": arm.name,
        "seeds": arm.seeds,
        "settings": {key: _plain(key, own.get(key)) for key in settings},
        "courses": {name: course for name, course in courses.items() if course},
        "finals": {name: numbers(interval(values)) for name, values in finals.items() if values is not None},
    }


def _plain(key: str, value: Any) -> Any:
    if key.endswith("_target_"):
        return str(value).rpartition(".")[2]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float) or value is None else str(value)


def _course(arm: Arm, reading: Reading, points: int) -> list[Any] | None:
    """[steps, means, lows, highs] of at most so many points; no lows and highs where there is one seed."""
    steps, values = track(arm, reading, points)
    if not len(steps):
        return None
    mean, low, high = bands(values)
    ends = [] if values.shape[1] == 1 else [short(low), short(high)]
    return [[int(step) for step in steps], short(mean), *ends]


def _run(run: Run, arms: Sequence[Arm]) -> dict[str, Any]:
    place = next((place for place, arm in enumerate(arms) if any(one is run for one in arm.runs)), None)
    seconds = run.status.get("seconds")
    return {"folder": run.folder.name, "arm": place, "label": run.label, "seeds": run.seeds, "step": run.step,
            "state": run.status.get("state", "unknown"), "steps": run.status.get("steps"),
            "seconds": seconds, "error": run.status.get("error") or ""}  # fmt: skip


def _claim(one: Difference) -> dict[str, Any]:
    claim: Mapping[str, Any] = asdict(one.claim)
    return {**claim, "than": one.than, "letter": one.letter, "outcome": one.outcome, "found": numbers(one.interval)}


def _question(one: Question) -> dict[str, Any]:
    return {**asdict(one), "answers": {place: numbers(found) for place, found in one.answers.items()},
            "ranked": one.ranked}  # fmt: skip


def numbers(found: Interval) -> list[float | int | None]:
    """[mean, low, high, n]"""
    return [*short(np.array([found.mean, found.low, found.high])), found.n]


def short(values: np.ndarray) -> list[float | None]:
    """Rounded to `DIGITS` significant digits; None in place of what is not finite."""
    return [float(f"{x:.{DIGITS}g}") if isfinite(x) else None for x in values.tolist()]


def name_of(paths: Sequence[Path]) -> str:
    """What paths are called together, in a title and as the name of a folder."""
    first = paths[0].resolve().stem if paths[0].is_file() else paths[0].resolve().name
    return first if len(paths) == 1 else f"{first}-and-{len(paths) - 1}-more"
