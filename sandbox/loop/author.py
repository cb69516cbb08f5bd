"""The author's own methods, called with clones of what they may see, and their answers checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.contract import mend, told
from sandbox.core.edit import Edit
from sandbox.core.error import EditError, SourceError, explain
from sandbox.core.needs import Seen
from sandbox.core.protocols import Params
from sandbox.core.random import generators, untouched
from sandbox.core.record import Verdict
from sandbox.core.tree import T, choose, finite_rows, flatten, stack, tree_map
from sandbox.loop.observe import per_row
from sandbox.loop.turn import Turn

R = TypeVar("R")
ADVICE = "declare Needs(vmapped=False), to be asked row by row"


def call(turn: Turn, method: str, author: Callable[[], R], *handed: Mapping[str, Any], pure: bool = True) -> R:
    """What the author's `method` returns; raises `EditError` for whatever it raises, for a write in place and, if it is
    to be `pure`, for a draw from a global generator, which no replay would repeat."""
    who = f"{type(turn.level.meta_learner).__name__}.{method}"
    before = [leaf._version for tree in handed for leaf in flatten(tree).values()]
    with torch.set_grad_enabled(turn.above is not None), untouched():
        stood = generators()
        try:
            found = author()
        except (EditError, SourceError):
            raise
        except Exception as error:
            do = mend(who, error, ADVICE if turn.needs.vmapped else "")
            do += " faults=refuse goes on without it." if pure else ""  # a source of answers is waited for
            raise EditError(explain(expected=f"an answer of {who}", got=told(error), do=do)) from error
        drew = pure and stood != generators()
    if drew:
        raise EditError(explain(expected=f"{who} to draw nothing of its own", got="a draw from a global generator",
                                do="Declare `needs.noise` and use `seen.noise`: a replay draws the same."))  # fmt: skip
    if before != [leaf._version for tree in handed for leaf in flatten(tree).values()]:
        raise EditError(explain(expected="a pure function of what it is handed", got=f"a write in place in {method}",
                                do="Build new tensors; these were clones, so nothing was harmed."))  # fmt: skip
    return found


def each_row(turn: Turn, one: Callable[..., T]) -> Callable[..., T]:
    """A function of one row as a function of all that are asked: vmapped, or in plain Python where `needs` says so."""

    def plainly(*trees: Any) -> T:
        return stack([one(*(row(tree, r) for tree in trees)) for r in range(turn.rows)])

    return vmap(one) if turn.needs.vmapped else plainly


def refuse(turn: Turn, error: EditError) -> Turn:
    """The turn without its malformed edit, or the error itself where faults stop the run."""
    if turn.level.faults == "stop":
        raise error
    return replace(turn, edit=Edit()).close(turn.open, Verdict.REFUSED, str(error))


def seen_of(turn: Turn) -> Seen:
    """What the phase `observe` has gathered."""
    assert turn.seen is not None, "the phase `observe` comes first"
    return turn.seen


def handed(turn: Turn) -> Params:
    """psi and memory as one dict, a clone of a row for each that is asked."""
    return {
        name: per_row(turn, leaf).clone() for path in _places(turn) for name, leaf in subtree_of(turn, path).items()
    }


def remember(turn: Turn, after: Params, method: str) -> dict[str, Params]:
    """{path of the state: psi or memory after a call}; a row that is not finite stays as it was. Raises `EditError`
    where names, shapes or dtypes are not those of `init` and `memory`."""
    before = handed(turn)
    old, new = flatten(before), flatten(after)
    kinds = [{name: (leaf.shape, leaf.dtype) for name, leaf in tree.items()} for tree in (old, new)]
    if kinds[0] != kinds[1]:
        raise EditError(explain(expected=f"psi with {_kinds(old)} from {method}", got=f"{_kinds(new)}",
                                do=f"`{method}` returns the psi of `init`, updated."))  # fmt: skip
    kept: dict[str, Params] = {}
    for path in _places(turn):
        mine = {name: after[name] for name in subtree_of(turn, path)}
        if not mine or _shared(turn, path):
            continue
        mine = choose(finite_rows(mine, turn.rows), mine, subtree_of(turn, path))
        kept[path] = mine if turn.above is not None else tree_map(Tensor.detach, mine)
    return kept


def _places(turn: Turn) -> list[str]:
    """Where the state holds what this level's meta-learner knows."""
    return [f"{slot}/{turn.n}" for slot in ("meta", "memory") if str(turn.n) in getattr(turn.state, slot)]


def subtree_of(turn: Turn, path: str) -> Params:
    """psi or memory, where the state holds it."""
    slot, _, n = path.partition("/")
    return getattr(turn.state, slot)[n]


def _shared(turn: Turn, path: str) -> bool:
    """Whether several rows that are asked share one row of it, which they may then read alone."""
    return any(leaf.shape[0] < turn.rows for leaf in subtree_of(turn, path).values())


def keeps_shared(turn: Turn, psi: Params, after: object) -> None:
    """Raises `EditError` where a life has changed what it shares with others."""
    path = f"meta/{turn.n}"
    if not _shared(turn, path) or not isinstance(after, Mapping):
        return
    changed = [name for name in subtree_of(turn, path) if after.get(name) is not psi[name]]
    if changed:
        raise EditError(explain(
            expected=f"psi {changed} as it came, for the lives of a seed share it", got="another tensor",
            do=f"Keep what a life learns in `memory`, or give psi a row a life: per_lane=[…, {path}]."))  # fmt: skip


def row(tree: T, r: int) -> T:
    """One row of every leaf."""
    return tree_map(lambda leaf: leaf[r], tree)


def _kinds(tree: Mapping[str, Tensor]) -> str:
    return "{" + ", ".join(f"{name}: {leaf.dtype} {list(leaf.shape[1:])}" for name, leaf in tree.items()) + "}"
