"""What derivatives can't see: one side's update that answers the other by jumps, by whole numbers, or only farther on.

Each side is moved by some tenths of its size, and what the step then does is held against what derivatives foretell.
Where they foretell less than half, the move is halved towards the greater change until that has gone (a curve) or is
left (a jump). Whole numbers are moved by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.measure.differences import Difference, Differences
from sandbox.measure.system import System

REACHES = (0.3, 1.0, 3.0)  # of each number's own size, or of its leaf's where it is 0
FARTHER = (1.0, 3.0, 10.0)  # where what is drawn may turn
TOWARDS = (0.3, 0.9, -0.3, -1.0)  # 0, and away from it
LINES, DRAWS = 3, 8  # of a step without draws, and of one that draws
HALVINGS = 20
Kind = Literal[
    "jumps", "steps too fine for derivatives", "0 at this very state", "whole numbers", "the luck of another draw"
]


@dataclass(frozen=True)
class Unseen:
    """How `target`'s update answers to `source` (0 outer, 1 inner) without a derivative."""

    source: int
    target: int
    kind: Kind


def unseen(system: System, seen: Tensor, *, seed: int = 0) -> tuple[Unseen, ...]:
    """All that is found along three lines a side, of a step that draws along eight, each with draws of its own: one
    towards 0 and away from it, and random ones. Seven or eight steps a line, and up to twenty where there is a jump.
    `seen` [2, 2] says which blocks have derivatives (row target, column source)."""
    sides = torch.stack([torch.from_numpy(system.outer), ~torch.from_numpy(system.outer)])
    generator, found = torch.Generator().manual_seed(seed), dict[tuple[int, int], Unseen]()
    usual = Differences(system)
    leaf_size = torch.cat([torch.full((leaf.stop - leaf.start,), scale, dtype=torch.float64)
                           for leaf, scale in zip(system.leaves, usual.scales, strict=True)])  # fmt: skip
    size = torch.where(usual.flat == 0, leaf_size, usual.flat.abs())
    several = system.draws()
    for number in range(DRAWS if several else LINES):
        ways = Differences(system.at(number)) if several and number else usual
        here = _update(ways, torch.zeros(system.n, dtype=torch.float64))
        for source in (0, 1):
            drawn = torch.randn(system.n, generator=generator, dtype=torch.float64)
            line = torch.where(usual.flat != 0, -usual.flat, size * drawn) if number == 0 else size * drawn
            reaches = TOWARDS if number == 0 else FARTHER if several else REACHES
            line = line * sides[source]
            kinds = (
                {} if here is None else _along(ways, here, line, reaches, sides, seen[:, source] if several else None)
            )
            for target, kind in kinds.items():
                found.setdefault((source, target), Unseen(source, target, kind))
    for source in (0, 1):
        for target in _whole(system, usual, sides, source):
            found.setdefault((source, target), Unseen(source, target, "whole numbers"))
    return tuple(found.values())


def _along(
    ways: Differences, here: Tensor, line: Tensor, reaches: tuple[float, ...], sides: Tensor, seen: Tensor | None
) -> dict[int, Kind]:
    """The sides whose update is foretold badly along a line, and how; with `seen` [2] also those that move by this draw
    and not by the one that was read."""
    foretold, kinds = ways.along(line), dict[int, Kind]()
    if not foretold.value.isfinite().all():
        return {}
    for target, side in enumerate(sides):
        linear = (foretold.value - line)[side]
        if seen is not None and not bool(seen[target]) and bool((linear.abs() > foretold.error[side]).any()):
            kinds[target] = "the luck of another draw"
    for reach in reaches:
        there = _update(ways, reach * line)
        if there is not None:
            kinds = _judged(ways, here, there, reach * line, reach, foretold, sides) | kinds
    return kinds


def _judged(
    ways: Differences,
    here: Tensor,
    there: Tensor,
    line: Tensor,
    reach: float,
    foretold: Difference,
    sides: Tensor,
) -> dict[int, Kind]:
    """The same of one move `line`, which is `reach` times the one that derivatives were taken along."""
    kinds: dict[int, Kind] = {}
    for target, side in enumerate(sides):
        change, least = (there - here)[side], 100 * float(ways.noise[side].norm())
        linear = reach * foretold.value[side] - line[side]
        size = float(change.norm())
        if size <= least or float((change - linear).norm()) <= 0.5 * size:
            continue
        if _jumps(ways, here, there, line, side):
            kinds[target] = "jumps"
        elif float(linear.norm()) <= max(1e-6 * size, abs(reach) * float(foretold.error[side].norm())):
            kinds[target] = "0 at this very state"
        elif float(foretold.error[side].norm()) <= 0.1 * float(linear.norm()) / abs(reach) and all(
            _ragged(ways, here, line, linear, times, side, least) for times in (64, 1024, 16384)
        ):
            kinds[target] = "steps too fine for derivatives"
    return kinds


def _ragged(
    ways: Differences, here: Tensor, line: Tensor, linear: Tensor, times: int, side: Tensor, least: float
) -> bool:  # fmt: skip
    """Whether derivatives foretell less than half of a move that is too short for a curve."""
    near = _update(ways, line / times)
    if near is None:
        return False
    change = (near - here)[side]
    return float(change.norm()) > least and float((change - linear / times).norm()) > 0.5 * float(change.norm())


def _jumps(ways: Differences, here: Tensor, there: Tensor, line: Tensor, side: Tensor) -> bool:
    """Whether at least a quarter of the change along the line happens at one point of it."""
    size, low, high = float((there - here)[side].norm()), 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        between = _update(ways, middle * line)
        if between is None:
            return False
        first, second = float((between - here)[side].norm()), float((there - between)[side].norm())
        if not size / 4 <= max(first, second) <= 4 * size:  # a curve; a pole
            return False
        if first >= second:
            high, there = middle, between
        else:
            low, here = middle, between
    return True


def _whole(system: System, ways: Differences, sides: Tensor, source: int) -> list[int]:
    """The sides whose update answers when the whole numbers of a side are moved by one, or its truth values turned."""
    whole = system.whole
    mine = torch.from_numpy(~whole.sides if source else whole.sides.copy())
    mine[: system.n] = False
    if not bool(mine.any()):
        return []
    flat = whole.flat
    truth = torch.zeros_like(mine)
    for leaf in system.discrete:
        truth[leaf.coordinates] = leaf.dtype == torch.bool
    before = _after(whole, flat)
    for by in (1.0, -1.0):
        moved = _after(whole, torch.where(mine, torch.where(truth, 1 - flat, flat + by), flat))
        if moved is not None and before is not None:
            change = (moved - before)[: system.n]
            least = 100 * ways.noise
            return [t for t, side in enumerate(sides) if float(change[side].norm()) > float(least[side].norm())]
    return []


def _update(ways: Differences, line: Tensor) -> Tensor | None:
    """[n]: the update at the state moved along a line; None where there is no finite one."""
    flat = ways.flat + line
    after = _after(ways.system, flat)
    return None if after is None else after - ways.system.rounded(flat)


def _after(system: System, flat: Tensor) -> Tensor | None:
    try:
        after = system.lived(flat)
    except Exception:  # a foreign step beside its state
        return None
    return after if bool(after.isfinite().all()) else None
