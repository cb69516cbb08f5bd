"""Try and judge: incumbent and candidate live the same fresh trials; the gate that stood before the edit decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sandbox.core.contract import contract
from sandbox.core.edit import apply
from sandbox.core.error import EditError
from sandbox.core.needs import Heard
from sandbox.core.protocols import Gate, Level, Params
from sandbox.core.random import untouched
from sandbox.core.record import Verdict
from sandbox.core.score import Score
from sandbox.core.state import State, apart, choose_seeds, join, put
from sandbox.core.tree import by_seed, stack, tree_map
from sandbox.loop.author import refuse
from sandbox.loop.formula import faults
from sandbox.loop.trial import Trial
from sandbox.loop.turn import Turn

Scores = Mapping[Score, Tensor]  # [2, trials, S, n] of each: the incumbent's, then the candidate's
Ruling = tuple[Verdict, str, Params]  # verdict, reason, and the gate's memory afterwards
UNSCORED = torch.zeros(2, 0, 0)


def attempt(turn: Turn) -> tuple[Turn, State]:
    """The candidate: the state with the edit applied where it is well-formed and finite, in the seeds still open."""
    turn = replace(turn, incumbent=turn.state)
    try:
        candidate, taken = apply(turn.state, turn.edit, allow=_allow(turn), frozen=~turn.open)
        bad = faults(turn.loop.world.rule, candidate, turn.edit)
        if bad and turn.level.faults == "stop":
            raise EditError(next(iter(bad.values())))
    except EditError as error:
        turn = refuse(turn, error)
        return turn, turn.state
    turn = turn.close(~taken, Verdict.REFUSED, "not finite")
    for s, fault in bad.items():
        turn = turn.close(torch.arange(turn.state.seeds) == s, Verdict.REFUSED, fault)
    return turn, choose_seeds(turn.open, candidate, turn.state) if bad else candidate


def judge(turn: Turn, candidate: State) -> Turn:
    """The turn with every open seed ruled on, by trials that incumbent and candidate live side by side. A probe takes
    every edit unjudged. What the gates remember is kept whatever the verdict."""
    if turn.mode == "probe" or not bool(turn.open.any()):
        return _rule(turn, [(Verdict.ACCEPTED, "", {})] * turn.state.seeds)
    gates = gates_of(turn.level, turn.n)
    scores = _scores(turn, candidate, list(gates.values()))
    with untouched():
        rulings = {name: [_ruling(turn, name, gate, scores, s) for s in range(turn.state.seeds)]
                   for name, gate in gates.items()}  # fmt: skip
    memories = {f"gate/{name}": stack([row for _, _, row in rows]) for name, rows in rulings.items()}
    named, anchor = str(turn.n), rulings.get(f"{turn.n}.anchor")
    said = ("",) * turn.state.seeds
    if anchor is not None:
        said = tuple(
            f"{v}: {why}" if mine else "" for (v, why, _), mine in zip(anchor, turn.open.tolist(), strict=True)
        )
    turn = replace(turn.at(put(turn.state, memories)), anchor=said)
    return _rule(turn, rulings[named], _measured(turn.level.gate, scores))


def commit(turn: Turn) -> Turn:
    """The turn with the edit in force where it was accepted, and the way back kept where it was not."""
    accepted = torch.tensor([verdict is Verdict.ACCEPTED for verdict in turn.verdict])
    committed, _ = apply(turn.state, turn.edit, allow=_allow(turn), frozen=~accepted)
    standing = replace(
        turn.standing,
        state=committed,
        before=choose_seeds(accepted, turn.state, turn.standing.before),
        edited=turn.standing.edited | accepted,
    )
    return replace(turn, standing=standing)


def gates_of(level: Level, n: int) -> dict[str, Gate]:
    """The gate of the `n`-th level and its anchor, under the names of their memories."""
    return {f"{n}": level.gate} | ({f"{n}.anchor": level.anchor} if level.anchor else {})


def _allow(turn: Turn) -> tuple[str, ...]:
    return turn.level.allow or turn.needs.edits


def _scores(turn: Turn, candidate: State, gates: list[Gate]) -> Scores:
    """What the gates asked for, of as many trials as the most demanding of them lives."""
    kinds = tuple(dict.fromkeys(gate.score for gate in gates if gate.trials))
    found: dict[Score, list[Tensor]] = {kind: [] for kind in kinds}
    candidate = apart(candidate, torch.ones_like(candidate.seed)) if turn.loop.unpaired else candidate
    for k in range(max(gate.trials for gate in gates)):
        stream = f"{turn.stream}/{turn.step}/trial/{turn.n}/{k}"
        trial = Trial(turn.loop, turn.n, join(turn.state, candidate), turn.step + 1, stream, kinds)
        for kind, scores in trial.outcome().items():
            found[kind].append(by_seed(scores, turn.loop.world.tasks).flatten(1).unflatten(0, (2, -1)))
    return {kind: torch.stack(scores, dim=1) for kind, scores in found.items()}


def _ruling(turn: Turn, name: str, gate: Gate, scores: Scores, s: int) -> Ruling:
    """By the scores that this gate asked for alone: another gate on the same trials never acts through them."""
    memory = tree_map(lambda leaf: leaf[s].detach().clone(), turn.state.gate[name])
    if not turn.open[s]:
        return turn.verdict[s], turn.why[s], memory
    incumbent, candidate = scores[gate.score][:, : gate.trials, s] if gate.trials else UNSCORED
    if not bool(torch.isfinite(incumbent).all() and torch.isfinite(candidate).all()):
        return Verdict.REFUSED, "its trial was not finite", memory
    who = f"{type(gate).__name__}.decide"
    with contract(who, "(accept, why, memory)", incumbent, candidate, memory):
        accept, why, memory = gate.decide(incumbent, candidate, memory)
    return (Verdict.ACCEPTED if accept else Verdict.REJECTED), str(why), memory


def _rule(turn: Turn, rulings: list[Ruling], heard: tuple[Tensor, Tensor] | None = None) -> Turn:
    """The turn with its open seeds closed under the gate's rulings."""
    open_ = turn.open.tolist()
    verdicts = [ruling[0] if mine else old for ruling, mine, old in zip(rulings, open_, turn.verdict, strict=True)]
    reasons = [ruling[1] if mine else old for ruling, mine, old in zip(rulings, open_, turn.why, strict=True)]
    accepted = torch.tensor([verdict is Verdict.ACCEPTED for verdict in verdicts], dtype=torch.float64)
    incumbent, candidate = (  # a seed that was not judged hears no score, whoever else was
        torch.where(turn.open, scores, torch.nan) for scores in heard or (torch.full_like(accepted, torch.nan),) * 2
    )
    return replace(
        turn,
        open=torch.zeros_like(turn.open),
        verdict=tuple(verdicts),
        why=tuple(reasons),
        heard=Heard(*(each.to(turn.loop.world.device) for each in (accepted, incumbent, candidate))),
    )


def _measured(gate: Gate, scores: Scores) -> tuple[Tensor, Tensor] | None:
    """Mean scores [S] of incumbent and candidate over the gate's trials; None where it has none."""
    if not gate.trials:
        return None
    incumbent, candidate = scores[gate.score][:, : gate.trials].double().mean(dim=(1, 3)).cpu()
    return incumbent, candidate
