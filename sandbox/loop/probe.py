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
from sandbox.core.state import SLOTS, State, leaves
from sandbox.loop.horizon import reborn
from sandbox.loop.lived import LoopView

REMEMBERED = ("meta", "memory")  # what an editor's own answer changes, whatever it edits


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
        now on at t = 0: the live one where lives persist, else a fresh one on the fixed held-out probe tasks. Lived
        once for each number of tasks."""
        return self.once(f"adapted/{world.tasks}", lambda: self._adapted(world))

    def _adapted(self, world: World) -> tuple[State, State]:
        top, state = len(self.loop.levels), replace(self.state, t=0)
        if all(level.lifetime == "persistent" for level in self.loop.levels):
            return self.engine.born(world, state), state
        loop = self.loop.within(world, self.step)
        fresh = reborn(loop, top, self.engine.draw(world, state, "probe", held_out=True))
        lived = loop.live(top, _standing(fresh), 1, "probe", None, "trial", held_out=True)
        return fresh, lived.standing.state

    def reflect(self, state: State, reached: Sequence[str]) -> State:
        """F: one reflective step of level 1 from `state`, its edit taken, on the tape where a leaf of `state` is. An
        edit that touches none of the `reached` paths is left out, unless they name what the editor remembers: the map
        between them is the same without it."""
        above = prod(level.horizon for level in self.loop.levels[1:])
        step = self.step * above + 1
        adjoint = FULL if _taped(state) else None
        with torch.enable_grad():
            if self._asks(reached):
                lived = self.loop.reflect(1, _standing(state), step, "probe", adjoint=adjoint, mode="probe")
            else:
                lived = self.loop.live(1, _standing(state), step, "probe", adjoint, "probe")
        return lived.standing.state

    def _asks(self, reached: Sequence[str]) -> bool:
        """Whether what the editor does in a step shows on the `reached` paths."""
        touched = any(
            covers([part], path) or covers([path], part) for path in self.level.needs.edits for part in reached
        )
        return touched or any(part.split("/")[0] in REMEMBERED for part in reached)


def _taped(state: State) -> bool:
    return any(leaf.requires_grad for slot in SLOTS for leaf in leaves(state, slot).values())


def _standing(state: State) -> Standing:
    return Standing(state, before=state, edited=torch.zeros(state.seeds, dtype=torch.bool))
