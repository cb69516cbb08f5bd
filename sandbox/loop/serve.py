"""Observe and ask: what a meta-learner's needs name is served as clones, and its answer is checked."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.edit import Edit, expand
from sandbox.core.error import ConfigError, EditError, explain
from sandbox.core.protocols import Engine, Grad, Hears, Level, Needs, Params, Seen, Tape, World
from sandbox.core.random import uniforms, untouched
from sandbox.core.state import State, leaves, put
from sandbox.core.tree import T, by_seed, choose, finite_rows, flatten, stack, tree_map

R = TypeVar("R")
Answer = tuple[dict[str, Tensor], Params]  # what one row sets, and its psi afterwards


@dataclass(frozen=True)
class Asked:
    """`edit` with all rows; psi afterwards; `wanted` [S]: seeds that asked for anything."""

    edit: Edit
    psi: Params
    wanted: Tensor


def watch(state: State, needs: Needs, *, nested: bool) -> tuple[State, dict[str, Tensor]]:
    """The state with a fresh node on the tape at every path whose hypergradient is needed. Nested under another
    level's tape the node stays connected to it; otherwise the tape begins here."""
    watched = {
        path: leaf.view_as(leaf) if nested and leaf.requires_grad else leaf.detach().clone().requires_grad_()
        for grad in needs.grads
        for path, leaf in leaves(state, grad.path).items()
    }
    return put(state, watched), watched


def edits_lanes(world: World, needs: Needs) -> bool:
    """Whether the edited slots carry a row per lane, so that the editor is asked lane by lane."""
    return any(path.split("/")[0] in world.per_lane for path in needs.edits)


def serve(
    world: World, engine: Engine, level: Level, n: int, lived: State, own: Tensor, watched: Mapping[str, Tensor],
    *, step: int, stream: str, tape: Tape,
) -> Seen:  # fmt: skip
    """What level `n` sees after a horizon that ended in `lived` with own losses [K, L]; fields have a row per seed
    (per lane where it edits lanes)."""
    needs, lanes = level.meta_learner.needs, edits_lanes(world, level.meta_learner.needs)
    rows = own.shape[1] if lanes else lived.seeds

    def gather(per_lane: Tensor) -> Tensor:
        return per_lane if lanes else by_seed(per_lane, world.tasks).mean(dim=1)

    def per_row(leaf: Tensor) -> Tensor:  # asked by seed, a leaf with a row a lane is seen as [N, ...]
        if leaf.shape[0] > rows:
            return by_seed(leaf, world.tasks)
        return leaf.repeat_interleave(rows // leaf.shape[0], dim=0)

    with torch.set_grad_enabled(bool(needs.grads) or tape != "off"):
        if "practice" in world.task.noise:
            process = gather(engine.scores(world, lived, "practice", stream).mean(dim=1))
        else:
            process = torch.full((rows,), torch.nan)
        grad: dict[str, dict[str, Tensor]] = {"process": {}, "own": {}}
        for group in {(g.objective, g.last): g for g in needs.grads}.values():
            paths = [p for g in needs.grads if (g.objective, g.last) == (group.objective, group.last)
                     for p in leaves(lived, g.path)]  # fmt: skip
            target = process if group.objective == "process" else gather(own[-(group.last or 0) :].mean(dim=0))
            found = _differentiate(target, paths, watched, group, keep=tape != "off")
            grad[group.objective] |= {path: per_row(leaf) for path, leaf in found.items()}
    visible = {path: per_row(leaves(lived, path)[path]) for path in expand(lived, needs.reads)}
    noise = uniforms(lived.seed, f"{stream}/ask/{n}", step, (needs.noise,))
    served = Seen(
        own=torch.stack([gather(losses) for losses in own], dim=1),
        process=process,
        grad=grad,
        visible=visible,
        noise=per_row(noise),
        course=_course(level, step) if needs.course else {},
        step=torch.full((rows,), step - 1),
    )
    if tape != "off":
        return served
    return Seen(**tree_map(Tensor.detach, vars(served)))


def _differentiate(
    target: Tensor, paths: list[str], watched: Mapping[str, Tensor], wanted: Grad, *, keep: bool
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


def _course(level: Level, step: int) -> Mapping[str, Tensor]:
    course = level.course
    if course is None or any(step > len(values) for values in course.values()):
        raise ConfigError(explain(expected=f"a recorded course of {step} steps or more",
                                  got="none" if course is None else str(min(map(len, course.values()))),
                                  do="A yoked editor lives by a finished run of the same length."))  # fmt: skip
    return {path: values[step - 1] for path, values in course.items()}


def ask(level: Level, n: int, state: State, seen: Seen, lost: Tensor, *, tape: Tape) -> Asked:
    """Level `n`'s answer; asked seed by seed, it is not asked for those that are `lost` [S].

    Raises `EditError` if it raises, writes in place, or returns anything but an edit and a psi of the old structure; a
    row of psi that is not finite stays as it was.
    """
    psi = state.meta[str(n)]
    shown, handed = tree_map(Tensor.clone, vars(seen)), tree_map(Tensor.clone, psi)
    notes: list[str] = []

    def one(psi: Params, seen: dict[str, Any]) -> Answer:
        edit, after = level.meta_learner.ask(psi, Seen(**seen))
        notes.append(str(edit.note))
        return {str(path): value for path, value in edit.set.items()}, after

    def answer() -> tuple[Params, Params, Tensor]:
        if not level.meta_learner.needs.vmapped:
            return _row_by_row(one, handed, shown, state, lost)
        values, after = vmap(one)(handed, shown)
        return values, after, torch.full((state.seeds,), bool(values))

    values, after, wanted = _call(level, "ask", answer, {**shown, "psi": handed}, tape)
    if tape == "off":
        values = tree_map(Tensor.detach, values)
    return Asked(Edit(values, "; ".join(dict.fromkeys(notes))), _remember(psi, after, "ask", tape), wanted)


def tell(level: Level, hears: Hears, n: int, state: State, wanted: Tensor, accepted: Tensor, *, tape: Tape) -> Params:
    """Level `n`'s psi after hearing `accepted` [S], in the seeds that `wanted` [S] an edit; raises `EditError` as `ask`
    does."""
    psi = state.meta[str(n)]
    if not psi:
        return psi
    handed = tree_map(Tensor.clone, psi)
    each = next(iter(psi.values())).shape[0] // state.seeds
    verdict = accepted.double().repeat_interleave(each)
    after = _call(level, "tell", lambda: vmap(hears.tell)(handed, verdict), {"psi": handed, "accepted": verdict}, tape)
    return choose(wanted.repeat_interleave(each), _remember(psi, after, "tell", tape), psi)


def _call(level: Level, method: str, call: Callable[[], R], handed: Mapping[str, Any], tape: Tape) -> R:
    """What the author's method returns. Whatever it raises is its fault, told as such."""
    with torch.set_grad_enabled(tape != "off"), untouched():
        try:
            found = call()
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            raise EditError(explain(expected="an answer", got=f"{type(error).__name__} in {method}: {error} "
                                    f"({Path(at.filename).name}:{at.lineno})",
                                    do=f"Mend {type(level.meta_learner).__name__}.{method}, or set faults=refuse to go "
                                       "on without it."))  from error  # fmt: skip
    if any(leaf._version for leaf in flatten(handed).values()):
        raise EditError(explain(expected="a pure function of what it is handed", got=f"a write in place in {method}",
                                do="Build new tensors; these were clones, so nothing was harmed."))  # fmt: skip
    return found


def _remember(psi: Params, after: Params, method: str, tape: Tape) -> Params:
    """psi after a call; a row that is not finite stays as it was."""
    old, new = flatten(psi), flatten(after)
    if {k: (v.shape, v.dtype) for k, v in old.items()} != {k: (v.shape, v.dtype) for k, v in new.items()}:
        raise EditError(explain(expected=f"psi with {sorted(old)} in their old shapes", got=f"{sorted(new)}",
                                do=f"`{method}` returns the psi of `init`, updated."))  # fmt: skip
    if not psi:
        return psi
    kept = choose(finite_rows(after, next(iter(psi.values())).shape[0]), after, psi)
    return tree_map(Tensor.detach, kept) if tape == "off" else kept


def _row_by_row(
    one: Callable[[Params, dict[str, Any]], Answer], psi: Params, shown: dict[str, Any], state: State, lost: Tensor
) -> tuple[Params, Params, Tensor]:
    """Ask each row alone; a row that leaves a path out keeps what it has there."""
    rows = shown["step"].shape[0]
    gone = lost.repeat_interleave(rows // state.seeds)
    answers = [({}, _row(psi, r)) if gone[r] else one(_row(psi, r), _row(shown, r)) for r in range(rows)]
    paths = sorted({path for values, _ in answers for path in values})
    values = {
        path: torch.stack([answer.get(path, leaves(state, path)[path][r]) for r, (answer, _) in enumerate(answers)])
        for path in paths
    }
    wanted = torch.tensor([bool(answer) for answer, _ in answers]).reshape(state.seeds, -1).any(dim=1)
    return values, stack([after for _, after in answers]), wanted


def _row(tree: T, r: int) -> T:
    return tree_map(lambda leaf: leaf[r], tree)
