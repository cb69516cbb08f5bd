"""Central differences of a system's step, at a spacing that fits what is rounded on the way, with their error.

A direction is moved by ±h and ±2h. The value is (4 D(h) - D(2h)) / 3 (Richardson 1911), whose own error is of order
h⁴; the error that is told is 2 |D(h) - D(2h)|, of order h², and the rounding of the step over h. Two spacings agree on
a wrong slope where a kink lies between the points, and where the step oscillates within them. A kink bends the step by
as much at h as at 2h, a curve by half: what is left of the bend is added to the error. What oscillates is found by one
point far closer (`checked`). Where no number of the update has changed by a bit, all of these are 0, if its leaf is
of double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from sandbox.measure.error import wrong
from sandbox.measure.state import Leaf
from sandbox.measure.system import System

UNIT = float(torch.finfo(torch.float64).eps)
NARROWER = (8, 64)  # how much closer it is tried where the step has no value
CLOSER = 2**14  # how much closer the point lies that checks a reading
ROUNDS = (8, 64, 512, 512)  # how much closer each round of reading a coarse column again goes, at most


class Difference(NamedTuple):
    """[n] each: J v, by how much spacings differ and a kink may turn it, what rounding may add, and the bend, by how
    much the slopes ahead and behind differ; and the spacing h. NaN where the step has no value."""

    value: Tensor
    spread: Tensor
    rounding: Tensor
    bend: Tensor
    spacing: float

    @property
    def error(self) -> Tensor:
        return 2 * self.spread + self.rounding


@dataclass(frozen=True, eq=False)
class Differences:
    """The differences of a `system` at its state. A number is moved by a share of its size, or of the usual size in its
    leaf where that is larger: by `spacing`, or by one that balances rounding and curvature."""

    system: System
    spacing: float | None = None

    def __post_init__(self) -> None:
        if self.spacing is not None and not self.spacing > 0:
            raise wrong(expected="a spacing > 0", got=f"{self.spacing}", do="It is a share of each leaf's size.")

    @cached_property
    def flat(self) -> Tensor:
        return self.system.flat

    @cached_property
    def sizes(self) -> Tensor:
        """[n]: each number's size, or the median one of its leaf (without zeros; 1 where there are only zeros), if that
        is larger: one leaf may hold numbers of very different sizes, as a flat state does."""
        sizes = self.flat.abs()
        for leaf in self.system.leaves:
            here = sizes[leaf.coordinates]
            usual = float(here[here > 0].median()) if bool(here.any()) else 1.0
            sizes[leaf.coordinates] = here.clamp(min=usual)
        return sizes

    @cached_property
    def here(self) -> Tensor | None:
        return self.system.beside(self.flat)

    @cached_property
    def coarse(self) -> Tensor:
        """[n]: whose own dtype may hide what moves."""
        found = torch.zeros(self.system.n, dtype=torch.bool)
        for leaf in self.system.leaves:
            found[leaf.coordinates] = leaf.dtype.itemsize < 8
        return found

    @cached_property
    def noise(self) -> Tensor:
        """[n]: the rounding of the update, as a standard deviation: from its fourth differences along one random line
        of seven close points, which take out all that is smooth (Hamming; Moré and Wild 2011), or of closer ones, where
        they aren't yet of rounding alone. Pooled by leaf."""
        line = torch.randn(self.flat.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        for leaf in self.system.leaves:  # within the signs of what is not 0
            here = self.flat[leaf.coordinates]
            line[leaf.coordinates] *= 1e-5 * here if bool(here.any()) else 1e-5
        found, after = self._fourth(line), self.system.lived(self.flat)
        least = torch.zeros_like(found)
        for leaf in self.system.leaves:
            size = float(torch.maximum(self.flat[leaf.coordinates].abs(), after[leaf.coordinates].abs()).max())
            unit = UNIT if leaf.dtype.itemsize >= 8 else float(torch.finfo(leaf.dtype).eps) / 4
            least[leaf.coordinates] = unit * size
        falls, begun = found > least, False
        while bool(falls.any()):  # at a kink they fall as the line does, where it oscillates faster; rounding doesn't
            line = line / 10
            again = self._fourth(line)
            still = falls & (again < 0.11 * found) & (again > least)
            found, falls = torch.where(still | (falls & begun & (again < found)), again, found), still
            begun = True
        return torch.maximum(found, least)

    def _fourth(self, line: Tensor) -> Tensor:
        """[n]: the noise that fourth differences of seven points on a line show."""
        points = [self.system.beside(self.flat + k * line) for k in range(-3, 4)]
        known = [point for point in points if point is not None]
        found = torch.zeros_like(self.flat)
        if len(known) == len(points):
            fourth = torch.stack(known)
            for _ in range(4):
                fourth = fourth.diff(dim=0)
            found = fourth.square().mean(dim=0) / 70  # of independent noise: 1 + 16 + 36 + 16 + 1 times its variance
        for leaf in self.system.leaves:
            found[leaf.coordinates] = found[leaf.coordinates].mean().sqrt()
        return found

    @cached_property
    def unit(self) -> float:
        """The rounding as a share of the leaf that it is coarsest in."""
        rounds = [float(self.noise[leaf.coordinates].max() / self.sizes[leaf.coordinates].median())
                  for leaf in self.system.leaves]  # fmt: skip
        return min(max([UNIT, *rounds]), 0.01)

    @property
    def share(self) -> float:
        """How far a leaf is moved, of its size: where an error of order h⁴ and rounding over h are alike."""
        return self.spacing or self.unit**0.2

    def along(self, v: Tensor, share: float | None = None) -> Difference:
        """J v for `v` [n], all of which is moved at once: four steps."""
        step = self._step(v, share or self.share)
        found = self._at(v, step, usual=share is None)
        for times in NARROWER:
            if found.value.isfinite().all():
                return found
            found = self._at(v, step / times, usual=share is None)
        entries = self.flat[v != 0].abs()
        if not found.value.isfinite().all() and bool(entries.any()):
            least = 0.2 * float(entries[entries > 0].min() / v.abs().max())
            return self._at(v, min(step / 64, least), usual=share is None)
        return found

    def quick(self, v: Tensor) -> Tensor:
        """[n]: J v by two steps for each group of leaves that it touches, without an error."""
        found = torch.zeros_like(v)
        for part in self.groups(v):
            step = self._step(part, self.spacing or self.unit ** (1 / 3))
            for h in (step / times for times in (1, *NARROWER, 512)):
                at, _ = self._central(part, h)
                if at.isfinite().all():
                    break
            found += part + at
        return found

    def groups(self, v: Tensor) -> Iterator[Tensor]:
        """The parts of `v` [n] that are moved together: leaves whose sizes lie within a factor that the step's
        precision allows, 1000 in float64."""
        room = 1000.0 if self.unit < 1e-12 else 4.0
        reach = {leaf: self._reach(v, leaf) for leaf in self.system.leaves if bool(v[leaf.coordinates].any())}
        part, least = torch.zeros_like(v), 0.0
        for leaf in sorted(reach, key=lambda leaf: reach[leaf]):
            if least and reach[leaf] > room * least:
                yield part
                part, least = torch.zeros_like(v), 0.0
            least = least or reach[leaf]
            part[leaf.coordinates] = v[leaf.coordinates]
        yield part

    def _reach(self, v: Tensor, leaf: Leaf) -> float:
        """How many times v moves a number of a leaf by its size, at the least."""
        moved = v[leaf.coordinates].abs()
        return float((self.sizes[leaf.coordinates] / moved)[moved > 0].min())

    def _step(self, v: Tensor, share: float) -> float:
        """How far to go along v."""
        return share * min(self._reach(v, leaf) for leaf in self.system.leaves if bool(v[leaf.coordinates].any()))

    def _at(self, v: Tensor, h: float, *, usual: bool) -> Difference:
        (near, bend), (far, farther) = self._central(v, h), self._central(v, 2 * h)
        moved = self.coarse | (near != 0) | (far != 0) if usual else True  # closer by, rounding may hide what moves
        rounding = 2 * self.noise / h * moved
        if self.spacing:
            return Difference(v + near, (near - far).abs(), rounding, bend, h)
        kink = (bend - farther / 2).abs()
        return Difference(v + (4 * near - far) / 3, (near - far).abs() + kink / 2, rounding, bend, h)

    def _central(self, v: Tensor, h: float) -> tuple[Tensor, Tensor]:
        """[n] each: the slope of the update, so that what doesn't move reads exactly no change, and its bend."""
        ahead, behind = (self.system.beside(self.flat + way * v) for way in (h, -h))
        if ahead is None or behind is None or self.here is None:
            return torch.full_like(v, torch.nan), torch.full_like(v, torch.nan)
        return (ahead - behind) / (2 * h), ((ahead - self.here) - (self.here - behind)) / h

    def checked(self, v: Tensor, share: float | None = None) -> Difference:
        """J v as by `along`, held against one point far closer: five steps. What they differ by, beyond the curve and
        the rounding of that point, is added to the error. A spacing that was asked for is not checked."""
        found = self.along(v, share)
        h = found.spacing / CLOSER
        if self.spacing or self.here is None or not found.value.isfinite().all():
            return found
        for way in (h, -h):
            point = self.system.beside(self.flat + way * v)
            if point is not None:
                slope = found.value - v + way / found.spacing * found.bend / 2  # that of a curve, so far from here
                off = ((point - self.here) / way - slope).abs() - 6 * self.noise / h - found.error
                return found._replace(spread=found.spread + off.clamp(min=0))
        return found


def jacobian_by_differences(system: System, *, spacing: float | None = None) -> tuple[Tensor, Tensor]:
    """[n, n] each: J and the error of each entry; five steps a coordinate. Up to four times, what is still coarse
    against its block is read again, closer where it is curved and wider where it is rounded."""
    ways = Differences(system, spacing)
    eye = torch.eye(system.n, dtype=torch.float64)
    found = [ways.checked(v) for v in eye]
    sides = torch.from_numpy(system.outer)
    rows = [sides, ~sides]
    share = torch.full((system.n,), ways.share, dtype=torch.float64)
    for closer in () if spacing is not None else ROUNDS:
        for j in _coarse(found, eye, rows):
            mine = found[j]
            share[j] *= 1 / closer if float(mine.spread.norm()) > float(mine.rounding.norm()) else 8
            again = ways.checked(eye[j], float(share[j].clamp(max=0.2)))
            found[j] = _better(mine, again, eye[j], rows)
    return torch.stack([one.value for one in found], dim=1), torch.stack([one.error for one in found], dim=1)


def _coarse(found: list[Difference], eye: Tensor, rows: list[Tensor]) -> list[int]:
    """The columns whose error is more than a thousandth of what their block holds in a column."""
    values, errors = (
        torch.stack([one.value for one in found], dim=1) - eye,
        torch.stack([one.error for one in found], 1),
    )
    coarse = torch.zeros(len(found), dtype=torch.bool)
    for row in rows:
        for columns in rows:
            usual = values[row][:, columns].nan_to_num(0).norm() / columns.sum().sqrt()
            off = errors[row].norm(dim=0)
            coarse |= columns & ((off > 1e-3 * usual) | off.isnan())
    return coarse.nonzero()[:, 0].tolist()


def _better(mine: Difference, again: Difference, v: Tensor, rows: list[Tensor]) -> Difference:
    """Of two readings of one column, for either side of the state the one with the lesser error."""
    value, spread, rounding = mine.value.clone(), mine.spread.clone(), mine.rounding.clone()
    moved = (mine.value - v).abs()  # what then stands still is on a step of a staircase, or beside a kink
    still = (again.value == v) & (mine.spread > 0) & (mine.bend.abs() < moved / 2)
    for row in rows:
        old, new = float(mine.error[row].norm()), float(again.error[row].norm())
        stands = bool((still & row).any())
        if (new < old and not stands) or (old != old and new == new):
            value[row], spread[row], rounding[row] = again.value[row], again.spread[row], again.rounding[row]
    return mine._replace(value=value, spread=spread, rounding=rounding)
