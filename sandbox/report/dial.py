"""The dial: where arms differ in one number of the configuration, M and H at the last step over that number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.measure.interval import bands
from sandbox.report.arms import NOT_A_DIFFERENCE, Arm, differing, flat
from sandbox.report.read import Array
from sandbox.report.style import FAINT, PALETTE, count, head, tidy

SELF_DISTILLATION = "sandbox.rule.self_distillation.SelfDistillation"


def dialled(arms: Sequence[Arm]) -> str | None:
    """The one dotted key of the configuration in which the arms differ, by numbers only; None where there is none."""
    settings = [flat({key: value for key, value in arm.config.items() if key not in NOT_A_DIFFERENCE}) for arm in arms]
    keys = differing(settings)
    if len(keys) != 1:
        return None
    values = [one.get(keys[0]) for one in settings]
    numbers = all(type(value) in (int, float) for value in values)
    return keys[0] if numbers and len(set(values)) == len(values) else None


def closed_form(trust: Array, rate: float, horizon: int) -> Array:
    """M of self-distillation under a fixed rule: t a / (1 - t + 2 t a), with t the trust and
    a = (1 - (1 - r)^K) / (r K) the share of an inner step that K steps of a teacher of rate r leave unaveraged."""
    a = (1 - (1 - rate) ** horizon) / (rate * horizon) if rate else 1.0
    return trust * a / (1 - trust + 2 * trust * a)


def draw_dial(arms: Sequence[Arm], key: str) -> Figure | None:
    """M beside its null (and the closed form where there is one), and H, over `key`; None where neither was read."""
    drawn = [figure for figure in ("merge", "human") if any(arm.final(figure) is not None for arm in arms)]
    if not drawn:
        return None
    width, height = 4.6 * len(drawn) + 0.4, 4.5
    figure = Figure(figsize=(width, height))
    grid = figure.add_gridspec(1, len(drawn), left=0.75 / width, right=1 - 0.25 / width, bottom=0.6 / height,
                               top=1 - 1.15 / height, wspace=0.25)  # fmt: skip
    for place, name in enumerate(drawn):
        axes = figure.add_subplot(grid[0, place])
        axes.set_xlabel(key)
        (_merge if name == "merge" else _human)(axes, arms, key)
        tidy(axes)
    head(figure, f"Over {key}, {count(arms)}",
         "At the last step: mean over seeds and its 95 % interval.", 0.75 / width)  # fmt: skip
    return figure


def _merge(axes: Axes, arms: Sequence[Arm], key: str) -> None:
    rule: dict[str, Any] = arms[0].config["rule"]
    solved = key == "rule.trust" and rule["_target_"] == SELF_DISTILLATION
    if solved:
        trust = np.linspace(0, 1, 201)
        rate, horizon = rule["teacher_rate"], arms[0].config["horizon"]
        axes.plot(trust, closed_form(trust, rate, horizon), color=FAINT, linewidth=1.2,
                  label=f"closed form for teacher rate {rate:g}, {horizon} inner steps")  # fmt: skip
    _points(axes, arms, key, "merge", PALETTE[0], "M measured", "none" if solved else "-")
    _points(axes, arms, key, "merge_null", PALETTE[1], "null: random partitions", (0, (4, 2)))
    axes.set_title("M, merge of outer and inner")
    axes.set_ylabel("share")
    axes.set_ylim(top=1.4 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, fontsize=8.5, loc="upper left", handlelength=1.8, borderaxespad=0.2)


def _human(axes: Axes, arms: Sequence[Arm], key: str) -> None:
    _points(axes, arms, key, "human", PALETTE[2], "H", "-")
    axes.set_title("H, the human's objective ↑")
    axes.set_ylabel("score in deployment")


def _points(axes: Axes, arms: Sequence[Arm], key: str, figure: str, ink: str, label: str, line: Any) -> None:
    finals = [(flat(arm.config)[key], values) for arm in arms if (values := arm.final(figure)) is not None]
    if not finals:
        return
    mean, low, high = (
        np.concatenate(ends) for ends in zip(*(bands(values[None]) for _, values in finals), strict=True)
    )
    axes.errorbar([at for at, _ in finals], mean, yerr=np.stack([mean - low, high - mean]), color=ink, label=label,
                  marker="o", markersize=5.5, capsize=3, linewidth=1.3, linestyle=line)  # fmt: skip
