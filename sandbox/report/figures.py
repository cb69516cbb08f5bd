"""The figures: every series over reflective steps on one page, and the dial where one number sets the arms apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.measure.interval import bands
from sandbox.report.arms import Arm, flat
from sandbox.report.dial import dialled, draw_dial
from sandbox.report.read import Array
from sandbox.report.style import STYLE, colours, count, fit, head, legend, tidy

COLUMNS = 4
PANEL = (3.7, 2.85)  # inches, with the room around it
LEFT, BOTTOM, HEAD = 0.65, 0.55, 0.95  # inches
POINTS = 400  # about as many as a panel is wide in pixels


@dataclass(frozen=True)
class Panel:
    """One series with its band over steps, `null` dashed beside it. A `log` axis only where all is positive."""

    title: str
    unit: str
    series: str
    null: str = ""
    log: bool = False


OBJECTIVES = (
    Panel("A, its own objective ↓", "own loss", "own", log=True),
    Panel("P, the process's objective ↓", "loss on held-out data", "performance/process"),
    Panel("P calibrated ↓", "loss after one temperature", "performance/calibrated"),
    Panel("H, the human's objective ↑", "score in deployment", "performance/human"),
)
REFLECTION = (
    Panel("M, merge of outer and inner", "share; dashed: its null", "merge/m", null="merge/null"),
    Panel("Gap of the gate", "P on gate − P on practice", "gap/practice_gate"),
    Panel("Gap of the audit", "P on audit − P on practice", "gap/audit"),
    Panel("Edits accepted", "edits a seed so far", "edits/accepted"),
    Panel("Edits not accepted", "edits a seed so far", "edits/refused"),
)


def draw(arms: Sequence[Arm], out: Path) -> list[Path]:
    """Every figure that the arms have data for, as PNG files in `out`."""
    key = dialled(arms)
    if key:
        arms = sorted(arms, key=lambda arm: flat(arm.config)[key])
    paths: list[Path] = []
    with mpl.rc_context(STYLE):
        for name, figure in {"steps.png": _page(arms, key), "dial.png": draw_dial(arms, key) if key else None}.items():
            if figure:
                figure.savefig(out / name)
                paths.append(out / name)
    return paths


def _page(arms: Sequence[Arm], key: str | None) -> Figure | None:
    drawn = [panel for panel in _panels(arms) if any(len(_track(arm, panel.series)[0]) for arm in arms)]
    if not drawn:
        return None
    columns = min(COLUMNS, len(drawn))
    rows = ceil(len(drawn) / columns)
    inks = colours(len(arms), ordered=key is not None)
    names = [arm.name for arm in arms]
    per_line = fit(names, columns * PANEL[0])
    top = HEAD + 0.24 * ceil(len(arms) / per_line) + 0.38
    width, height = columns * PANEL[0] + 0.2, rows * PANEL[1] + top
    figure = Figure(figsize=(width, height))
    grid = figure.add_gridspec(rows, columns, left=LEFT / width, right=1 - 0.25 / width, bottom=BOTTOM / height,
                               top=1 - top / height, wspace=0.27, hspace=0.42)  # fmt: skip
    for place, panel in enumerate(drawn):
        first = figure.axes[0] if place else None
        axes = figure.add_subplot(grid[place // columns, place % columns], sharex=first)
        _fill(axes, panel, arms, inks)
        if place + columns >= len(drawn):
            axes.set_xlabel("reflective step")
    figure.align_ylabels()
    head(figure, f"Over reflective steps, {count(arms)}",
         "Mean over seeds; shaded: its 95 % interval. Arrows point to the better side.", LEFT / width)  # fmt: skip
    legend(figure, names, inks, LEFT / width, HEAD, per_line)
    return figure


def _panels(arms: Sequence[Arm]) -> list[Panel]:
    names = dict.fromkeys(
        name for arm in arms for run in arm.runs for line in run.lines for name in line["readings"]
        if name.startswith("rule/"))  # fmt: skip
    rule = [Panel(f"Rule: {name.removeprefix('rule/')}", name.removeprefix("rule/"), name) for name in names]
    return [*OBJECTIVES, *rule, *REFLECTION]


def _track(arm: Arm, series: str) -> tuple[Array, Array]:
    """Steps and values of a series, at most `POINTS` of them. Edits as their sum so far, and nothing where there never
    was one; objectives without the start, which would squeeze all that was learned into a strip."""
    steps, values = arm.series(series)
    seen = np.isfinite(values).any(axis=1)
    if series.startswith("edits/"):
        seen = seen & values.any()
        values = values.cumsum(axis=0)
    if series.startswith("performance/"):
        seen = seen & (steps > 0)
    rows = np.flatnonzero(seen)
    if len(rows) > POINTS:
        rows = rows[np.linspace(0, len(rows) - 1, POINTS).astype(int)]
    return steps[rows], values[rows]


def _fill(axes: Axes, panel: Panel, arms: Sequence[Arm], inks: Sequence[str]) -> None:
    positive = True
    for place, (arm, ink) in enumerate(zip(arms, inks, strict=True)):
        steps, values = _track(arm, panel.series)
        if len(steps):
            mean, low, high = bands(values)
            width = 3.2 - 1.8 * place / max(1, len(arms) - 1)  # where arms coincide, those below still show
            axes.plot(steps, mean, color=ink, linewidth=width, marker="o" if len(steps) == 1 else None)
            axes.fill_between(steps, low, high, color=ink, alpha=0.2 if len(arms) < 5 else 0.1, linewidth=0, zorder=1)
            positive = positive and not (mean <= 0).any() and not (low <= 0).any()
        if panel.null:
            steps, values = _track(arm, panel.null)
            if len(steps):
                axes.plot(steps, bands(values)[0], color=ink, linestyle=(0, (4, 2)), linewidth=1.1)
    axes.set_title(panel.title)
    axes.set_ylabel(panel.unit)
    tidy(axes, log=panel.log and positive)
