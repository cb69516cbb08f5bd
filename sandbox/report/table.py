"""The table of arms, the differences below it and what a reader must know of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite, isnan
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox.measure.interval import Interval, interval
from sandbox.report.arms import FIGURES, Arm
from sandbox.report.claims import LETTERS, Difference, sentence
from sandbox.report.read import Run

HEADS = {
    "own": "A own ↓",
    "process": "P process ↓",
    "process_calibrated": "P calibrated ↓",
    "human": "H human ↑",
    "merge": "M merge",
    "merge_null": "its null",
    "accepted": "share accepted",
    "refused": "share refused",
}


def rows(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """One row an arm, ready for JSON: each figure {mean, low, high} at the last step, null where it was never read."""
    return [
        {"arm": arm.name, **{figure: _written(arm.final(figure)) for figure in FIGURES}, "n": len(arm.seeds)}
        for arm in arms
    ]


def _written(values: np.ndarray | None) -> dict[str, float | None] | None:
    if values is None:
        return None
    ends = asdict(interval(values))
    return {name: ends[name] if isfinite(ends[name]) else None for name in ("mean", "low", "high")}


def show(console: Console, arms: Sequence[Arm], found: Sequence[Difference], runs: Sequence[Run]) -> None:
    """Table, differences, notes and the sentence."""
    cells: dict[str, list[str]] = {}
    for figure in FIGURES:
        finals = [arm.final(figure) for arm in arms]
        if any(values is not None for values in finals):
            cells[figure] = ["–" if values is None else text(interval(values)) for values in finals]
    title = "At the last step: mean and 95 % interval over seeds"
    for block in _blocks(cells, console.width - max(len(arm.name) for arm in arms) - 9):
        table = _table(title)
        table.add_column("arm", style="bold")
        table.add_column("n", justify="right")
        for figure in block:
            table.add_column(HEADS[figure], justify="right")
        for row, arm in enumerate(arms):
            table.add_row(arm.name, str(len(arm.seeds)), *(cells[figure][row] for figure in block))
        console.print(table)
        title = None
    if found:
        console.print(_differences(found))
    for note in notes(arms, runs):
        console.print(Text(f"· {note}", style="yellow"))
    console.print(Text(sentence(found), style="bold"))


def _table(title: str | None) -> Table:
    return Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="italic")


def _blocks(cells: dict[str, list[str]], width: int) -> list[list[str]]:
    """The figures, as many beside each other as fit into `width` characters."""
    blocks: list[list[str]] = [[]]
    left = width
    for figure, column in cells.items():
        needed = max(len(cell) for cell in (HEADS[figure], *column)) + 3
        if blocks[-1] and needed > left:
            blocks.append([])
            left = width
        blocks[-1].append(figure)
        left -= needed
    return blocks


def _differences(found: Sequence[Difference]) -> Table:
    table = _table("Differences, paired by seed: mean and 95 % interval")
    for head in ("", "mean", "n", "expected", "found"):
        table.add_column(head, justify="right" if head == "n" else "left")
    colours = {"holds": "green", "reversed": "red"}
    for difference in found:
        claim = difference.claim
        other = "its null" if claim.figure == "merge" else claim.other
        table.add_row(f"{LETTERS[claim.figure]}  {claim.arm} − {other}", text(difference.interval, signed=True),
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


def notes(arms: Sequence[Arm], runs: Sequence[Run]) -> list[str]:
    """What stands in the way of taking the figures at face value."""
    found: list[str] = []
    for run in runs:
        state, step, steps = (run.status.get(key, "unknown") for key in ("state", "step", "steps"))
        if state != "finished":
            error = f": {run.status['error']}" if run.status.get("error") else ""
            empty = "" if run.lines else "; it has written nothing and is left out"
            found.append(f"{run.folder.name} is not finished ({state}, step {step} of {steps}{error}){empty}")
        if run.torn:
            found.append(f"{run.folder.name}: its last line is cut off and left out")
    ends: dict[int, list[str]] = {}
    for arm in arms:
        ends.setdefault(max(run.lines[-1]["step"] for run in arm.runs), []).append(arm.name)
    if len(ends) > 1:
        last = "; ".join(f"{step} for {', '.join(names)}" for step, names in ends.items())
        found.append(f"the last step differs: {last}")
    if single := [arm.name for arm in arms if len(arm.seeds) == 1]:
        found.append(f"one seed has no interval: {', '.join(single)}")
    for arm in arms:
        for figure, head in HEADS.items():
            values = arm.final(figure)
            bad = 0 if values is None else int(np.sum(~np.isfinite(values)))
            if bad:
                found.append(f"{arm.name}: '{head}' is not a finite number for {bad} of {len(arm.seeds)} seeds, "
                             "so it has no mean")  # fmt: skip
    return found
