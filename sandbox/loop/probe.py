"""What a meter may ask of a run between two reflective steps, on streams of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch

from sandbox.core.adjoint import FULL
from sandbox.core.edit import covers
from sandbox.core.protocols import Engine, Level, World
from sandbox.core.record import Standing
from sandbox.core.state import State
from sandbox.loop.lived import LoopView


@dataclass(frozen=True)
class LoopProbe:
    """A window on a run: `state` now, `start` before any learning, `step` reflective steps lived."""

    loop: LoopView
    state: State
    start: State
    step: int
    shared: dict[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """What `compute` returns, computed once a probe."""
        if key not in self.shared:
            self.shared[key] = compute()
        return self.shared[key]

    @property
    def world(self) -> World:
        return self.loop.world

    @property
    def engine(self) -> Engine:
        return self.loop.engine

    @property
    def level(self) -> Level:
        return self.loop.levels[0]

    def adapted(self, world: World) -> tuple[State, State]:
        """A life in `world` (the run's own, or with another number of tasks) before and after its horizon, read from
        now on at t = 0: the live one where lives persist, else a fresh one on the fixed held-out probe tasks."""
        top, state = len(self.loop.levels), replace(self.state, t=0)
        if all(level.lifetime == "persistent" for level in self.loop.levels):
            return self.engine.born(world, state), state
        fresh = self.engine.born(world, self.engine.draw(world, state, "probe", held_out=True))
        lived = self.loop.within(world).live(top, _standing(fresh), 1, "probe", None, "trial", held_out=True)
        return fresh, lived.standing.state

    def reflect(self, state: State, reached: Sequence[str]) -> State:
        """F: one reflective step of level 1 from `state`, its edit taken, everything on the tape. An edit that
        touches none of the `reached` paths is left out: the map between them is the same without it."""
        above = prod(level.horizon for level in self.loop.levels[1:])
        step = self.step * above + 1
        edits = self.level.needs.edits
        touches = any(covers([part], path) or covers([path], part) for path in edits for part in reached)
        with torch.enable_grad():
            if touches:
                return self.loop.reflect(1, _standing(state), step, "probe", adjoint=FULL, mode="probe").standing.state
            return self.loop.live(1, _standing(state), step, "probe", FULL, "probe").standing.state


def _standing(state: State) -> Standing:
    return Standing(state, before=state, edited=torch.zeros(state.seeds, dtype=torch.bool))
