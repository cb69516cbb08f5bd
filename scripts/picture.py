"""How the pictures of the docs look: small, labelled in place, every mean with its 95 % interval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sandbox.measure.interval import Interval, bands, interval
from sandbox.report.style import PALETTE, STYLE

Drawn = tuple[Figure, str]
"""A picture and its caption."""

PROCESS, AGENT, HUMAN = PALETTE[:3]
NULL = "#c9ced6"
SMALL: dict[Any, Any] = {**STYLE, "savefig.dpi": 110, "axes.titlesize": 8.5, "axes.titleweight": "normal",
                         "axes.titlepad": 5, "lines.markersize": 4.5,
                         "figure.constrained_layout.h_pad": 0.06, "figure.constrained_layout.w_pad": 0.06}  # fmt: skip


def sheet(columns: int = 1, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A page with its panels beside each other."""
    figure = Figure(figsize=(4.6, 2.6), layout="constrained")
    panels = list(figure.subplots(1, columns, squeeze=False, sharey=sharey)[0])
    for axes in panels:
        axes.tick_params(length=0, which="both")
    return figure, panels


def curve(axes: Axes, x: Any, values: Any, ink: str, **style: Any) -> NDArray[np.float64]:
    """The mean [len(x)] of values [len(x), n], with its 95 % interval as a band."""
    mean, low, high = bands(values)
    axes.plot(x, mean, color=ink, **style)
    axes.fill_between(x, low, high, color=ink, alpha=0.18, linewidth=0)
    return mean


def dot(axes: Axes, place: float, found: Interval, ink: str, *, upright: bool = False) -> None:
    """A mean with its interval: along the row at `place`, or upright there."""
    ends = [[found.mean - found.low], [found.high - found.mean]]
    if upright:
        axes.errorbar(place, found.mean, yerr=ends, fmt="o", color=ink, zorder=3)
    else:
        axes.errorbar(found.mean, place, xerr=ends, fmt="o", color=ink, zorder=3)


def ticks(axes: Axes, places: Any, names: Any = None) -> None:
    """These ticks alone along x."""
    axes.set_xticks(places, [f"{place:g}" for place in places] if names is None else names)
    axes.minorticks_off()


def say(axes: Axes, text: str, at: tuple[float, float], ink: str, *, by: tuple[float, float] = (5, 0)) -> None:
    """A label `by` points beside a place in the plot."""
    side = "left" if by[0] > 0 else "right" if by[0] < 0 else "center"
    axes.annotate(text, at, by, textcoords="offset points", color=ink, fontsize=8, ha=side, va="center",
                  annotation_clip=False)  # fmt: skip


def told(found: Interval | Iterable[float], digits: int = 2) -> str:
    """`mean [low, high]`."""
    found = found if isinstance(found, Interval) else interval(list(found))
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"
