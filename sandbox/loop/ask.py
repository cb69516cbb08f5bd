"""Ask and tell: the meta-learner's answer, and what it hears of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.contract import shape_of
from sandbox.core.edit import Edit, Tried, absolute
from sandbox.core.error import EditError, explain
from sandbox.core.needs import Heard, Seen
from sandbox.core.protocols import Hears, Params
from sandbox.core.record import Verdict
from sandbox.core.state import leaves, put
from sandbox.core.tree import choose, stack, tree_map
from sandbox.loop.author import call, each_row, handed, keeps_shared, refuse, remember, row, seen_of, subtree_of
from sandbox.loop.observe import per_row
from sandbox.loop.turn import Turn

Answer = tuple[dict[str, Tensor], Params, Tried]  # what one row sets, its psi and memory afterwards, what it tried
Answers = tuple[dict[str, Tensor], Params, Tensor, dict[int, str], list[Tried]]
"""Of all rows; then which of them asked for something [R], the faults of others, and what each has tried."""

UNTOLD = (Verdict.NO_EDIT, Verdict.ROLLED_BACK)  # of these no edit was in play


def ask(turn: Turn) -> Turn:
    """The turn with the edit that was asked for, and psi and memory as they are afterwards, whatever the verdict.

    Seeds that ask for nothing are closed. A malformed answer raises `EditError`, or is refused where the level's faults
    are: asked row by row, for its own seed; vmapped, for all, since one call answers for all. Asked row by row, a seed
    that is closed already is not asked.
    """
    if not bool(turn.open.any()) and turn.loop.probing is not None:
        return turn
    notes: list[str] = []

    def one(psi: Params, seen: dict[str, Any]) -> Answer:
        edit, after = _pair(turn, turn.level.meta_learner.ask(psi, Seen(**seen)))
        notes.append(str(edit.note))
        keeps_shared(turn, psi, after)
        return {absolute(str(path), turn.n): value for path, value in edit.set.items()}, after, edit.tried

    clones = (handed(turn), tree_map(Tensor.clone, vars(seen_of(turn))))

    def answer() -> Answers:
        if not turn.needs.vmapped:
            return _row_by_row(turn, one, *clones)
        values, after = vmap(lambda psi, seen: one(psi, seen)[:2])(*clones)
        return values, after, torch.full((turn.rows,), bool(values)), {}, []

    try:
        values, after, wanted, faults, tried = call(turn, "ask", answer, *clones)
        remembered = remember(turn, after, "ask")
    except EditError as error:
        return refuse(turn, error)
    if turn.above is None:
        values = tree_map(Tensor.detach, values)
    turn = replace(turn.at(put(turn.state, remembered)), edit=Edit(values, "; ".join(dict.fromkeys(notes))),
                   tried=_by_seed(turn, tried))  # fmt: skip
    for r, fault in faults.items():
        seed = torch.arange(turn.state.seeds) == r // (turn.rows // turn.state.seeds)
        turn = turn.close(seed, Verdict.REFUSED, fault)
    return turn.close(~wanted.reshape(turn.state.seeds, -1).any(dim=1), Verdict.NO_EDIT, "")


def tell(turn: Turn) -> Turn:
    """The turn after the meta-learner has heard what became of its edit, in the seeds that had one in play."""
    hears, psi = turn.level.meta_learner, handed(turn)
    asked = torch.tensor([verdict not in UNTOLD for verdict in turn.verdict])
    if not isinstance(hears, Hears) or turn.heard is None or not turn.edit.set or not psi:
        return turn
    rows = {name: per_row(turn, leaf) for name, leaf in vars(turn.heard).items()}

    def one(psi: Params, heard: dict[str, Tensor]) -> Params:
        after = hears.tell(psi, Heard(**heard))
        keeps_shared(turn, psi, after)
        return after

    try:
        remembered = remember(turn, call(turn, "tell", lambda: each_row(turn, one)(psi, rows), psi, rows), "tell")
    except EditError as error:
        if turn.level.faults == "stop":
            raise error
        return turn
    chosen = {path: tree_map(lambda new, old: _of_seeds(asked, new, old), tree, subtree_of(turn, path))
              for path, tree in remembered.items()}  # fmt: skip
    return turn.at(put(turn.state, chosen))


def _pair(turn: Turn, answer: object) -> tuple[Edit, Params]:
    """An answer as the contract has it."""
    if (
        isinstance(answer, tuple)
        and len(answer) == 2
        and isinstance(answer[0], Edit)
        and isinstance(answer[1], Mapping)
    ):
        return answer  # type: ignore[return-value]
    got = f"({', '.join(map(shape_of, answer))})" if isinstance(answer, tuple) else shape_of(answer)
    raise EditError(explain(expected=f"(Edit, psi) from {type(turn.level.meta_learner).__name__}.ask", got=got,
                            do="End it with: return Edit({path: tensor}), psi"))  # fmt: skip


def _row_by_row(
    turn: Turn, one: Callable[[Params, dict[str, Any]], Answer], psi: Params, shown: dict[str, Any]
) -> Answers:
    """Ask each row alone; a row that leaves a path out keeps what it has there."""
    open_ = turn.open.repeat_interleave(turn.rows // turn.state.seeds).tolist()
    answers: list[Answer] = []
    faults: dict[int, str] = {}
    for r in range(turn.rows):
        answer: Answer = {}, row(psi, r), ()
        try:
            answer = call(turn, "ask", lambda r=r: one(row(psi, r), row(shown, r))) if open_[r] else answer
        except EditError as error:
            if turn.level.faults == "stop":
                raise
            faults[r] = str(error)
        answers.append(answer)
    paths = sorted({path for values, *_ in answers for path in values})
    values = {
        path: torch.stack(
            [answer.get(path, leaves(turn.state, path)[path][r]) for r, (answer, *_) in enumerate(answers)]
        )
        for path in paths
    }
    return (
        values,
        stack([after for _, after, _ in answers]),
        torch.tensor([bool(each) for each, *_ in answers]),
        faults,
        [tried for *_, tried in answers],
    )


def _by_seed(turn: Turn, tried: list[Tried]) -> dict[int, Tried]:
    """What was tried by each seed that tells of it, all its lives together."""
    each = turn.rows // turn.state.seeds
    found = {s: [one for row in tried[s * each : (s + 1) * each] for one in row] for s in range(turn.state.seeds)}
    return {s: told for s, told in found.items() if told}


def _of_seeds(asked: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return choose(asked.repeat_interleave(new.shape[0] // asked.shape[0]), new, old)
