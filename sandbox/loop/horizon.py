"""One horizon: the birth of a life where lives are episodic, inner steps or the steps of the level below, scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.adjoint import Adjoint
from sandbox.core.birth import phi_of
from sandbox.core.edit import covers
from sandbox.core.error import ContractError, explain
from sandbox.core.protocols import Engine, Remembers, World
from sandbox.core.record import Record, Standing
from sandbox.core.score import Score
from sandbox.core.state import State
from sandbox.core.tree import to_rows
from sandbox.loop.lived import Lived, LoopView, Mode, Wanted
from sandbox.loop.turn import asked_rows

Step = tuple[Standing, Tensor, tuple[Record, ...]]  # where it leads, its own losses [k, L], records within


def live(
    loop: LoopView, n: int, standing: Standing, step: int, stream: str, adjoint: Adjoint | None, mode: Mode, *,
    held_out: bool, wanted: Wanted | None,
) -> Lived:  # fmt: skip
    """One horizon of level `n` from `standing`, a fresh life where its lifetime is episodic."""
    if loop.levels[n - 1].lifetime == "episodic":
        standing = _fresh_life(loop, n, standing, stream, held_out)
    moments, scores = _Moments(loop.world, loop.engine, stream, wanted), dict[Score, Tensor]()
    began, owns, records = standing.state, list[Tensor](), tuple[Record, ...]()
    for stretch in _stretches(loop, n, step, stream, adjoint, mode, held_out, whole=not moments.along):
        standing, own, within = stretch(standing)
        owns.append(own)
        records += within
        scores = moments.after(scores, standing.state)
    return Lived(standing, torch.cat(owns), moments.end(scores, began, standing.state, len(owns)), records)


def memories(loop: LoopView, state: State, most: int) -> State:
    """The state with the memories of levels 1 to `most` as they are at birth."""
    born = dict(state.memory)
    for n, level in enumerate(loop.levels[:most], start=1):
        if isinstance(level.meta_learner, Remembers):
            psi = state.meta[str(n)]
            memory = level.meta_learner.memory
            fresh = vmap(memory)(psi) if psi else to_rows(memory({}), state.seeds, loop.world.device)
            same = sorted(fresh.keys() & psi.keys())
            if same:
                raise ContractError(
                    explain(
                        expected="a memory under names that psi does not use",
                        got=f"{same}",
                        do=f"Rename them in {type(level.meta_learner).__name__}.memory.",
                    )
                )
            each = asked_rows(state, level.needs, n) // len(next(iter(fresh.values())))
            born[str(n)] = {name: leaf.repeat_interleave(each, dim=0).to(loop.world.device)
                            for name, leaf in fresh.items()}  # fmt: skip
    return replace(state, memory=born)


def reborn(loop: LoopView, n: int, state: State) -> State:
    """The state at the birth of a life: what belongs to a life (weights, slots, phi where it has a row a life, and the
    memories of levels 1 to `n`) begins anew on its tasks."""
    world, state = loop.world, loop.engine.born(loop.world, state)
    lanes = [name for name in state.rule if covers(world.per_lane, f"rule/{name}")]
    if lanes:
        fresh = phi_of(world, state.init, state.seed.tolist())
        state = replace(state, rule=state.rule | {name: fresh[name] for name in lanes})
    return memories(loop, state, n)


def _fresh_life(loop: LoopView, n: int, standing: Standing, stream: str, held_out: bool) -> Standing:
    """A fresh life on fresh tasks. No way leads back into a past one."""
    state = loop.engine.draw(loop.world, standing.state, stream, held_out=held_out)
    before = replace(standing.before, task=state.task)
    return replace(standing, state=reborn(loop, n, state), before=reborn(loop, n, before))


def _stretches(
    loop: LoopView, n: int, step: int, stream: str, adjoint: Adjoint | None, mode: Mode, held_out: bool, *, whole: bool
) -> list[Callable[[Standing], Step]]:
    """The horizon in pieces: reflective steps of the level below, or at level 1 inner steps, all at once if `whole`."""
    level = loop.levels[n - 1]

    def inner(count: int) -> Callable[[Standing], Step]:
        def stretch(standing: Standing) -> Step:
            state, own = loop.engine.unroll(loop.world, standing.state, count, stream, adjoint)
            return replace(standing, state=state), own, ()

        return stretch

    def below(k: int) -> Callable[[Standing], Step]:
        def stretch(standing: Standing) -> Step:
            at = (step - 1) * level.horizon + k + 1
            lived = loop.reflect(n - 1, standing, at, stream, adjoint=adjoint, mode=mode, held_out=held_out)
            return lived.standing, lived.own, lived.records

        return stretch

    if n > 1:
        return [below(k) for k in range(level.horizon)]
    return [inner(level.horizon)] if whole else [inner(1)] * level.horizon


class _Moments:
    """What is scored of a horizon, and when."""

    def __init__(self, world: World, engine: Engine, stream: str, wanted: Wanted | None) -> None:
        self.world, self.engine, self.stream, self.wanted = world, engine, stream, wanted or Wanted((), "practice")
        self.along = any(score.over == "life" for score in self.wanted.scores)

    def after(self, scores: Mapping[Score, Tensor], state: State) -> dict[Score, Tensor]:
        """The sums of scores over a life, after one more stretch of it."""
        each = [score for score in self.wanted.scores if score.over == "life"]
        return {score: scores.get(score, 0) + self._score(score, state) for score in each}

    def end(self, scores: Mapping[Score, Tensor], began: State, state: State, count: int) -> dict[Score, Tensor]:
        """Every score [L, n] that was wanted. An improvement compares the same examples at both ends."""
        found = {score: total / count for score, total in scores.items()}
        ends: dict[str, Tensor] = {}
        for score in self.wanted.scores:
            if score.over == "life":
                continue
            if score.objective not in ends:
                ends[score.objective] = self._score(score, state)
            found[score] = ends[score.objective]
            if score.over == "improvement":
                found[score] = found[score] - self._score(score, replace(began, task=state.task, t=state.t))
        return found

    def _score(self, score: Score, state: State) -> Tensor:
        with torch.set_grad_enabled(self.wanted.taped):
            return self.engine.scores(self.world, state, self.wanted.split, self.stream, score.objective)
