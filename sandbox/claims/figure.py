"""The picture of a claim: what its arms showed, and beside it each difference against the region of its criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from sandbox.claims.claim import EssayClaim
from sandbox.claims.verdict import Evidence, Row, together
from sandbox.measure.interval import bands
from sandbox.report.style import FAINT, INK, PALETTE, STYLE

VERDICTS = {"supported": PALETTE[2], "not supported": PALETTE[1], "undecided": FAINT}


def draw(claim: EssayClaim, evidence: Evidence, found: Sequence[Row], path: Path) -> None:
    """Write the picture. `claim.figure` names the `reading`, a `title`, axis labels (`xlabel`, `ylabel`), `log: true`
    for a logarithmic x, and either `points` {name: arm} or `curves` {name: {x: arm}}. An arm may name a reading of its
    own, as in {arm: …, reading: …}."""
    with rc_context(STYLE):
        figure = Figure(figsize=(10.4, max(3.4, 0.44 * len(found) + 1.4)), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        _arms(left, claim.figure, evidence)
        _differences(right, found)
        figure.suptitle(f"{claim.letter}. {claim.title}: {together(found)}", x=0.01, ha="left", weight="bold")
        figure.savefig(path)


def _arms(axes: Axes, told: Mapping[str, Any], evidence: Evidence) -> None:
    axes.set(title=fill(told.get("title", ""), 52), ylabel=told.get("ylabel", ""), xlabel=told.get("xlabel", ""))
    if "curves" in told:
        for (name, points), ink in zip(told["curves"].items(), PALETTE, strict=False):
            x = [float(at) for at in points]
            mean, low, high = (np.array(part) for part in zip(*(_band(one, told, evidence) for one in points.values()),
                                                              strict=True))  # fmt: skip
            axes.plot(x, mean, color=ink, label=name, marker="o", markersize=3.5)
            axes.fill_between(x, low, high, color=ink, alpha=0.18, linewidth=0)
        if told.get("log"):
            axes.set_xscale("log", base=2)
            axes.set_xticks(sorted({at for points in told["curves"].values() for at in map(float, points)}))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_locator(NullLocator())
        axes.legend(frameon=False, fontsize=8)
        return
    points = told["points"]
    for place, (one, ink) in enumerate(zip(points.values(), PALETTE * 3, strict=False)):
        values = _values(one, told, evidence)
        spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(values, place + spread, "o", color=ink, alpha=0.35, markersize=3, markeredgewidth=0)
        mean, low, high = _band(one, told, evidence)
        axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt="D", color=ink, markersize=5, capsize=4)
    axes.set_yticks(range(len(points)), [fill(name, 18) for name in points])
    axes.set(xlabel=told.get("ylabel", ""), ylabel="", ylim=(len(points) - 0.5, -0.5))
    axes.grid(axis="y", visible=False)


def _values(one: Any, told: Mapping[str, Any], evidence: Evidence) -> np.ndarray[Any, Any]:
    arm, reading = (one["arm"], one["reading"]) if isinstance(one, Mapping) else (one, told["reading"])
    return np.array(list(evidence[arm][reading].values()))


def _band(one: Any, told: Mapping[str, Any], evidence: Evidence) -> tuple[float, float, float]:
    mean, low, high = (float(part[0]) for part in bands(_values(one, told, evidence)[None]))
    return mean, *((low, high) if np.isfinite(low) else (mean, mean))


def _differences(axes: Axes, found: Sequence[Row]) -> None:
    """One line a comparison, each on a scale of its own: its region shaded, its interval drawn over it."""
    axes.set(title="Differences from the control", xticks=[], xlim=(0, 1))
    for place, row in enumerate(reversed(found)):
        low, high = row.comparison.region
        known = [row.difference.low, row.difference.high, row.difference.mean, 0.0, low, high]
        ends = [value for value in known if np.isfinite(value)]
        least, most = min(ends), max(ends)
        margin = 0.18 * (most - least) or 1.0
        scale = lambda value, start=least - margin, stop=most + margin: (value - start) / (stop - start)  # noqa: E731
        ink, (start, stop) = VERDICTS[row.verdict], np.clip([scale(low), scale(high)], 0, 1)
        axes.barh(place, stop - start, left=start, height=0.62, color=PALETTE[2], alpha=0.12)
        axes.plot([scale(0)] * 2, [place - 0.31, place + 0.31], color=FAINT, linewidth=0.8)
        axes.plot([scale(row.difference.low), scale(row.difference.high)], [place] * 2, color=ink, linewidth=2.4)
        axes.plot(scale(row.difference.mean), place, "D", color=ink, markersize=5)
        axes.text(1.01, place, f"{row.difference.mean:+.3g}\n[{row.difference.low:.3g}, {row.difference.high:.3g}]",
                  va="center", fontsize=7, color=INK)  # fmt: skip
    axes.set_yticks(range(len(found)), [fill(row.comparison.said, 44) for row in reversed(found)], fontsize=7)
    axes.grid(visible=False)
    legend = ("shaded: where the criterion expects the 95 % interval",
              "thin line: no difference; each row has its own scale",
              "green: supported, orange: not supported, grey: undecided")  # fmt: skip
    axes.set_xlabel("\n".join(legend), fontsize=7, loc="left")
