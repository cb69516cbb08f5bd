"""Vary, consult and ask: the meta-learner's own methods, each called with clones, its answers checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.contract import mend, shape_of, told
from sandbox.core.edit import Edit, absolute
from sandbox.core.error import ConfigError, EditError, LineageError, explain
from sandbox.core.journal import Answer, Question
from sandbox.core.needs import Heard, Seen
from sandbox.core.protocols import Consults, Hears, Params
from sandbox.core.random import untouched
from sandbox.core.record import Verdict
from sandbox.core.state import leaves, put
from sandbox.core.tree import T, choose, finite_rows, flatten, stack, tree_map
from sandbox.loop.observe import per_row
from sandbox.loop.turn import Turn

R = TypeVar("R")
Rows = tuple[dict[str, Tensor], Params, Tensor]  # what is set, psi and memory afterwards, which rows asked [R]
ADVICE = "declare Needs(vmapped=False), to be asked row by row"


def consult(turn: Turn) -> Turn:
    """The turn with an answer for each seed in `seen`: from the journal, or asked of the source and noted there first.

    A probe is served what was last answered, and asks for no edit where there is nothing. Raises `LineageError` where a
    replay finds no answer.
    """
    if not turn.needs.answers:
        return turn
    questions = [Question(turn.n, turn.step, turn.stream, int(seed)) for seed in turn.state.seed]
    if turn.loop.probing or turn.mode == "probe":
        asked = [replace(question, stream="life") for question in questions]
        found = [turn.loop.journal.latest(question) for question in asked]
        if any(answer is None for answer in found):
            return turn.close(turn.open, Verdict.NO_EDIT, "")
    else:
        found = _answers(turn, questions)
    answers = stack([dict(answer) for answer in found if answer is not None])
    return replace(turn, seen=replace(_seen(turn), answer={k: per_row(turn, leaf) for k, leaf in answers.items()}))


def _answers(turn: Turn, questions: list[Question]) -> list[Answer]:
    journal, source = turn.loop.journal, turn.level.meta_learner
    known = {question: journal.recall(question) for question in questions}
    missing = [question for question, answer in known.items() if answer is None]
    if missing:
        if journal.sealed:
            raise LineageError(
                explain(
                    expected=f"an answer in the journal to {missing[0]}",
                    got="none",
                    do="A replay asks nobody: the journal was changed, or belongs to another run.",
                )
            )
        if not isinstance(source, Consults):
            raise ConfigError(
                explain(
                    expected="a meta-learner with `consult`, since `needs.answers` is set",
                    got=type(source).__name__,
                    do="Give it consult(question, psi, seen).",
                )
            )
        psi, seen = _handed(turn), vars(_seen(turn))
        fresh: dict[Question, Answer] = {}
        for row, question in enumerate(questions):
            if question in missing:
                r = row * (turn.rows // turn.state.seeds)
                fresh[question] = source.consult(question, _row(psi, r), Seen(**_row(seen, r)))
        journal.note(fresh)
        known |= fresh
    return [answer for question in questions if (answer := known[question]) is not None]


def ask(turn: Turn) -> Turn:
    """The turn with the edit that was asked for, and psi and memory as they are afterwards, whatever the verdict.

    Seeds that ask for nothing are closed. A malformed answer raises `EditError`, or is refused where the level's faults
    are. Asked row by row, a seed that is closed already is not asked.
    """
    if not bool(turn.open.any()) and turn.loop.probing:
        return turn
    notes: list[str] = []

    def one(psi: Params, seen: dict[str, Any]) -> tuple[dict[str, Tensor], Params]:
        edit, after = _pair(turn, turn.level.meta_learner.ask(psi, Seen(**seen)))
        notes.append(str(edit.note))
        _keeps_shared(turn, psi, after)
        return {absolute(str(path), turn.n): value for path, value in edit.set.items()}, after

    handed = (_handed(turn), tree_map(Tensor.clone, vars(_seen(turn))))

    def answer() -> Rows:
        if not turn.needs.vmapped:
            return _row_by_row(turn, one, *handed)
        values, after = vmap(one)(*handed)
        return values, after, torch.full((turn.rows,), bool(values))

    try:
        values, after, wanted = call(turn, "ask", answer, *handed)
        remembered = remember(turn, after, "ask")
    except EditError as error:
        return refuse(turn, error)
    if turn.above is None:
        values = tree_map(Tensor.detach, values)
    turn = replace(turn.at(put(turn.state, remembered)), edit=Edit(values, "; ".join(dict.fromkeys(notes))))
    return turn.close(~wanted.reshape(turn.state.seeds, -1).any(dim=1), Verdict.NO_EDIT, "")


def tell(turn: Turn) -> Turn:
    """The turn after the meta-learner has heard what became of its edit, in the seeds that asked for one."""
    hears, heard = turn.level.meta_learner, turn.heard
    asked = torch.tensor([verdict is not Verdict.NO_EDIT for verdict in turn.verdict])
    if not isinstance(hears, Hears) or heard is None or not turn.edit.set or not turn.state.meta[str(turn.n)]:
        return turn
    psi = _handed(turn)
    rows = {name: per_row(turn, leaf) for name, leaf in vars(heard).items()}

    def one(psi: Params, heard: dict[str, Tensor]) -> Params:
        after = hears.tell(psi, Heard(**heard))
        _keeps_shared(turn, psi, after)
        return after

    try:
        remembered = remember(turn, call(turn, "tell", lambda: vmap(one)(psi, rows), psi, rows), "tell")
    except EditError as error:
        if turn.level.faults == "stop":
            raise error
        return turn
    chosen = {path: tree_map(lambda new, old: _of_seeds(asked, new, old), tree, _subtree(turn, path))
              for path, tree in remembered.items()}  # fmt: skip
    return turn.at(put(turn.state, chosen))


def refuse(turn: Turn, error: EditError) -> Turn:
    """The turn without its malformed edit, or the error itself where faults stop the run."""
    if turn.level.faults == "stop":
        raise error
    return replace(turn, edit=Edit()).close(turn.open, Verdict.REFUSED, str(error))


def call(turn: Turn, method: str, author: Callable[[], R], *handed: Mapping[str, Any]) -> R:
    """What the author's `method` returns; raises `EditError` for whatever it raises, and for a write in place."""
    who = f"{type(turn.level.meta_learner).__name__}.{method}"
    with torch.set_grad_enabled(turn.above is not None), untouched():
        try:
            found = author()
        except EditError:
            raise
        except Exception as error:
            do = f"{mend(who, error, ADVICE)} faults=refuse goes on without it."
            raise EditError(explain(expected=f"an answer of {who}", got=told(error), do=do)) from error
    if any(leaf._version for tree in handed for leaf in flatten(tree).values()):
        raise EditError(explain(expected="a pure function of what it is handed", got=f"a write in place in {method}",
                                do="Build new tensors; these were clones, so nothing was harmed."))  # fmt: skip
    return found


def remember(turn: Turn, after: Params, method: str) -> dict[str, Params]:
    """{path of the state: psi or memory after a call}; a row that is not finite stays as it was. Raises `EditError`
    where names, shapes or dtypes are not those of `init` and `memory`."""
    before = _handed(turn)
    old, new = flatten(before), flatten(after)
    kinds = [{name: (leaf.shape, leaf.dtype) for name, leaf in tree.items()} for tree in (old, new)]
    if kinds[0] != kinds[1]:
        raise EditError(explain(expected=f"psi with {_kinds(old)} from {method}", got=f"{_kinds(new)}",
                                do=f"`{method}` returns the psi of `init`, updated."))  # fmt: skip
    kept: dict[str, Params] = {}
    for path in _places(turn):
        mine = {name: after[name] for name in _subtree(turn, path)}
        if not mine or _shared(turn, path):
            continue
        mine = choose(finite_rows(mine, turn.rows), mine, _subtree(turn, path))
        kept[path] = mine if turn.above is not None else tree_map(Tensor.detach, mine)
    return kept


def _places(turn: Turn) -> list[str]:
    """Where the state holds what this level's meta-learner knows."""
    return [f"{slot}/{turn.n}" for slot in ("meta", "memory") if str(turn.n) in getattr(turn.state, slot)]


def _subtree(turn: Turn, path: str) -> Params:
    slot, _, n = path.partition("/")
    return getattr(turn.state, slot)[n]


def _shared(turn: Turn, path: str) -> bool:
    """Whether several rows that are asked share one row of it, which they may then read alone."""
    return any(leaf.shape[0] < turn.rows for leaf in _subtree(turn, path).values())


def _handed(turn: Turn) -> Params:
    """psi and memory as one dict, a clone of a row for each that is asked."""
    return {name: per_row(turn, leaf).clone() for path in _places(turn) for name, leaf in _subtree(turn, path).items()}


def _keeps_shared(turn: Turn, psi: Params, after: object) -> None:
    path = f"meta/{turn.n}"
    if not _shared(turn, path) or not isinstance(after, Mapping):
        return
    changed = [name for name in _subtree(turn, path) if after.get(name) is not psi[name]]
    if changed:
        raise EditError(explain(
            expected=f"psi {changed} as it came, for the lives of a seed share it", got="another tensor",
            do=f"Keep what a life learns in `memory`, or give psi a row a life: per_lane=[…, {path}]."))  # fmt: skip


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
    turn: Turn, one: Callable[[Params, dict[str, Any]], tuple[dict[str, Tensor], Params]], psi: Params,
    shown: dict[str, Any],
) -> Rows:  # fmt: skip
    """Ask each row alone; a row that leaves a path out keeps what it has there."""
    each = turn.rows // turn.state.seeds
    open_ = turn.open.repeat_interleave(each).tolist()
    answers = [one(_row(psi, r), _row(shown, r)) if open_[r] else ({}, _row(psi, r)) for r in range(turn.rows)]
    paths = sorted({path for values, _ in answers for path in values})
    values = {
        path: torch.stack(
            [answer.get(path, leaves(turn.state, path)[path][r]) for r, (answer, _) in enumerate(answers)]
        )
        for path in paths
    }
    return values, stack([after for _, after in answers]), torch.tensor([bool(answer) for answer, _ in answers])


def _kinds(tree: Mapping[str, Tensor]) -> str:
    return "{" + ", ".join(f"{name}: {leaf.dtype} {list(leaf.shape[1:])}" for name, leaf in tree.items()) + "}"


def _of_seeds(asked: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return choose(asked.repeat_interleave(new.shape[0] // asked.shape[0]), new, old)


def _row(tree: T, r: int) -> T:
    return tree_map(lambda leaf: leaf[r], tree)


def _seen(turn: Turn) -> Seen:
    assert turn.seen is not None, "the phase `observe` comes first"
    return turn.seen
