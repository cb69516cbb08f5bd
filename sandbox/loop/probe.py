"""What a meter may ask of a run between two reflective steps, on streams of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch

from sandbox.core.adjoint import FULL
from sandbox.core.edit import covers
from sandbox.core.error import ConfigError, explain
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

    @property
    def fresh(self) -> bool:
        """Whether some level's lives are episodic."""
        return _episodic(self.loop) > 0

    def after(self, world: World, steps: Sequence[int], stream: str) -> Mapping[int, State]:
        """{inner steps: the state of a life in `world` after them}. The life is that of the lowest level whose lives
        are episodic: begun afresh on held-out tasks, edited by the levels below it alone. Where all persist it is the
        live one, which nobody edits."""
        n, state = _episodic(self.loop), replace(self.state, t=0)
        if n:
            loop = self.loop.within(world, self.step)
            state = reborn(loop, n, self.engine.draw(world, state, stream, held_out=True))
        elif (world.task, world.tasks) == (self.world.task, self.world.tasks):
            loop, n = self.loop, 1
        else:
            raise ConfigError(explain(expected=f"the run's own task, {self.world.tasks} a seed, as its lives persist",
                                      got="another task, or another number of them",
                                      do="Leave them out: a life can't change its task."))  # fmt: skip
        if n > 1:
            _refuse_owned(loop, n, state)
        unit, done, found = _inner(loop, n - 1), 0, dict[int, State]()
        begun = standing = _standing(state)
        for step in sorted(set(steps)):
            if n > 1:
                standing = _whole(loop, n, standing, range(done, step // unit), stream)
                done = step // unit
                found[step] = _rest(loop, n - 1, standing, done, step % unit, stream).state
            else:  # from its birth in one go, as the run lives it: the memory of an optimizer lasts no longer
                found[step] = _whole(loop, 1, begun, range(step), stream).state
        return {step: replace(state, t=0) for step, state in found.items()}

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


# ---- a life of any length -------------------------------------------------------------------------------------------


def _episodic(loop: LoopView) -> int:
    """The lowest level whose lives are episodic; 0 where all persist."""
    return next((n for n, level in enumerate(loop.levels, start=1) if level.lifetime == "episodic"), 0)


def _refuse_owned(loop: LoopView, n: int, state: State) -> None:
    """Raises `ConfigError` where an editor that acts in a life of level `n` has a psi of its own for each of the run's
    lives, and there are others."""
    lanes, known = state.seeds * loop.world.tasks, (state.meta[f"{m}"] for m in range(1, n))
    rows = {leaf.shape[0] for psi in known for leaf in psi.values()} - {state.seeds, lanes}
    if rows:
        own = rows.pop() // state.seeds
        raise ConfigError(explain(expected=f"{own} tasks a seed, as each life has an editor of its own",
                                  got=f"{loop.world.tasks}",
                                  do=f"Set tasks={own}: a life that the run doesn't have has no editor."))  # fmt: skip


def _inner(loop: LoopView, n: int) -> int:
    """The inner steps of one reflective step of level `n`; of level 0, an inner step itself, 1."""
    return prod(level.horizon for level in loop.levels[:n])


def _whole(loop: LoopView, n: int, standing: Standing, steps: range, stream: str) -> Standing:
    """The life of level `n` after these steps of the level below, numbered from 0: inner steps below level 1."""
    if n == 1 and steps:
        state, _ = loop.engine.unroll(loop.world, standing.state, len(steps), stream, None)
        return replace(standing, state=state)
    for step in steps:
        standing = loop.reflect(n - 1, standing, step + 1, stream, mode="trial", held_out=True).standing
    return standing


def _rest(loop: LoopView, n: int, standing: Standing, done: int, inner: int, stream: str) -> Standing:
    """A life within the step of level `n` that follows `done` of them, `inner` inner steps into it: levels below `n`
    edit as they go, and `n` itself not before its step is whole."""
    if n == 0 or not inner:
        return standing
    unit, first = _inner(loop, n - 1), done * loop.levels[n - 1].horizon
    last = first + inner // unit
    standing = _whole(loop, n, standing, range(first, last), stream)
    return _rest(loop, n - 1, standing, last, inner % unit, stream)
