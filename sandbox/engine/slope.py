"""The derivative by tape beside central differences: of P after a life, along a random direction of its first weights.

Central differences are taken at several spacings in float64. The two neighbours that agree best stand for the slope,
and what they differ by for its error: truncation dominates at wide spacings, rounding at narrow ones, and a kink within
a spacing shows as disagreement (Ridders 1982 extrapolates the same table; here the best pair is enough).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor

from sandbox.core.adjoint import FULL
from sandbox.core.protocols import Act, Batch, Engine, Params, Split, Task, World
from sandbox.core.state import State, map_state, repeat_seeds
from sandbox.engine.plan import share_plan

SPACINGS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
COARSE = (1e-1, 3e-2, 1e-2, 3e-3)  # where a network can't be run in float64
NEAR = 1e-5  # relative difference that is no fault in float64
SETTLED = 0.1  # relative error beyond which differences have not settled on a slope
WAYS = 2  # directions along which the two must differ to be a fault


@dataclass(frozen=True)
class Slope:
    """The slope by tape and by differences, and the error of the latter."""

    tape: float
    differences: float
    error: float
    double: bool

    @property
    def fault(self) -> str:
        if not isfinite(self.differences):
            return ""  # the life diverges, which is told as it does
        scale = max(abs(self.tape), abs(self.differences))
        if self.double and self.error > SETTLED * scale + 1e-6:
            return f"P jumps: no slope to be had by central differences ({self.differences:.3g} ± {self.error:.1g})"
        near = NEAR if self.double else 1e-2
        apart = abs(self.tape - self.differences)
        return self.told if apart > near * scale + 5 * self.error + 1e-9 or not isfinite(self.tape) else ""

    @property
    def told(self) -> str:
        return f"by tape {self.tape:.6g}, by central differences {self.differences:.6g} ± {self.error:.1g}"


def compare(engine: Engine, world: World, state: State, steps: int) -> Slope:
    """The slopes along the direction that shows least difference, of WAYS random ones."""
    state = replace(map_state(lambda leaf: leaf[:1], state), seed=state.seed[:1])
    try:
        return _compare(engine, *_doubled(world, state), steps, double=True)
    except Exception:
        return _compare(engine, world, state, steps, double=False)  # or it raises what is wrong with it


def _compare(engine: Engine, world: World, state: State, steps: int, *, double: bool) -> Slope:
    found: list[Slope] = []
    for way in range(WAYS):
        slope = _along(engine, world, state, _way(state.init, way), steps, double)
        found.append(slope)
        if not slope.fault:
            return slope
    return min(found, key=lambda slope: abs(slope.tape - slope.differences))


def _along(engine: Engine, world: World, state: State, way: Params, steps: int, double: bool) -> Slope:
    """Lives that start at several points of a line, side by side; and one on the tape."""
    split: Any = next((name for name in ("practice", "gate", "test") if name in world.task.noise), "train")

    def ends(moved: Tensor, adjoint: Any) -> Tensor:
        """[R]: P after a life from each of R points."""
        init = {
            name: leaf + moved.reshape(-1, *[1] * (leaf.dim() - 1)) * way[name] for name, leaf in state.init.items()
        }
        begun = engine.born(world, replace(repeat_seeds(state, len(moved)), init=init))
        lived, _ = engine.unroll(world, begun, steps, "examine", adjoint)
        return engine.scores(world, lived, split, "examine").mean(dim=1)

    like = next(iter(way.values()))
    zero = torch.zeros(1, dtype=like.dtype, device=like.device, requires_grad=True)
    with torch.enable_grad():
        (tape,) = torch.autograd.grad(ends(zero, FULL).sum(), zero)
    spacings = torch.tensor(SPACINGS if double else COARSE, dtype=torch.float64)
    with torch.no_grad():
        found = ends(torch.cat([spacings, -spacings]).to(like), None).double().cpu()
    up, down = found.split(len(spacings))
    table = ((up - down) / (2 * spacings)).tolist()
    error, best = min(((abs(a - b), b) for a, b in pairwise(table) if isfinite(a - b)), default=(inf, inf))
    if not double:  # rounding and kinks: what the whole table differs by
        settled = [value for value in table if isfinite(value)]
        error = max(settled) - min(settled) if settled else inf
    return Slope(float(tape), best, error, double)


def _way(init: Params, number: int) -> Params:
    """A random direction, of each tensor as large as the tensor itself."""
    generator = torch.Generator().manual_seed(number)
    found: Params = {}
    for name, leaf in init.items():
        size = float(leaf.square().mean().sqrt()) if leaf.numel() else 0.0
        drawn = torch.randn(leaf.shape[1:], generator=generator, dtype=torch.float64).to(leaf)
        found[name] = drawn * (size or 0.1)
    return found


# ---- in float64 -----------------------------------------------------------------------------------------------------


def _doubled(world: World, state: State) -> tuple[World, State]:
    """The same world and state in float64."""
    doubled = replace(world, task=_Doubled(world.task))
    share_plan(world, doubled)
    return doubled, map_state(_double, state)


def _double(leaf: Tensor) -> Tensor:
    return leaf.double() if leaf.is_floating_point() else leaf


class _Doubled:
    """A task whose data are float64."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        return {name: _double(leaf) for name, leaf in self._task.sample(task, act, noise, split).items()}
