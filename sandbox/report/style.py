"""How figures look: type, ink, and colours that a colour-blind reader can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from sandbox.report.arms import Arm

INK, FAINT = "#22272e", "#6b7480"
GREY = "#c3c9d1"  # of arms that are not told apart
# Okabe & Ito's palette, its yellow darkened: the original vanishes on white
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#22272e", "#b0a000")

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#b8bec6",
    "axes.labelcolor": FAINT,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e9ecef",
    "grid.linewidth": 0.7,
    "xtick.color": "#b8bec6",
    "ytick.color": "#b8bec6",
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "savefig.dpi": 180,
    "savefig.facecolor": "white",
}


def colours(arms: int, lit: Sequence[int] = (), *, ordered: bool = False) -> list[str]:
    """One colour an arm: those that are `lit`, in this order, as the page has them; grey for the others. A ramp where
    the arms have an order."""
    if ordered:
        ramp = mpl.colormaps["viridis"]
        return [to_hex(ramp(0.9 * k / max(1, arms - 1))) for k in range(arms)]
    inks = dict(zip(lit, PALETTE, strict=False))
    return [inks.get(place, GREY) for place in range(arms)]


def count(arms: Sequence[Arm]) -> str:
    """`n = 32 seeds`, for a title."""
    counts = sorted({len(arm.seeds) for arm in arms})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"n = {n} seed{'s' if counts[-1] > 1 else ''}"


def title(figure: Figure, words: str, under: str, left: float) -> None:
    """Title and, below it, a line of explanation; `left` in figure width."""
    inch = 1 / figure.get_figheight()
    figure.text(left, 1 - 0.18 * inch, words, size=15, weight="bold", va="top")
    figure.text(left, 1 - 0.5 * inch, under, size=9.5, color=FAINT, va="top")


def fit(names: Sequence[str], width: float) -> int:
    """How many entries of a legend fit beside each other in `width` inches."""
    widths = [0.6 + 0.083 * len(name) for name in names]
    return len(names) if sum(widths) <= width else max(1, int(width / max(widths)))


def legend(figure: Figure, names: Sequence[str], inks: Sequence[str], left: float, top: float, columns: int) -> None:
    """The arms, each in its own colour; `top` in inches from the upper edge."""
    handles = [Line2D([], [], color=ink, linewidth=4, solid_capstyle="round") for ink in inks]
    words = [FAINT if ink == GREY else ink for ink in inks]
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=(left, 1 - top / figure.get_figheight()),
                  ncols=columns, frameon=False, fontsize=10, labelcolor=words, handlelength=1.2,
                  columnspacing=1.8, borderaxespad=0, borderpad=0)  # fmt: skip


def tidy(axes: Axes, *, log: bool = False) -> None:
    """Few ticks, in plain numbers."""
    if log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0), numticks=12))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 2.5, 5, 10)))
    axes.tick_params(length=0, which="both")
