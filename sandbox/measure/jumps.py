"""What derivatives can't see: one side's update that answers the other by jumps, by whole numbers, or only farther on.

Each side is moved by some tenths of its size, and what the step then does is held against what derivatives foretell.
Where they foretell less than three quarters, the move is halved towards the greater change, until that shrinks with the
move (a curve) or is left (a jump): a quarter of the whole, or less where the slopes between don't make up for the rest
(a staircase). Whole numbers are moved by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.measure.differences import Difference, Differences
from sandbox.measure.system import System

REACHES = (0.3, 1.0, 3.0)  # of each number's own size, or of its leaf's where it is 0
FARTHER = (1.0, 3.0, 10.0)  # where what is drawn or chosen may turn
TOWARDS = (0.3, 0.9, -0.3, -1.0)  # 0, and away from it
LINES, DRAWS = 3, 8  # of a step whose loop is seen, and of one that draws or seems to have none
HALVINGS = 20
LAST = 8  # of the halvings: a curve's change shrinks in them by 2^8, that of a jump doesn't
LOOKS, NEAR = (2, 4, 7, 10), 2.0**-HALVINGS  # after which halvings the slope is looked at, and over how little
Kind = Literal[
    "jumps",
    "steps too fine for derivatives",
    "a kink at this very state",
    "0 at this very state",
    "whole numbers",
    "the luck of another draw",
]


@dataclass(frozen=True)
class Unseen:
    """How `target`'s update answers to `source` (0 outer, 1 inner) without a derivative."""

    source: int
    target: int
    kind: Kind


def unseen(system: System, seen: Tensor, *, jacobian: Tensor | None = None, seed: int = 0) -> tuple[Unseen, ...]:
    """Returns all that is found along three lines a side: one towards 0 and away from it, the others at random. Where
    no loop is seen, which a jump would close, and of a step that draws they are eight, in that case each with draws of
    its own. Seven or eight steps a line, some five more where it is curved, and twenty where there is a jump. `seen`
    [2, 2] says which blocks have derivatives (row target, column source); `jacobian` [n, n] is the one that M was read
    from. Without it, differences along the lines stand for it."""
    sides = torch.stack([torch.from_numpy(system.outer), ~torch.from_numpy(system.outer)])
    generator, found = torch.Generator().manual_seed(seed), dict[tuple[int, int], Unseen]()
    usual = Differences(system)
    size = torch.where(usual.flat == 0, usual.sizes, usual.flat.abs())
    several = system.draws()
    farther = several or not bool(seen[0, 1] & seen[1, 0])  # no loop is seen: a jump would close it
    for number in range(DRAWS if farther else LINES):
        ways = Differences(system.at(number)) if several and number else usual
        for source in (0, 1):
            drawn = torch.randn(system.n, generator=generator, dtype=torch.float64)
            line = torch.where(usual.flat != 0, -usual.flat, size * drawn) if number == 0 else size * drawn
            reaches = TOWARDS if number == 0 else FARTHER if farther else REACHES
            line = line * sides[source]
            if ways.here is None:
                continue
            foretold = ways.along(line)
            if jacobian is not None and ways is usual:
                foretold = foretold._replace(value=jacobian @ line)
            kinds = _along(ways, line, sides, reaches=reaches, foretold=foretold)
            if several:
                kinds = _lucky(foretold, line, sides, seen=seen[:, source]) | kinds
            for target, kind in kinds.items():
                found.setdefault((source, target), Unseen(source, target, kind))
    for source in (0, 1):
        for target in _by_whole_numbers(usual, sides, source=source):
            found.setdefault((source, target), Unseen(source, target, "whole numbers"))
    return tuple(found.values())


def _along(
    ways: Differences, line: Tensor, sides: Tensor, *, reaches: tuple[float, ...], foretold: Difference
) -> dict[int, Kind]:
    """The sides whose update is foretold badly along a line, and how."""
    kinds: dict[int, Kind] = {}
    if ways.here is None or not foretold.value.isfinite().all():
        return kinds
    for reach in reaches:
        there = ways.system.beside(ways.flat + reach * line)
        if there is not None:
            move = Move(ways, ways.here, there, reach * line)
            kinds = _judged(move, sides, reach=reach, foretold=foretold, known=kinds) | kinds
    return kinds


def _lucky(foretold: Difference, line: Tensor, sides: Tensor, *, seen: Tensor) -> dict[int, Kind]:
    """The sides that move by this draw, and not (`seen` [2]) by the one that was read."""
    linear, kinds = (foretold.value - line).abs() > foretold.error, dict[int, Kind]()
    for target, side in enumerate(sides):
        if not bool(seen[target]) and bool(linear[side].any()):
            kinds[target] = "the luck of another draw"
    return kinds


@dataclass(frozen=True, eq=False)
class Move:
    """The update `here` and `there`, with the state moved along `line` [n]."""

    ways: Differences
    here: Tensor
    there: Tensor
    line: Tensor

    def at(self, share: float) -> Tensor | None:
        """[n]: the update with the state moved by a share of the line."""
        return self.ways.system.beside(self.ways.flat + share * self.line)


def _judged(
    move: Move, sides: Tensor, *, reach: float, foretold: Difference, known: dict[int, Kind]
) -> dict[int, Kind]:  # fmt: skip
    """The same of one move, whose line is `reach` times the one that derivatives were taken along; where no jump is
    `known` already."""
    kinds: dict[int, Kind] = {}
    for target, side in enumerate(sides):
        change, least = (move.there - move.here)[side], _least(move, side)
        linear = reach * foretold.value[side] - move.line[side]
        size, gap = float(change.norm()), float((change - linear).norm())
        if size <= least or gap <= size / 4 or known.get(target) == "jumps":
            continue
        off = float(foretold.error[side].norm())
        if size > 1e-3 * float(linear.norm()) and _jumps(move, side):
            kinds[target] = "jumps"
        elif gap <= size / 2:
            continue
        elif float(linear.norm()) <= max(1e-6 * size, abs(reach) * off):
            kinds[target] = "0 at this very state"
        elif off <= 0.1 * float(linear.norm()) / abs(reach) and all(
            _ragged(move, linear, times, side) for times in (64, 1024, 16384)
        ):
            kinds[target] = "a kink at this very state" if _bent(move, side) else "steps too fine for derivatives"
    return kinds


def _least(move: Move, side: Tensor) -> float:
    """What rounding may change."""
    return 100 * float(move.ways.noise[side].norm())


def _ragged(move: Move, linear: Tensor, times: int, side: Tensor) -> bool:
    """Whether derivatives foretell less than half of a move that is too short for a curve."""
    near = move.at(1 / times)
    if near is None:
        return False
    change = (near - move.here)[side]
    return float(change.norm()) > _least(move, side) and float((change - linear / times).norm()) > 0.5 * float(
        change.norm()
    )


def _bent(move: Move, side: Tensor) -> bool:
    """Whether short moves ahead and behind are not opposite, as they are on steps that are finer still, and grow with
    their length, as they do not where the step oscillates."""
    moved = [move.at(share) for share in (1 / 16384, -1 / 16384, NEAR)]
    known = [(one - move.here)[side] for one in moved if one is not None]
    if len(known) < len(moved):
        return False
    ahead, behind, near = known
    grows = float((ahead * 16384 - near / NEAR).norm()) < 0.25 * float(ahead.norm()) * 16384
    return grows and float((ahead + behind).norm()) > 0.25 * float(ahead.norm())


def _jumps(move: Move, side: Tensor) -> bool:
    """Whether a change that doesn't shrink with the move is left at one point of the line."""
    here, there, low, high = move.here, move.there, 0.0, 1.0
    total, larger = float((there - here)[side].norm()), list[float]()
    for number in range(HALVINGS):
        middle = (low + high) / 2
        between = move.at(middle)
        if between is None:
            return False
        first, second = float((between - here)[side].norm()), float((there - between)[side].norm())
        larger.append(max(first, second))
        if larger[-1] > 4 * total or larger[-1] <= _least(move, side):  # a pole; a change that has gone
            return False
        if first >= second:
            high, there = middle, between
        else:
            low, here = middle, between
        if number in LOOKS and _straight(move, low, here, (there - here) / (high - low), side):
            return False
    return larger[-1] >= larger[-1 - LAST] / 4 and (larger[-1] >= total / 4 or _stairs(move, side))


def _stairs(move: Move, side: Tensor) -> bool:
    """Whether slopes at eight points of the line, between jumps, make less than half of the change along it: a
    staircase, and not a few small jumps of what is else smooth, as slopes of ReLU networks have."""
    change, sloped = (move.there - move.here)[side], torch.zeros_like(move.here[side])
    for number in range(8):
        share = (2 * number + 1) / 16
        one, two = move.at(share), move.at(share + NEAR)
        if one is None or two is None:
            return True
        sloped += (two - one)[side] / NEAR / 8
    return float((change - sloped).norm()) > 0.5 * float(change.norm())


def _straight(move: Move, low: float, here: Tensor, slope: Tensor, side: Tensor) -> bool:
    """Whether the `slope` over an interval is that of its first millionth, as on a curve; steps are flatter or
    steeper."""
    near = move.at(low + NEAR)
    if near is None:
        return False
    change, foretold = (near - here)[side], NEAR * slope[side]
    return (
        float(foretold.norm()) > _least(move, side) and float((change - foretold).norm()) < float(foretold.norm()) / 4
    )


def _by_whole_numbers(usual: Differences, sides: Tensor, *, source: int) -> list[int]:
    """The sides whose update answers when the whole numbers of a side are moved by one, up or down, or its truth values
    turned."""
    system, run = usual.system, usual.system.with_discrete
    mine = torch.from_numpy(~run.sides if source else run.sides.copy())
    mine[: system.n] = False
    if not bool(mine.any()):
        return []
    flat, before = run.flat, run.beside(run.flat)
    truth = torch.zeros_like(mine)
    for leaf in system.discrete:
        truth[leaf.coordinates] = leaf.dtype == torch.bool
    answer, least = torch.zeros_like(sides[:, 0]), 100 * usual.noise
    for by in (1.0, -1.0):  # one of them may lead nowhere, at a bound
        moved = run.beside(torch.where(mine, torch.where(truth, 1 - flat, flat + by), flat))
        if moved is not None and before is not None:
            change = (moved - before)[: system.n]
            answer |= torch.tensor([bool(change[side].norm() > least[side].norm()) for side in sides])
    return answer.nonzero()[:, 0].tolist()
