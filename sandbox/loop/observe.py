"""Live and observe: one horizon on the tape, and what the meta-learner's needs name of it, as clones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sandbox.core.adjoint import widest
from sandbox.core.edit import expand
from sandbox.core.error import EditError, LifeError, explain
from sandbox.core.needs import Grad, Needs, Seen
from sandbox.core.random import uniforms
from sandbox.core.record import Verdict
from sandbox.core.score import Over, Score
from sandbox.core.state import State, choose_seeds, finite_seeds, leaves, put
from sandbox.core.tree import by_seed, tree_map
from sandbox.loop.lived import Wanted
from sandbox.loop.turn import Turn, off_tape


def observe(turn: Turn) -> Turn:
    """The turn after its horizon, with what is seen of it. Off the tape again unless a level above needs it."""
    needs, watched = turn.needs, _watched(turn.state, turn.needs, nested=turn.above is not None)
    needed = needs.adjoint if needs.grads else None
    lived = turn.loop.live(
        turn.n, replace(turn.standing, state=put(turn.state, watched)), turn.step, turn.stream,
        widest(turn.above, needed), turn.mode, held_out=turn.held_out, wanted=_wanted(turn),
    )  # fmt: skip
    turn = replace(turn, standing=lived.standing, own=lived.own, records=lived.records)
    seen = _seen(turn, lived.scores, watched)
    if turn.above is not None:
        return replace(turn, seen=seen)
    seen = Seen(**tree_map(Tensor.detach, vars(seen)))
    return replace(turn, standing=off_tape(turn.standing), own=turn.own.detach(), seen=seen)


def roll_back(turn: Turn) -> Turn:
    """Seeds whose life went non-finite go back to before their last accepted edit, as often as it takes. What the
    gates remember goes on, for an edit that was judged has been judged; so does psi that is `lasting`. Raises
    `LifeError` where there is no edit to blame.
    """
    if turn.mode != "real":
        return turn
    state, standing = turn.state, turn.standing
    lost = ~finite_seeds(state)
    if turn.n == 1:  # losses of a life that a lower level has rolled back stay in the record of the levels above
        finite = torch.isfinite(turn.own.detach()).reshape(-1, state.seeds, turn.loop.world.tasks)
        lost |= ~finite.all(2).all(0).cpu()
    if not bool(lost.any()):
        return turn
    hopeless = state.seed[lost & ~standing.edited].tolist()
    if hopeless:
        raise LifeError(explain(
            expected="finite losses and weights", got=f"NaN or infinity by inner step {state.t} in seeds {hopeless}"
            " with no edit to roll back", do="The rule itself diverges: lower its learning rate or mend its loss. "
            "Everything up to the step before is kept."))  # fmt: skip
    lasting = {n for n, level in enumerate(turn.loop.levels[: turn.n], start=1) if level.needs.lasting}
    meta = {n: state.meta[n] if int(n) in lasting else psi for n, psi in standing.before.meta.items()}
    before = replace(standing.before, t=state.t, gate=state.gate, meta=meta)
    # The level above differentiates through what was lost too: it is to find 0 or NaN there, not a missing graph.
    turn = turn.at(choose_seeds(lost, before, state, woven=turn.above is not None))
    return turn.close(lost, Verdict.ROLLED_BACK, "its life went non-finite: back to before its last accepted edit")


def _watched(state: State, needs: Needs, *, nested: bool) -> dict[str, Tensor]:
    """A fresh node on the tape for every leaf whose hypergradient is needed. Nested under another level's tape the node
    stays connected to it; otherwise the tape begins here."""
    return {
        path: leaf.view_as(leaf) if nested and leaf.requires_grad else leaf.detach().clone().requires_grad_()
        for grad in needs.grads
        for path, leaf in leaves(state, grad.path).items()
    }


def _wanted(turn: Turn) -> Wanted | None:
    if "practice" not in turn.loop.world.task.noise:
        return None
    overs: dict[Over, None] = dict.fromkeys(
        ["end", *(grad.over for grad in turn.needs.grads if grad.objective == "process")]
    )
    taped = bool(turn.needs.grads) or turn.above is not None
    return Wanted(tuple(Score("process", over) for over in overs), "practice", taped)


def _seen(turn: Turn, scores: Mapping[Score, Tensor], watched: Mapping[str, Tensor]) -> Seen:
    """What `needs` names, a row for each that is asked."""
    world, needs, rows, state = turn.loop.world, turn.needs, turn.rows, turn.state
    by_lane = rows > state.seeds

    def gather(per_lane: Tensor) -> Tensor:
        return per_lane if by_lane else by_seed(per_lane, world.tasks).mean(dim=1)

    taped = bool(needs.grads) or turn.above is not None
    with torch.set_grad_enabled(taped):
        process = {score.over: gather(found.mean(dim=1)) for score, found in scores.items()}
        grad: dict[str, dict[str, Tensor]] = {"process": {}, "own": {}}
        for group in dict.fromkeys((g.objective, g.last, g.over) for g in needs.grads):
            wanted = [g for g in needs.grads if (g.objective, g.last, g.over) == group]
            paths = [path for g in wanted for path in leaves(state, g.path)]
            objective, last, over = group
            target = process[over] if objective == "process" else gather(turn.own[-(last or 0) :].mean(dim=0))
            found = _differentiate(target, paths, watched, wanted[0], keep=turn.above is not None)
            grad[objective] |= {path: per_row(turn, leaf) for path, leaf in found.items()}
    each = rows // state.seeds  # lives that are asked draw each their own
    shape = (each, needs.noise) if by_lane else (needs.noise,)
    noise = uniforms(state.seed, f"{turn.stream}/ask/{turn.n}", turn.step, shape).to(world.device)
    empty = torch.zeros(rows, 0, dtype=torch.float64, device=world.device)
    return Seen(
        own=torch.stack([gather(losses) for losses in turn.own], dim=1),
        process=process.get("end", torch.full((rows,), torch.nan, device=world.device)),
        grad=grad,
        visible={path: per_row(turn, leaves(state, path)[path]) for path in expand(state, needs.reads)},
        noise=noise.flatten(0, 1) if by_lane else noise,
        answer={},
        step=torch.full((rows,), turn.step - 1, device=world.device),
        candidates={},
        scores=empty,
        alive=empty.bool(),
    )


def per_row(turn: Turn, leaf: Tensor) -> Tensor:
    """A leaf of the state with a row for each that is asked: asked by seed, a leaf with a row a lane is seen as
    [N, ...]; asked by lane, a leaf with a row a seed is seen by each of its lanes."""
    if leaf.shape[0] > turn.rows:
        return by_seed(leaf, turn.loop.world.tasks)
    return leaf.repeat_interleave(turn.rows // leaf.shape[0], dim=0) if leaf.shape[0] < turn.rows else leaf


def _differentiate(
    target: Tensor, paths: Sequence[str], watched: Mapping[str, Tensor], wanted: Grad, *, keep: bool
) -> dict[str, Tensor]:
    at = [watched[path] for path in paths]
    if target.requires_grad:
        found = torch.autograd.grad(target.sum(), at, create_graph=keep, retain_graph=True, allow_unused=True)
    else:
        found = [None] * len(at)
    # An unused path is refused, never read as zero: a zero would hide a dropped graph.
    grads = {path: grad for path, grad in zip(paths, found, strict=True) if grad is not None}
    if len(grads) < len(paths):
        unused = [path for path in paths if path not in grads]
        raise EditError(explain(
            expected=f"a hypergradient of the {wanted.objective} objective at {unused}",
            got="an objective that does not depend on it through the horizon just lived",
            do="An edit acts only in the step after it: a level above the first needs a horizon of 2 or more; "
               "`first_order` leaves parameters of the loss without a hypergradient; "
               "a persistent life never starts from `init` again."))  # fmt: skip
    return grads
