"""An edit is data: new values at paths. `apply` refuses what is malformed, seed by seed what is not finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, EditError, did_you_mean, explain
from sandbox.core.state import State, leaves, put
from sandbox.core.tree import choose, finite_rows

Tried = Sequence[Mapping[str, str | int | float | None]]


@dataclass(frozen=True)
class Edit:
    """`set`: leaf path to its replacement (an author returns one row, the loop handles all); `note`: why, in words.
    `tried`: what was tried on the way to it, a mapping of words and numbers each, which the lineage keeps; only an
    author who is asked row by row can tell it."""

    set: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    note: str = ""
    tried: Tried = ()


def covers(allow: Iterable[str], path: str) -> bool:
    """Whether `path` is one of the allowed paths or lies below one."""
    return any(path == allowed or path.startswith(allowed + "/") for allowed in allow)


def absolute(path: str, n: int) -> str:
    """A path of level `n`: `./sigma` is the level's own `meta/n/sigma`; any other stays as it is."""
    return f"meta/{n}/{path[2:]}" if path.startswith("./") else path


def expand(state: State, paths: Iterable[str]) -> tuple[str, ...]:
    """The leaf paths at or below each of `paths`."""
    return tuple(dict.fromkeys(leaf for path in paths for leaf in leaves(state, path)))


def only_real(found: Mapping[str, Tensor], who: str) -> None:
    """Raises `ConfigError` where one of these leaves holds whole numbers, such as a program: they have no derivative,
    and noise added to them is rounded away or makes nonsense of them."""
    whole = [path for path, leaf in found.items() if not leaf.is_floating_point()]
    if whole:
        others = [path for path in found if path not in whole]
        do = f"Name real ones: {', '.join(others)}." if others else "Name real ones, such as rule/constants or rule/lr."
        raise ConfigError(explain(expected=f"real numbers for {who} to edit", got=f"whole ones at {whole}",
                                  do=f"{do} Programs are edited by meta-learners that know them."))  # fmt: skip


def apply(state: State, edit: Edit, *, allow: Iterable[str], frozen: Tensor | None = None) -> tuple[State, Tensor]:
    """The edited state and which seeds took the edit, [S] bool.

    `frozen` [S] marks seeds that must keep what they have. A seed whose replacement is not finite keeps what it has.
    Raises `EditError` when a path is unknown, not a leaf or not allowed, or a value differs in shape or dtype.
    """
    allow = tuple(allow)
    taken = torch.ones(state.seeds, dtype=torch.bool) if frozen is None else ~frozen
    for path, value in edit.set.items():
        old = leaves(state, path)
        if not covers(allow, path):
            raise EditError(explain(expected=f"an edit within {list(allow)}", got=f"'{path}'",
                                    do="Name it in `needs.edits`, and in `allow` if that is set."))  # fmt: skip
        if set(old) != {path}:
            raise EditError(explain(expected="the path of a leaf", got=f"the tree '{path}'",
                                    do=did_you_mean(path, old)))  # fmt: skip
        if not isinstance(value, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise EditError(explain(expected=f"a tensor at '{path}'", got=type(value).__name__,
                                    do="Return tensors in `Edit.set`."))  # fmt: skip
        if value.shape != old[path].shape or value.dtype != old[path].dtype:
            skip = 1 if value.dim() and value.shape[0] == old[path].shape[0] else 0  # an author sees one row
            raise EditError(explain(expected=f"{old[path].dtype} of shape {list(old[path].shape[skip:])} at '{path}'",
                                    got=f"{value.dtype} of shape {list(value.shape[skip:])}",
                                    do="An edit replaces a leaf by one of the same kind."))  # fmt: skip
        rows = value.reshape(state.seeds, -1)
        taken = taken & finite_rows(rows, state.seeds)
    changed = {
        path: choose(taken.repeat_interleave(value.shape[0] // state.seeds), value, leaves(state, path)[path])
        for path, value in edit.set.items()
    }
    return put(state, changed), taken
