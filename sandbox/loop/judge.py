"""Try and judge: incumbent and candidate live the same fresh trials, and the gate that stood before the edit decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Engine, Gate, Level, Objective, Params, World
from sandbox.core.random import untouched
from sandbox.core.record import ACCEPTED, REFUSED, REJECTED
from sandbox.core.state import State, put
from sandbox.core.tree import by_seed, finite_rows, tree_map

Scores = dict[Objective, Tensor]  # [trials, S, n] of each


@dataclass(frozen=True)
class Judgement:
    """One entry a seed; `state` is the incumbent with the gates' memories after judging."""

    accepted: Tensor
    verdict: list[str]
    why: list[str]
    anchor: list[str]
    state: State


def judge(
    world: World, engine: Engine, level: Level, n: int, incumbent: State, candidate: State, taken: Tensor,
    live: Callable[[State, str], State], stream: str,
) -> Judgement:  # fmt: skip
    """The verdict on each seed that took the edit (`taken` [S]); `live` lives one horizon on a stream."""
    seeds = incumbent.seeds
    gates = [gate for gate in (level.gate, level.anchor) if gate is not None and gate.trials]
    before: Scores = {}
    after: Scores = {}
    kinds: set[Objective] = {gate.score for gate in gates}
    for k in range(max((gate.trials for gate in gates), default=0)):
        for state, scores in ((incumbent, before), (candidate, after)):
            trial = f"{stream}/trial/{n}/{k}"
            lived = live(state, trial)
            for kind in kinds:
                with torch.no_grad():
                    found = by_seed(engine.scores(world, lived, "gate", trial, kind), world.tasks).flatten(1)[None]
                scores[kind] = torch.cat([scores[kind], found]) if kind in scores else found
    finite = torch.ones(seeds, dtype=torch.bool)
    for scores in (before, after):
        for kind in scores:
            finite &= finite_rows(scores[kind].transpose(0, 1), seeds)
    accepted = torch.zeros(seeds, dtype=torch.bool)
    verdict, why, anchor = [REFUSED] * seeds, ["not finite"] * seeds, [""] * seeds
    memories: dict[str, list[Params]] = {f"gate/{n}": [], f"gate/{n}.anchor": []}
    for s in range(seeds):
        able = bool(taken[s] and finite[s])
        if taken[s] and not finite[s]:
            why[s] = "its trial was not finite"
        for name, gate in ((f"gate/{n}", level.gate), (f"gate/{n}.anchor", level.anchor)):
            if gate is None:
                continue
            memory = tree_map(lambda leaf, s=s: leaf[s], incumbent.gate[name.removeprefix("gate/")])
            if able:
                yes, reason, memory = _decide(gate, before, after, s, memory)
                if name == f"gate/{n}":
                    accepted[s], verdict[s], why[s] = yes, ACCEPTED if yes else REJECTED, reason
                else:
                    anchor[s] = f"{ACCEPTED if yes else REJECTED}: {reason}"
            memories[name].append(memory)
    kept = {name: tree_map(lambda *rows: torch.stack(rows), *rows) for name, rows in memories.items() if rows}
    return Judgement(accepted, verdict, why, anchor, put(incumbent, kept))


def _decide(gate: Gate, before: Scores, after: Scores, s: int, memory: Params) -> tuple[bool, str, Params]:
    empty = torch.zeros(0, 0)
    paired = [scores[gate.score][: gate.trials, s] if gate.trials else empty for scores in (before, after)]
    with untouched():
        yes, reason, memory = gate.decide(paired[0], paired[1], memory)
    return bool(yes), reason, memory
