"""The table of arms, the differences below it and what a reader must know of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from math import isfinite, isnan
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox.core.reading import Reading
from sandbox.measure.interval import Interval, interval
from sandbox.report.arms import Arm
from sandbox.report.claims import Difference, listed, sentence
from sandbox.report.read import Run
from sandbox.report.readings import head, letter, shown, told
from sandbox.report.study import Study

NOTHING = Study()


def rows(arms: Sequence[Arm], study: Study = NOTHING) -> list[dict[str, Any]]:
    """One row an arm, ready for JSON: every reading {mean, low, high} at the last step, null where it was not taken."""
    names = [reading.name for reading in told(arms, study)]
    return [
        {"arm": arm.name, **{name: _written(arm.final(name)) for name in names}, "n": len(arm.seeds)} for arm in arms
    ]


def _written(values: np.ndarray | None) -> dict[str, float | None] | None:
    if values is None:
        return None
    ends = asdict(interval(values))
    return {name: ends[name] if isfinite(ends[name]) else None for name in ("mean", "low", "high")}


def show(
    console: Console, arms: Sequence[Arm], found: Sequence[Difference], runs: Sequence[Run], study: Study = NOTHING,
    *, everything: bool = False,
) -> None:  # fmt: skip
    """Question, table, differences, notes and the sentence; of `everything`, or of the headlines."""
    cells: dict[Reading, list[str]] = {}
    for reading in shown(told(arms, study), everything=everything):
        finals = [arm.final(reading.name) for arm in arms]
        if any(values is not None for values in finals):
            cells[reading] = ["–" if values is None else text(interval(values)) for values in finals]
    if study.question and any(arm.name in study.arms for arm in arms):
        console.print(Text(study.question, style="bold"))
    heads = _heads(cells)
    title = "At the last step: mean and 95 % interval over seeds"
    for block in _blocks(cells, heads, console.width - max(len(arm.name) for arm in arms) - 9):
        table = _table(title)
        table.add_column("arm", style="bold")
        table.add_column("n", justify="right")
        for reading in block:
            table.add_column(Text(heads[reading]), justify="right")
        for row, arm in enumerate(arms):
            table.add_row(Text(arm.name), str(len(arm.seeds)), *(cells[reading][row] for reading in block))
        console.print(table)
        title = None
    if found:
        console.print(_differences(found))
    for note in notes(arms, runs, study):
        console.print(Text(f"· {note}", style="yellow"))
    console.print(Text(sentence(found, len(arms)), style="bold"))


def _heads(readings: Collection[Reading]) -> dict[Reading, str]:
    """In short where that names one of them alone."""
    short = Counter(letter(reading) for reading in readings)
    return {reading: head(reading, short=short[letter(reading)] == 1) for reading in readings}


def _table(title: str | None) -> Table:
    return Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="italic")


def _blocks(cells: Mapping[Reading, list[str]], heads: Mapping[Reading, str], width: int) -> list[list[Reading]]:
    """The readings, as many beside each other as fit into `width` characters."""
    blocks: list[list[Reading]] = [[]]
    left = width
    for reading, column in cells.items():
        needed = max(len(cell) for cell in (heads[reading], *column)) + 3
        if blocks[-1] and needed > left:
            blocks.append([])
            left = width
        blocks[-1].append(reading)
        left -= needed
    return blocks


def _differences(found: Sequence[Difference]) -> Table:
    table = _table("Differences, paired by seed: mean and 95 % interval")
    for name in ("", "mean", "n", "expected", "found"):
        table.add_column(name, justify="right" if name == "n" else "left")
    colours = {"holds": "green", "reversed": "red"}
    for difference in found:
        claim = difference.claim
        told = Text(f"{difference.letter}  {claim.arm} − {difference.than}")
        table.add_row(told, text(difference.interval, signed=True),
                      str(difference.interval.n), ("–", "above 0", "below 0")[claim.sign],
                      Text(difference.outcome, style=colours.get(difference.outcome, "")))  # fmt: skip
    return table


def text(figure: Interval, *, signed: bool = False) -> str:
    """`mean [low, high]`; the mean alone where there is no interval; – where there is no mean."""
    mean = number(figure.mean)
    if signed and figure.mean > 0:
        mean = f"+{mean}"
    return mean if isnan(figure.low) else f"{mean} [{number(figure.low)}, {number(figure.high)}]"


def number(x: float) -> str:
    """Three decimals without a leading zero; powers of ten for what is tiny or huge; 0 and 1 where exact."""
    if isnan(x):
        return "–"
    if x in (0, 1):
        return f"{x:.0f}"
    if not 5e-4 <= abs(x) < 1e5:
        return f"{x:.1e}"
    return f"{x:.3f}".replace("0.", ".", 1) if abs(x) < 0.9995 else f"{x:.3f}"


def notes(arms: Sequence[Arm], runs: Sequence[Run], study: Study = NOTHING) -> list[str]:
    """What stands in the way of taking the figures at face value."""
    found: list[str] = []
    for run in runs:
        state, step, steps = (run.status.get(key, "unknown") for key in ("state", "step", "steps"))
        if state != "finished":
            error = f": {run.status['error']}" if run.status.get("error") else ""
            empty = "" if run.seeds else "; it has written nothing and is left out"
            found.append(f"{run.folder.name} is not finished ({state}, step {step} of {steps}{error}){empty}")
        if run.torn:
            found.append(f"{run.folder.name}: its last line is cut off and left out")
    ends: dict[int, list[str]] = {}
    for arm in arms:
        ends.setdefault(max(run.step for run in arm.runs), []).append(arm.name)
    if len(ends) > 1:
        last = "; ".join(f"{step} for {listed(names)}" for step, names in ends.items())
        found.append(f"the last step differs: {last}")
    if single := [arm.name for arm in arms if len(arm.seeds) == 1]:
        found.append(f"one seed has no interval: {listed(single)}")
    readings = told(arms, study)
    for arm in arms:
        for reading in readings:
            values = arm.final(reading.name)
            bad = 0 if values is None else int(np.sum(~np.isfinite(values)))
            if bad:
                found.append(f"{arm.name}: '{reading.title}' is not a finite number for {bad} of {len(arm.seeds)} "
                             "seeds, so it has no mean")  # fmt: skip
    return found
