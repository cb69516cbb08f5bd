"""Try and judge: incumbent and candidate live the same fresh trials; the gate that stood before the edit decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Engine, Gate, Level, Objective, Params, World
from sandbox.core.random import untouched
from sandbox.core.record import Verdict
from sandbox.core.state import State, put
from sandbox.core.tree import by_seed, stack, tree_map

Scores = dict[Objective, Tensor]  # [trials, S, n] of each
Ruling = tuple[str, str, Params]  # verdict, reason, and the gate's memory afterwards


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
    gates = {str(n): level.gate} | ({f"{n}.anchor": level.anchor} if level.anchor else {})
    kinds: set[Objective] = {gate.score for gate in gates.values() if gate.trials}
    before: Scores = {}
    after: Scores = {}
    for k in range(max(gate.trials for gate in gates.values())):
        for state, scores in ((incumbent, before), (candidate, after)):
            trial = f"{stream}/trial/{n}/{k}"
            lived = live(state, trial)
            for kind in kinds:
                with torch.no_grad():
                    found = by_seed(engine.scores(world, lived, "gate", trial, kind), world.tasks).flatten(1)[None]
                scores[kind] = torch.cat([scores[kind], found]) if kind in scores else found

    def ruling(name: str, gate: Gate, s: int) -> Ruling:
        memory = tree_map(lambda leaf: leaf[s].detach(), incumbent.gate[name])
        return _decide(gate, before, after, s, memory) if taken[s] else (Verdict.REFUSED, "not finite", memory)

    rulings = {name: [ruling(name, gate, s) for s in range(incumbent.seeds)] for name, gate in gates.items()}
    own, anchor = rulings[str(n)], rulings.get(f"{n}.anchor", [("", "", {})] * incumbent.seeds)
    return Judgement(
        accepted=torch.tensor([verdict == Verdict.ACCEPTED for verdict, _, _ in own]),
        verdict=[verdict for verdict, _, _ in own],
        why=[reason for _, reason, _ in own],
        anchor=[
            f"{verdict}: {reason}" if verdict and taken[s] else "" for s, (verdict, reason, _) in enumerate(anchor)
        ],
        state=put(incumbent, {f"gate/{name}": stack([row for _, _, row in rows]) for name, rows in rulings.items()}),
    )


def _decide(gate: Gate, before: Scores, after: Scores, s: int, memory: Params) -> Ruling:
    """By the scores that this gate asked for alone: another gate on the same trials never acts through them."""
    empty = torch.zeros(0, 0)
    paired = [scores[gate.score][: gate.trials, s] if gate.trials else empty for scores in (before, after)]
    if not all(bool(torch.isfinite(scores).all()) for scores in paired):
        return Verdict.REFUSED, "its trial was not finite", memory
    with untouched():
        yes, reason, memory = gate.decide(paired[0], paired[1], memory)
    return Verdict.ACCEPTED if yes else Verdict.REJECTED, reason, memory
