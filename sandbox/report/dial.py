"""The dial: where arms differ in one number of the configuration, the headlines at the last step over that number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.core.reading import Reading
from sandbox.measure.interval import bands
from sandbox.report.arms import NOT_A_DIFFERENCE, Arm, differing, flat
from sandbox.report.formula import evaluate
from sandbox.report.read import Array
from sandbox.report.readings import BUILT_IN, called, head, letter, told
from sandbox.report.study import ClosedForm, Study
from sandbox.report.style import FAINT, PALETTE, count, tidy, title

COLUMNS = 3


def dialled(arms: Sequence[Arm]) -> str | None:
    """The one dotted key of the configuration in which the arms differ, by numbers only; None where there is none."""
    settings = [flat({key: value for key, value in arm.config.items() if key not in NOT_A_DIFFERENCE}) for arm in arms]
    keys = differing(settings)
    if len(keys) != 1:
        return None
    values = [one.get(keys[0]) for one in settings]
    numbers = all(type(value) in (int, float) for value in values)
    return keys[0] if numbers and len(set(values)) == len(values) else None


def form_for(reading: str, key: str, settings: Mapping[str, Any], study: Study) -> ClosedForm | None:
    """The closed form of `reading` over `key` for runs of these (flat) settings, where the study has one."""
    for form in study.closed_forms:
        if (form.reading, form.over) == (reading, key) and all(
            settings.get(name) == value for name, value in (form.where or {}).items()
        ):
            return form
    return None


def curve(form: ClosedForm, settings: Mapping[str, Any], at: Array) -> Array:
    """What the closed form gives where the dial stands `at` [n]; raises `ConfigError` for a name that isn't there."""
    names = {**settings, form.over: at}
    for name, formula in (form.let or {}).items():
        names[name] = evaluate(formula, names)
    return np.broadcast_to(evaluate(form.formula, names), at.shape)


def draw_dial(arms: Sequence[Arm], key: str, study: Study) -> Figure | None:
    """Each headline beside its null, and its closed form where there is one, over `key`; None where none was read."""
    readings = told(arms, study)
    nulls = {reading.null for reading in readings}
    drawn = [reading for reading in readings if reading.headline and reading.name not in {*nulls, *BUILT_IN}
             and any(arm.final(reading.name) is not None for arm in arms)]  # fmt: skip
    if not drawn:
        return None
    columns = min(COLUMNS, len(drawn))
    rows = ceil(len(drawn) / columns)
    width, height = 4.6 * columns + 0.4, 3.3 * rows + 1.2
    figure = Figure(figsize=(width, height))
    grid = figure.add_gridspec(rows, columns, left=0.75 / width, right=1 - 0.25 / width, bottom=0.6 / height,
                               top=1 - 1.15 / height, wspace=0.25, hspace=0.4)  # fmt: skip
    for place, reading in enumerate(drawn):
        axes = figure.add_subplot(grid[place // columns, place % columns])
        axes.set_xlabel(key)
        _panel(axes, arms, key, reading, called(reading.null, readings) if reading.null else None, study)
        tidy(axes)
    title(figure, f"Over {key}, {count(arms)}",
          "At the last step: mean over seeds and its 95 % interval.", 0.75 / width)  # fmt: skip
    return figure


def _panel(
    axes: Axes, arms: Sequence[Arm], key: str, reading: Reading, null: Reading | None, study: Study
) -> None:  # fmt: skip
    settings = flat(arms[0].config)
    form = form_for(reading.name, key, settings, study)
    if form:
        places = [float(flat(arm.config)[key]) for arm in arms]
        at = np.linspace(min(places), max(places), 201)
        axes.plot(at, curve(form, settings, at), color=FAINT, linewidth=1.2, label=_filled(form.title, settings))
    _points(axes, arms, key, reading.name, PALETTE[0], f"{letter(reading)} measured", "none" if form else "-")
    if null:
        name = null.title if null.title != null.name else "its null"
        _points(axes, arms, key, null.name, PALETTE[1], f"null: {name}", (0, (4, 2)))
    axes.set_title(head(reading))
    axes.set_ylabel(reading.unit)
    if form or null:
        axes.set_ylim(top=axes.get_ylim()[0] + 1.4 * np.ptp(axes.get_ylim()))  # room for the legend
        axes.legend(frameon=False, fontsize=8.5, loc="upper left", handlelength=1.8, borderaxespad=0.2)


def _filled(words: str, settings: Mapping[str, Any]) -> str:
    """`words` with each {key} replaced by its setting."""

    def value(match: re.Match[str]) -> str:
        found = settings.get(match[1], match[0])
        return f"{found:g}" if isinstance(found, int | float) else str(found)

    return re.sub(r"\{([\w.]+)\}", value, words)


def _points(axes: Axes, arms: Sequence[Arm], key: str, figure: str, ink: str, label: str, line: Any) -> None:
    finals = [(flat(arm.config)[key], values) for arm in arms if (values := arm.final(figure)) is not None]
    if not finals:
        return
    mean, low, high = (
        np.concatenate(ends) for ends in zip(*(bands(values[None]) for _, values in finals), strict=True)
    )
    axes.errorbar([at for at, _ in finals], mean, yerr=np.stack([mean - low, high - mean]), color=ink, label=label,
                  marker="o", markersize=5.5, capsize=3, linewidth=1.3, linestyle=line)  # fmt: skip
