"""One line of lineage as one row of a dashboard: means over seeds, their intervals, shares of verdicts, edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.lines.line import Line
from sandbox.measure.interval import bands
from sandbox.mirror.names import AXIS, INNER_AXIS, VERDICTS, key_of, verdict_key

Row = dict[str, Any]


def row(line: Line, *, by_seed: bool) -> Row:
    """{key: number}: of `own` and each reading the mean over seeds, where there are several also the ends of its 95 %
    interval (`_low`, `_high`), and on request each seed's own value."""
    told = {"own": line["own"], **{key_of(name): values for name, values in line["readings"].items()}}
    values = {key: numbers(column) for key, column in told.items()}
    found: Row = {AXIS: line["step"], INNER_AXIS: line["t"]}
    found |= _summed(values)
    if by_seed:
        for key, column in values.items():
            found |= {f"seed_{seed}/{key}": float(x) for seed, x in zip(line["seeds"], column, strict=True)}
    if line["step"]:
        shares = {verdict: line["verdict"].count(verdict) / len(line["verdict"]) for verdict in VERDICTS}
        found |= {verdict_key(verdict): share for verdict, share in shares.items()}
    return found | dict(_edits(line))


def numbers(column: Sequence[float | None]) -> NDArray[np.float64]:
    """[S]; NaN for what was not finite."""
    return np.array([np.nan if x is None else x for x in column], float)


def _summed(values: Mapping[str, NDArray[np.float64]]) -> Row:
    """Mean, and interval where there are two seeds or more, of every column."""
    if not values:
        return {}
    means, lows, highs = bands(np.stack(list(values.values())))
    found: Row = {}
    for place, (key, column) in enumerate(values.items()):
        found[key] = float(means[place])
        if len(column) > 1:
            found |= {f"{key}_low": float(lows[place]), f"{key}_high": float(highs[place])}
    return found


def _edits(line: Line) -> Iterator[tuple[str, float]]:
    """What was asked for at each path of one number, and how large the change was where it was written as its size."""
    for path, change in line["edit"].items():
        if "size" in change:
            yield f"edit/{path}_size", float(numbers(change["size"]).mean())
        elif np.ndim(change["value"]) == 1:
            yield f"edit/{path}", float(numbers(change["value"]).mean())
