"""The loop: levels of reflection over one world, one reflective step as a sequence of phases, and the run of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.birth import newborn
from sandbox.core.contract import tensors
from sandbox.core.edit import covers, expand, only_real
from sandbox.core.error import UndefinedError
from sandbox.core.journal import Journal, Notebook
from sandbox.core.protocols import Engine, Level, Remembers, World
from sandbox.core.random import untouched
from sandbox.core.record import Record, Standing
from sandbox.core.state import State, leaves
from sandbox.core.tree import stack, to_rows, tree_map
from sandbox.core.watch import Meter
from sandbox.loop.ask import ask, tell
from sandbox.loop.check import agreed, placed, runnable, sound
from sandbox.loop.consult import consult, reachable
from sandbox.loop.describe import describe, due, fingerprinted
from sandbox.loop.horizon import live, memories
from sandbox.loop.judge import attempt, commit, gates_of, judge
from sandbox.loop.lived import Lived, Mode, Wanted
from sandbox.loop.observe import observe, roll_back
from sandbox.loop.probe import LoopProbe
from sandbox.loop.turn import Turn, asked_rows, begin, off_tape
from sandbox.loop.vary import vary


@dataclass(frozen=True)
class Loop:
    """`levels[0]` is level 1, the editor of the rule. `journal` holds what levels were told by sources outside the
    state. A loop that is `probing` (a run after so many steps of its top level) reads it and asks nobody. `check`: its
    start examines whether network and tape are what they claim to be. `unpaired`: candidates live on other streams than
    what stands, and than each other, as an A/A test needs where edits change nothing."""

    world: World
    engine: Engine
    levels: tuple[Level, ...]
    meters: tuple[Meter, ...] = ()
    journal: Journal = field(default_factory=Notebook)
    probing: int | None = None
    check: bool = True
    unpaired: bool = False

    def __post_init__(self) -> None:
        runnable(self.world)
        agreed(self.levels)
        levels = tuple(placed(self.world, n, level) for n, level in enumerate(self.levels, start=1))
        object.__setattr__(self, "levels", levels)

    def start(self, seeds: Sequence[int]) -> Standing:
        """Before any learning: fresh weights, phi, psi and memories. Every author's method has been tried once."""
        world, count = self.world, len(seeds)
        state = newborn(world, seeds)
        state = self.engine.born(world, self.engine.draw(world, state, "life"))
        self.engine.rehearse(world, state)
        if self.check:
            sound(self.engine.examine(world, seeds[0]), self.levels, self.meters)
        for n in range(1, len(self.levels) + 1):
            state = self._join(n, state)
        state = memories(self, state, len(self.levels))
        return Standing(state, before=state, edited=torch.zeros(count, dtype=torch.bool))

    def run(self, seeds: Sequence[int], steps: int, *, resume: tuple[Standing, int] | None = None) -> Iterator[Record]:
        """Every record in order: step 0 is the start; the top level's last is `steps`. `resume` is a standing and the
        top level's steps already done."""
        first, top = self.start(seeds), len(self.levels)
        standing, done = resume or (first, 0)
        reachable(self, seeds, steps)
        if not done:
            turn = begin(self, top, first, 0, "life", None, "real", False)
            own = torch.full((1, len(seeds) * self.world.tasks), torch.nan)
            yield self._read(describe(replace(turn, own=own)), first.state, steps)
        for step in range(done + 1, steps + 1):
            with untouched():
                lived = self.reflect(top, standing, step, "life")
            standing = lived.standing
            yield from (replace(record, standing=off_tape(record.standing)) for record in lived.records[:-1])
            yield self._read(lived.records[-1], first.state, steps)

    def within(self, world: World, now: int) -> Loop:
        """The same loop in another world, unwatched, after `now` steps of its top level; it reads the journal and asks
        nobody."""
        return replace(self, world=world, meters=(), probing=now)

    def live(self, n: int, standing: Standing, step: int, stream: str, adjoint: Adjoint | None, mode: Mode, *,
             held_out: bool = False, wanted: Wanted | None = None) -> Lived:  # fmt: skip
        """One horizon of level `n`: inner steps for level 1, reflective steps of the level below for the others."""
        return live(self, n, standing, step, stream, adjoint, mode, held_out=held_out, wanted=wanted)

    def reflect(self, n: int, standing: Standing, step: int, stream: str, *, adjoint: Adjoint | None = None,
                mode: Mode = "real", held_out: bool = False) -> Lived:  # fmt: skip
        """One reflective step of level `n`, on the tape of the level above if there is one (`adjoint`).

        The phases, each a function of the turn: observe a horizon, roll back what diverged, vary, consult, ask,
        attempt, judge, commit, tell; then the record of it.
        """
        turn = begin(self, n, standing, step, stream, adjoint, mode, held_out)
        for phase in (observe, roll_back, vary, consult, ask):
            turn = phase(turn)
        turn, candidate = attempt(turn)
        for phase in (lambda turn: judge(turn, candidate), commit, tell):
            turn = phase(turn)
        return Lived(turn.standing, turn.own, records=self._records(turn))

    def _records(self, turn: Turn) -> tuple[Record, ...]:
        return (*turn.records, describe(turn)) if turn.mode == "real" else ()

    def _join(self, n: int, state: State) -> State:
        """The state with psi of level `n` and the memories of its gates."""
        level, world = self.levels[n - 1], self.world
        for name, gate in gates_of(level, n).items():
            tensors(f"{type(gate).__name__}.init", gate.init())
            state = replace(state, gate={**state.gate, name: to_rows(gate.init(), state.seeds, world.device)})
        edits, own = level.needs.edits, f"meta/{n}"
        below = expand(state, [path for path in edits if not covers([own, f"memory/{n}"], path)])
        by_lane = covers(world.per_lane, own) or not isinstance(level.meta_learner, Remembers)
        rows = asked_rows(state, level.needs, n)
        rows = rows if by_lane else state.seeds
        edited = {path: leaves(state, path)[path] for path in below}
        slopes = expand(state, [grad.path for grad in level.needs.grads if not covers([own], grad.path)])
        only_real({path: leaves(state, path)[path] for path in slopes}, type(level.meta_learner).__name__)
        psi = [level.meta_learner.init({path: leaf[r * len(leaf) // rows] for path, leaf in edited.items()})
               for r in range(rows)]  # fmt: skip
        tensors(f"{type(level.meta_learner).__name__}.init", psi[0])
        state = replace(state, meta={**state.meta, str(n): tree_map(lambda leaf: leaf.to(world.device), stack(psi))})
        expand(state, [path for path in edits if not covers([f"memory/{n}"], path)])
        return state

    def _read(self, record: Record, start: State, steps: int) -> Record:
        """The record with its readings, and at the end of a run with fingerprints whatever the step."""
        record = fingerprinted(record) if record.step == steps else record
        readings: dict[str, Tensor] = {}
        probe = LoopProbe(self.within(self.world, record.step), record.state, start, record.step)
        for meter in self.meters:
            if due(record.step, steps, meter.every):
                with untouched(), suppress(UndefinedError):  # what doesn't exist in this world is not read
                    found = meter.read(probe)
                    readings |= {name: value.detach().double().cpu() for name, value in found.items()}
        return replace(record, readings=readings)
