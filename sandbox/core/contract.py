"""The guard around an author's methods: what they raise is told in one line, what they write in place is noticed."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from sandbox.core.error import ContractError, SandboxError, explain
from sandbox.core.tree import Tree, flatten


@contextmanager
def contract(who: str, promise: str, *handed: Tree, advice: str = "") -> Generator[None]:
    """Code inside calls `who`, "SGD.update" say, that has promised to be a pure function of the trees `handed` to it.

    Raises `ContractError` with the `promise` for whatever it raises, and where a tensor of `handed` has been written
    in place. `advice` is added for a method that may be asked another way.
    """
    before = [leaf._version for tree in handed for leaf in flatten(tree).values()]
    try:
        yield
    except SandboxError:
        raise
    except Exception as error:
        raise ContractError(
            explain(expected=f"{who}: {promise}", got=told(error), do=mend(who, error, advice))
        ) from error
    if before != [leaf._version for tree in handed for leaf in flatten(tree).values()]:
        raise ContractError(
            explain(
                expected=f"{who} to be a pure function of what it is handed",
                got="a write in place",
                do="Build new tensors: `a = a - b`, never `a.sub_(b)`.",
            )
        )


def told(error: Exception) -> str:
    """The exception in one line, with the place of the author's code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if "/torch/" not in frame.filename] or list(frames)
    at = f" ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}{'…' if len(text) > 160 else ''}{at}"


def mend(who: str, error: Exception, advice: str) -> str:
    """What the author can do about it."""
    text = str(error)
    if "escaped from inside a function being vmapped" in text:
        return "Keep nothing from one call to the next but in buffers: self.register_buffer(name, tensor)."
    if "accessing `data`" in text:
        return "Build new tensors: what is written through .data no counter sees."
    if "data-dependent control flow" in text or ".item()" in text:
        return (
            f"Python can't branch on a tensor that stands for many rows: use torch.where{advice and ', or ' + advice}."
        )
    if "must only return Tensors" in text:
        return "Return tensors alone: torch.tensor(…) for a number, psi for nothing new."
    if "randomness" in text:
        return "All randomness is drawn beforehand: declare `noise`, and use what is handed in."
    if advice and ("vmap" in text or "Batching rule" in text or "functorch" in text):
        return f"Lives run side by side here, which this can't: {advice}."
    if "in-place" in text or "inplace" in text:
        return "Build new tensors: `a = a - b`, never `a.sub_(b)`."
    return f"Mend {who}, or read its contract in sandbox/core/protocols.py."


def tensors(who: str, tree: Any) -> None:
    """Raises `ContractError` where what `who` has returned is no dict of tensors."""
    if not isinstance(tree, Mapping):
        raise ContractError(explain(expected=f"{who}: a dict of tensors", got=type(tree).__name__,
                                    do="Return {name: tensor, …}, or {} for nothing."))  # fmt: skip
    for name, leaf in cast(Mapping[str, Any], tree).items():
        if not isinstance(leaf, Tensor):
            raise ContractError(explain(expected=f"{who}: a tensor at '{name}'", got=repr(leaf)[:40],
                                        do=f"Wrap it: torch.tensor({leaf!r})." if isinstance(leaf, int | float) else
                                           "Return tensors alone."))  # fmt: skip


def shape_of(value: object) -> str:
    """A tensor's kind and shape for a message, or the type of anything else."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
