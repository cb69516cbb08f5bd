"""The figures: readings over reflective steps, a panel each, and the dial where one number sets the arms apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.core.reading import Reading
from sandbox.measure.interval import bands
from sandbox.report.arms import Arm, flat
from sandbox.report.claims import Difference
from sandbox.report.course import COUNTED, track
from sandbox.report.dial import dialled, draw_dial
from sandbox.report.glance import LINES, questions, stand_out
from sandbox.report.readings import head, told
from sandbox.report.study import Study
from sandbox.report.style import GREY, STYLE, colours, count, fit, legend, tidy, title

COLUMNS = 4
PANEL = (3.7, 2.85)  # inches, with the room around it
LEFT, BOTTOM, HEAD = 0.65, 0.55, 0.95  # inches
NOTHING = Study()


@dataclass(frozen=True)
class Panel:
    """One reading with its band over steps, its null dashed beside it."""

    reading: Reading

    @property
    def title(self) -> str:
        return COUNTED.get(self.reading.name) or head(self.reading)

    @property
    def unit(self) -> str:
        return f"{self.reading.unit or 'value'}; dashed: its null" if self.reading.null else self.reading.unit

    @property
    def log(self) -> bool:
        """The own loss may fall by orders of magnitude: on a log axis, where all of it is positive."""
        return self.reading.name == "own"


def draw(
    arms: Sequence[Arm],
    out: Path,
    study: Study = NOTHING,
    found: Sequence[Difference] = (),
    *,
    everything: bool = False,
) -> list[Path]:
    """Every figure that the arms have data for, as PNG files in `out`: the page of headlines and of each family (the
    parameters of a rule, say), the dial, and with `everything` the page of all other readings. Of many arms those that
    stand out by the study, by what was `found` and by the last readings have a colour."""
    key = dialled(arms)
    if key:
        arms = sorted(arms, key=lambda arm: flat(arm.config)[key])
    main, other = panels(arms, study)
    lit = stand_out(arms, questions(arms, study), found, study)
    paths: list[Path] = []
    with mpl.rc_context(STYLE):
        drawn = {"steps.png": page(arms, key, main, lit)}
        if key:
            drawn["dial.png"] = draw_dial(arms, key, study)
        if everything:
            drawn["others.png"] = page(arms, key, other, lit)
        for name, figure in drawn.items():
            if figure:
                figure.savefig(out / name)
                paths.append(out / name)
    return paths


def panels(arms: Sequence[Arm], study: Study = NOTHING) -> tuple[list[Panel], list[Panel]]:
    """What the main page shows, and what the page of others does; a null is shown in its reading's panel alone."""
    readings = told(arms, study)
    nulls = {reading.null for reading in readings}
    families = {reading.name.removesuffix("*") for arm in arms for run in arm.runs for reading in run.readings
                if reading.name.endswith("/*")}  # fmt: skip
    main: list[Panel] = []
    other: list[Panel] = []
    for reading in readings:
        if reading.name not in nulls and any(len(track(arm, reading)[0]) for arm in arms):
            first = reading.headline or reading.name in study.order or reading.name.startswith(tuple(families))
            (main if first else other).append(Panel(reading))
    return main, other


def page(arms: Sequence[Arm], key: str | None, drawn: Sequence[Panel], lit: Sequence[int] = ()) -> Figure | None:
    """The panels in a grid below one legend, the arms at the places `lit` in colour (by default the first), the others
    grey below them, unless they are ordered by a `key`; None where there are no panels."""
    if not drawn:
        return None
    columns = min(COLUMNS, len(drawn))
    rows = ceil(len(drawn) / columns)
    inks = colours(len(arms), lit or range(LINES), ordered=key is not None)
    named = [place for place, ink in enumerate(inks) if ink != GREY]
    grey = len(arms) - len(named)
    names = [*(arms[place].name for place in named), *([f"{grey} others"] if grey else [])]
    shades = [*(inks[place] for place in named), *([GREY] if grey else [])]
    per_line = fit(names, columns * PANEL[0])
    top = HEAD + 0.24 * ceil(len(names) / per_line) + 0.38
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
    title(figure, f"Over reflective steps, {count(arms)}",
          "Mean over seeds; shaded: its 95 % interval. Arrows point to the better side.", LEFT / width)  # fmt: skip
    legend(figure, names, shades, LEFT / width, HEAD, per_line)
    return figure


def _fill(axes: Axes, panel: Panel, arms: Sequence[Arm], inks: Sequence[str]) -> None:
    positive = True
    for place, (arm, ink) in enumerate(zip(arms, inks, strict=True)):
        steps, values = track(arm, panel.reading)
        if len(steps) and ink == GREY:
            axes.plot(steps, values.mean(axis=1), color=ink, linewidth=0.9, zorder=1)
        elif len(steps):
            mean, low, high = bands(values)
            width = 3.2 - 1.8 * place / max(1, len(arms) - 1)  # where arms coincide, those below still show
            axes.plot(steps, mean, color=ink, linewidth=width, marker="o" if len(steps) == 1 else None)
            axes.fill_between(steps, low, high, color=ink, alpha=0.2 if len(arms) < 5 else 0.1, linewidth=0, zorder=1)
            positive = positive and (mean > 0).any() and not (mean <= 0).any() and not (low <= 0).any()
        if panel.reading.null and ink != GREY:
            steps, values = track(arm, Reading(panel.reading.null, ""))
            if len(steps):
                axes.plot(steps, bands(values)[0], color=ink, linestyle=(0, (4, 2)), linewidth=1.1)
    axes.set_title(panel.title)
    axes.set_ylabel(panel.unit)
    tidy(axes, log=bool(panel.log and positive and axes.lines))
