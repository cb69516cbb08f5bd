"""One reflective step: live, observe, ask, try, judge, commit or roll back; and the run that repeats it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sandbox.core.edit import Edit, apply, covers, expand
from sandbox.core.error import ConfigError, EditError, LifeError, explain
from sandbox.core.protocols import Engine, Hears, Level, Seen, Tape, World
from sandbox.core.random import untouched
from sandbox.core.record import Record, Standing, Verdict
from sandbox.core.state import State, choose_seeds, detach, finite_seeds, leaves, put
from sandbox.core.tree import stack, to_rows
from sandbox.core.watch import Meter
from sandbox.loop.describe import describe
from sandbox.loop.judge import Judgement, judge
from sandbox.loop.lived import Lived, Mode
from sandbox.loop.probe import LoopProbe
from sandbox.loop.serve import Asked, ask, edits_lanes, serve, tell, watch


@dataclass(frozen=True)
class Loop:
    """Levels of reflection over one world; `levels[0]` is level 1, the editor of the rule."""

    world: World
    engine: Engine
    levels: tuple[Level, ...]
    meters: tuple[Meter, ...] = ()

    def __post_init__(self) -> None:
        for n, level in enumerate(self.levels, start=1):
            _check(n, level)

    def start(self, seeds: Sequence[int]) -> Standing:
        """Before any learning: fresh weights, phi, psi and memories of the gates."""
        world, count = self.world, len(seeds)
        weights = [world.model.init(seed) for seed in seeds]
        lanes = world.tasks if "rule" in world.per_lane else 1
        phi = stack([world.rule.init(params) for params in weights for _ in range(lanes)])
        state = State(stack(weights), {}, {}, phi, {}, {}, {}, torch.tensor(list(seeds), dtype=torch.int64))
        state = self.engine.born(world, self.engine.draw(world, state, "life"))
        for n, level in enumerate(self.levels, start=1):
            gates = {str(n): level.gate} | ({f"{n}.anchor": level.anchor} if level.anchor else {})
            memories = {name: to_rows(gate.init(), count) for name, gate in gates.items()}
            state = replace(state, gate={**state.gate, **memories})
            needs = level.meta_learner.needs
            below = expand(state, [path for path in needs.edits if not covers([f"meta/{n}"], path)])
            psi = level.meta_learner.init({path: leaves(state, path)[path][0] for path in below})
            rows = count * world.tasks if edits_lanes(world, needs) else count
            state = replace(state, meta={**state.meta, str(n): to_rows(psi, rows)})
            expand(state, needs.edits)
        return Standing(state, before=state, edited=torch.zeros(count, dtype=torch.bool))

    def run(self, seeds: Sequence[int], steps: int, *, resume: tuple[Standing, int] | None = None) -> Iterator[Record]:
        """Every record in order: step 0 is the start; the top level's last is `steps`. `resume` is a standing and the
        top level's steps already done."""
        first = self.start(seeds)
        standing, done = resume or (first, 0)
        if not done:
            asked = Asked(Edit(), {}, torch.zeros(len(seeds), dtype=torch.bool))
            own = torch.full((1, len(seeds) * self.world.tasks), torch.nan)
            yield self._read(describe(0, len(self.levels), first, own, asked, None), first.state, steps)
        for step in range(done + 1, steps + 1):
            with untouched():
                lived = self.reflect(len(self.levels), standing, step, "life")
            standing = lived.standing
            yield from (replace(record, standing=_off_tape(record.standing)) for record in lived.records[:-1])
            yield self._read(lived.records[-1], first.state, steps)

    def within(self, world: World) -> Loop:
        """The same loop in another world, unwatched."""
        return replace(self, world=world, meters=())

    def live(self, n: int, standing: Standing, step: int, stream: str, tape: Tape, mode: Mode, *,
             held_out: bool = False) -> Lived:  # fmt: skip
        """One horizon of level `n`: inner steps for level 1, reflective steps of the level below for the others."""
        level, state = self.levels[n - 1], standing.state
        if level.lifetime == "episodic":
            state = self.engine.born(self.world, self.engine.draw(self.world, state, stream, held_out=held_out))
            before = self.engine.born(
                self.world, replace(standing.before, task=state.task)
            )  # no way back to a past life
            standing = replace(standing, state=state, before=before)
        if n == 1:
            state, own = self.engine.unroll(self.world, state, level.horizon, stream, tape)
            return Lived(replace(standing, state=state), own)
        lived = Lived(standing, torch.zeros(0))
        owns: list[Tensor] = []
        records: tuple[Record, ...] = ()
        for k in range(level.horizon):
            below = (step - 1) * level.horizon + k + 1
            lived = self.reflect(n - 1, lived.standing, below, stream, tape=tape, mode=mode, held_out=held_out)
            owns.append(lived.own)
            records += lived.records
        return Lived(lived.standing, torch.cat(owns), records)

    def reflect(self, n: int, standing: Standing, step: int, stream: str, *, tape: Tape = "off", mode: Mode = "real",
                held_out: bool = False) -> Lived:  # fmt: skip
        """One reflective step of level `n`, on the tape of the level above if there is one."""
        level, needs = self.levels[n - 1], self.levels[n - 1].meta_learner.needs
        begin, watched = watch(standing.state, needs, nested=tape != "off")
        own_tape: Tape = "off" if not needs.grads else "first_order" if needs.first_order else "full"
        taping: Tape = "full" if "full" in (tape, own_tape) else own_tape if tape == "off" else tape
        lived = self.live(n, replace(standing, state=begin), step, stream, taping, mode, held_out=held_out)
        seen = serve(self.world, self.engine, level, n, lived.standing.state, lived.own, watched,
                     step=step, stream=stream, tape=tape)  # fmt: skip
        standing, own = lived.standing, lived.own
        if tape == "off":
            standing, own = _off_tape(standing), own.detach()
        lost = torch.zeros(len(standing.edited), dtype=torch.bool)
        if mode == "real":
            standing, lost = self._roll_back(n, standing, own, tape)
        asked, fault = self._ask(level, n, standing.state, seen, lost, tape)
        remembered = put(standing.state, {f"meta/{n}": asked.psi})
        allow = level.allow or needs.edits
        try:
            candidate, taken = apply(remembered, asked.edit, allow=allow, frozen=lost)
        except EditError as error:
            if level.faults == "stop":
                raise
            asked, fault = replace(asked, edit=Edit()), str(error)
            candidate, taken = remembered, torch.zeros_like(lost)
        taken = taken & asked.wanted
        judgement = self._judge(level, n, remembered, candidate, taken, step, stream, mode)
        committed, _ = apply(judgement.state, asked.edit, allow=allow, frozen=~judgement.accepted)
        if asked.edit.set:
            committed = self._tell(level, n, committed, asked.wanted, judgement.accepted, tape)
        standing = Standing(
            committed,
            before=choose_seeds(judgement.accepted, judgement.state, standing.before),
            edited=standing.edited | judgement.accepted,
        )
        if mode != "real":
            return Lived(standing, own)
        verdict = _verdict(judgement, asked, lost, fault)
        return Lived(standing, own, (*lived.records, describe(step, n, standing, own, asked, verdict)))

    def _ask(self, level: Level, n: int, state: State, seen: Seen, lost: Tensor, tape: Tape) -> tuple[Asked, str]:
        try:
            return ask(level, n, state, seen, lost, tape=tape), ""
        except EditError as error:
            if level.faults == "stop":
                raise
            return Asked(Edit(), state.meta[str(n)], torch.zeros(state.seeds, dtype=torch.bool)), str(error)

    def _tell(self, level: Level, n: int, state: State, wanted: Tensor, accepted: Tensor, tape: Tape) -> State:
        if not isinstance(level.meta_learner, Hears):
            return state
        try:
            return put(state, {f"meta/{n}": tell(level, level.meta_learner, n, state, wanted, accepted, tape=tape)})
        except EditError:
            if level.faults == "stop":
                raise
            return state

    def _judge(self, level: Level, n: int, incumbent: State, candidate: State, taken: Tensor, step: int, stream: str,
               mode: Mode) -> Judgement:  # fmt: skip
        if mode == "probe":
            return Judgement(taken, [], [], [], incumbent)

        def live(state: State, trial: str) -> State:
            standing = Standing(detach(state), detach(state), torch.zeros_like(taken))
            return detach(self.live(n, standing, step, trial, "off", "trial").standing.state)

        if not bool(taken.any()):
            return Judgement(
                taken, [Verdict.REFUSED] * len(taken), ["not finite"] * len(taken), [""] * len(taken), incumbent
            )
        return judge(self.world, self.engine, level, n, incumbent, candidate, taken, live, f"{stream}/{step}")

    def _roll_back(self, n: int, standing: Standing, own: Tensor, tape: Tape) -> tuple[Standing, Tensor]:
        """Seeds [S] whose life went non-finite go back to before their last accepted edit, as often as it takes. What
        the gates remember goes on: an edit that was judged has been judged."""
        state = standing.state
        lost = ~finite_seeds(state)
        if n == 1:  # losses of a life that a lower level has rolled back stay in the record of the levels above
            lost |= ~torch.isfinite(own).reshape(-1, state.seeds, self.world.tasks).all(2).all(0)
        if not bool(lost.any()):
            return standing, lost
        hopeless = state.seed[lost & ~standing.edited].tolist()
        if hopeless:
            raise LifeError(explain(
                expected="finite losses and weights", got=f"NaN or infinity by inner step {state.t} in seeds {hopeless}"
                " with no edit to roll back", do="The rule itself diverges: lower its learning rate or mend its loss. "
                "Everything up to the step before is kept."))  # fmt: skip
        before = replace(standing.before, t=state.t, gate=state.gate)
        # The level above differentiates through what was lost too: it is to find 0 or NaN there, not a missing graph.
        restored = choose_seeds(lost, before, state, woven=tape != "off")
        return replace(standing, state=restored), lost

    def _read(self, record: Record, start: State, steps: int) -> Record:
        readings: dict[str, Tensor] = {}
        probe = LoopProbe(self, record.state, start, record.step)
        for meter in self.meters:
            if record.step % meter.every == 0 or record.step == steps:
                with untouched():
                    found = meter.read(probe)
                readings |= {name: value.detach().double() for name, value in found.items()}
        return replace(record, readings=readings)


def _off_tape(standing: Standing) -> Standing:
    return replace(standing, state=detach(standing.state), before=detach(standing.before))


def _verdict(judgement: Judgement, asked: Asked, lost: Tensor, fault: str) -> Judgement:
    verdict, why = list(judgement.verdict), list(judgement.why)
    for s in range(len(lost)):
        if lost[s]:
            verdict[s], why[s] = Verdict.ROLLED_BACK, "its life went non-finite: back to before its last accepted edit"
        elif fault:
            verdict[s], why[s] = Verdict.REFUSED, fault
        elif not asked.wanted[s]:
            verdict[s], why[s] = Verdict.NO_EDIT, ""
    return replace(judgement, verdict=verdict, why=why)


def _check(n: int, level: Level) -> None:
    edits = level.meta_learner.needs.edits
    if level.horizon < (1 if n == 1 else 2):
        raise ConfigError(explain(expected=f"a horizon of {1 if n == 1 else 2} or more at level {n}",
                                  got=str(level.horizon), do="An edit acts only in the step after it."))  # fmt: skip
    grads = level.meta_learner.needs.grads
    twice = len({(grad.objective, grad.path) for grad in grads}) < len(grads)
    if twice or any(grad.last is not None and grad.last < 1 for grad in grads):
        raise ConfigError(explain(
            expected="one hypergradient an objective and path, over one inner step or more", got=f"{grads}",
            do="Name each once in `needs.grads`, with `last` 1 or more, or None for all."))  # fmt: skip
    if level.allow is not None:
        beyond = [path for path in edits if not covers(level.allow, path)]
        if beyond:
            raise ConfigError(explain(expected=f"edits within the level's allow-list {list(level.allow)}",
                                      got=f"a meta-learner that asks for {beyond}",
                                      do="Widen `allow`, or narrow `meta_learner.edits`."))  # fmt: skip
    below = ["init", "params", "slots", "rule", f"meta/{n}"]
    below += [f"{slot}/{m}" for m in range(1, n) for slot in ("meta", "gate")]
    above = [path for path in (*edits, *(level.allow or ())) if not covers(below, path)]
    if above:
        raise ConfigError(explain(expected=f"a level {n} that edits what lies below it: {below}", got=f"{above}",
                                  do="A level never edits its own gate, tasks, seeds or what lies above."))  # fmt: skip
