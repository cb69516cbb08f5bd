"""What a meter may ask of a run between two reflective steps, on streams of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from sandbox.core.edit import covers
from sandbox.core.protocols import Engine, Level, World
from sandbox.core.record import Standing
from sandbox.core.state import State

if TYPE_CHECKING:
    from sandbox.loop.reflect import Loop


@dataclass(frozen=True)
class LoopProbe:
    """A window on a run: `state` now, `start` before any learning, `step` reflective steps lived."""

    loop: Loop
    state: State
    start: State
    step: int

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
        """A life in `world` (the run's own, or with another number of tasks) before and after its horizon: the live
        one where lives persist, else a fresh one on the fixed held-out probe tasks."""
        top = len(self.loop.levels)
        if all(level.lifetime == "persistent" for level in self.loop.levels):
            return self.engine.born(world, self.state), self.state
        loop = replace(self.loop, world=world, meters=())
        state = replace(self.state, t=0)
        fresh = self.engine.born(world, self.engine.draw(world, state, "probe", held_out=True))
        lived = loop.live(top, _standing(fresh), 1, "probe", "off", "trial", held_out=True)
        return fresh, lived.standing.state

    def reflect(self, state: State, outer: tuple[str, ...]) -> State:
        """F: one reflective step of level 1 from `state`, its edit taken, everything on the tape. Where the edit
        reaches nothing in `outer` it is left out: the map between `outer` and `params` is the same without it."""
        with torch.enable_grad():
            if any(covers(outer, path) or covers([path], part) for path in self.level.meta_learner.needs.edits
                   for part in outer):  # fmt: skip
                return self.loop.reflect(
                    1, _standing(state), self.step + 1, "probe", tape="full", mode="probe"
                ).standing.state
            return self.loop.live(1, _standing(state), self.step + 1, "probe", "full", "probe").standing.state


def _standing(state: State) -> Standing:
    return Standing(state, before=state, edited=torch.zeros(state.seeds, dtype=torch.bool))
