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

from sandbox.measure.differences import Differences
from sandbox.measure.system import System

REACH = 0.3  # of a leaf's root mean square
HALVINGS = 20
Kind = Literal["jumps", "steps too fine for derivatives", "0 at this very state", "whole numbers"]


@dataclass(frozen=True)
class Unseen:
    """How `target`'s update answers to `source` (0 outer, 1 inner) without a derivative."""

    source: int
    target: int
    kind: Kind


def unseen(system: System, *, tries: int = 2, seed: int = 0) -> tuple[Unseen, ...]:
    """All that is found along `tries` random lines a side: about ten steps each, and up to twenty where there is a
    jump."""
    ways, here = Differences(system), system.lived(system.flat) - system.rounded(system.flat)
    sides = torch.stack([torch.from_numpy(system.outer), ~torch.from_numpy(system.outer)])
    generator, found = torch.Generator().manual_seed(seed), dict[tuple[int, int], Unseen]()
    size = torch.cat([torch.full((leaf.stop - leaf.start,), scale, dtype=torch.float64)
                      for leaf, scale in zip(system.leaves, ways.scales, strict=True)])  # fmt: skip
    for source in (0, 1):
        for _ in range(tries):
            line = REACH * size * torch.randn(system.n, generator=generator, dtype=torch.float64) * sides[source]
            for target, kind in _along(ways, here, line, sides).items():
                found.setdefault((source, target), Unseen(source, target, kind))
        for target in _whole(system, ways, sides, source):
            found.setdefault((source, target), Unseen(source, target, "whole numbers"))
    return tuple(found.values())


def _along(ways: Differences, here: Tensor, line: Tensor, sides: Tensor) -> dict[int, Kind]:
    """The sides whose update is foretold badly along a line, and how."""
    for times in (1, 1 / 8, 1 / 64):
        there = _update(ways, times * line)
        if there is not None:
            return _judged(ways, here, there, times * line, sides)
    return {}


def _judged(ways: Differences, here: Tensor, there: Tensor, line: Tensor, sides: Tensor) -> dict[int, Kind]:
    foretold = ways.along(line)
    if not foretold.value.isfinite().all():
        return {}
    close = _update(ways, line / 64)
    kinds: dict[int, Kind] = {}
    for target, side in enumerate(sides):
        change, linear = (there - here)[side], (foretold.value - line)[side]
        size = float(change.norm())
        if size <= 100 * float(ways.noise[side].norm()) or float((change - linear).norm()) <= 0.5 * size:
            continue
        if _jumps(ways, here, there, line, side):
            kinds[target] = "jumps"
        elif float(linear.norm()) <= max(1e-6 * size, float(foretold.error[side].norm())):
            kinds[target] = "0 at this very state"
        elif close is not None and _ragged((close - here)[side], linear / 64, 100 * float(ways.noise[side].norm())):
            kinds[target] = "steps too fine for derivatives"
    return kinds


def _ragged(change: Tensor, linear: Tensor, least: float) -> bool:
    """Whether derivatives foretell less than half of a move that is too short for a curve."""
    return float(change.norm()) > least and float((change - linear).norm()) > 0.5 * float(change.norm())


def _jumps(ways: Differences, here: Tensor, there: Tensor, line: Tensor, side: Tensor) -> bool:
    """Whether at least a quarter of the change along the line happens at one point of it."""
    least, low, high = 0.25 * float((there - here)[side].norm()), 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        between = _update(ways, middle * line)
        if between is None:
            return False
        first, second = float((between - here)[side].norm()), float((there - between)[side].norm())
        if max(first, second) < least:
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
    except Exception:  # noqa: BLE001: a foreign step beside its state
        return None
    return after if bool(after.isfinite().all()) else None
