"""What a search has found: each sampler's best, as it was chosen and on seeds that no trial has seen."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sandbox.compose import FLAGGED, as_typed
from sandbox.core.reading import Reading
from sandbox.lines.launch import Plan, key_of
from sandbox.measure.interval import Interval, interval, paired
from sandbox.report.table import number
from sandbox.sweep.space import Space

HIDDEN = ("objective", "launch", "sweep")


@dataclass(frozen=True)
class Outcome:
    """What became of a sampler's trials; `best`: the value and the words of the best of them."""

    sampler: str
    trials: int
    failed: int
    pruned: int
    best: tuple[float, list[str]] | None


@dataclass(frozen=True)
class Held:
    """A sampler's best on held-out seeds: the objective, a value a seed."""

    sampler: str
    values: tuple[float, ...]


def told(plan: Plan, space: Space, reading: Reading, goal: str, outcomes: Sequence[Outcome],
         held: Sequence[Held]) -> str:  # fmt: skip
    """A small table, what may be believed of it, and the command of the best."""
    on = {one.sampler: one for one in held}
    seeds = len(held[0].values) if held else 0
    rows = [("sampler", "trials", "failed", "pruned", "best trial", f"on {seeds} held-out seeds", "where")]
    for one in outcomes:
        best = number(one.best[0]) if one.best else "none"
        where = " ".join(as_typed(one.best[1])) if one.best else ""
        again = _interval(interval(on[one.sampler].values)) if one.sampler in on else "not lived"
        rows.append((one.sampler, str(one.trials), str(one.failed), str(one.pruned), best, again, where))
    rows = [row if held else (*row[:5], *row[6:]) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    wanted = "lower" if goal == "minimize" else "higher"
    return "\n".join([
        f"{plan.sweep}: {' '.join(as_typed(space.said))}",
        f"objective: {reading.title} ({reading.name}), {wanted} is better",
        *lines, *_compared(held), *_command(plan, space, goal, outcomes)])  # fmt: skip


def _compared(held: Sequence[Held]) -> list[str]:
    if not held:
        return ["The best trial was chosen for being best, so its value flatters it: held_out=8 tells how much."]
    notes = ["The best trial was chosen for being best, so its value flatters it; on held-out seeds it doesn't."]
    if len(held) == 2:
        one, other = held
        apart = paired(one.values, other.values)
        verdict = {1: "above 0", -1: "below 0", 0: "not told from 0"}[apart.sign]
        notes.append(f"{one.sampler} - {other.sampler} there, paired by seed: {_interval(apart)}, {verdict}")
    return notes


def _command(plan: Plan, space: Space, goal: str, outcomes: Sequence[Outcome]) -> list[str]:
    found = [one.best for one in outcomes if one.best]
    if not found:
        return ["no trial was lived to its end"]
    best = (min if goal == "minimize" else max)(found, key=lambda pair: pair[0])
    fixed = [word for word in as_typed(space.fixed) if key_of(word) not in HIDDEN]
    there = [" ".join(pair) for pair in pairwise(plan.command) if pair[0] in FLAGGED]
    return [" ".join(["sandbox", *there, shlex.join([*fixed, *as_typed(best[1])])])]


def _interval(found: Interval) -> str:
    if found.n < 2:
        return number(found.mean)
    return f"{number(found.mean)} [{number(found.low)}, {number(found.high)}]"
