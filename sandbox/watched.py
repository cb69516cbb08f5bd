"""A member under watch: every call is made twice, and must answer alike, write nothing, keep nothing, draw nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sandbox.core.contract import contract
from sandbox.core.error import ContractError, explain
from sandbox.core.needs import Needs
from sandbox.core.random import generators, untouched

METHODS = ("init", "draws", "drawn", "slots", "loss", "update", "readable", "place", "ask", "tell", "vary", "draw",
           "sample", "objective", "human", "temper", "apply", "frozen", "buffers", "call", "decide",
           "read")  # fmt: skip


class Watched:
    """Stands in a member's place. Raises `ContractError` naming the method that is no pure function of what it is
    handed. `calls` keeps the arguments of each method's last call."""

    def __init__(self, member: Any) -> None:
        self.member, self.calls = member, dict[str, tuple[Any, ...]]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["member"], name)
        if name == "needs" and isinstance(found, Needs):
            return replace(found, vmapped=False)  # row by row, so that what is handed over can be looked at
        return self._twice(name, found) if name in METHODS and callable(found) else found

    def _twice(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        who = f"{type(self.member).__name__}.{name}"

        def called(*handed: Any, **named: Any) -> Any:
            self.calls[name] = handed
            before, own, drawn = copied(handed), copied(vars_of(self.member)), generators()
            with contract(who, "what its seam in sandbox/core/protocols.py says"):
                first = method(*handed, **named)
            if generators() != drawn:
                raise _impure(who, "a draw from a global generator", "All randomness is drawn beforehand: use the "
                              "`noise` that is handed in.")  # fmt: skip
            if name != "read" and not same(before, handed):  # a probe keeps what meters share
                raise _impure(who, "a write into what it was handed", "Build new tensors: `a = a - b`, never `a -= b`.")
            if not same(own, vars_of(self.member)):
                raise _impure(who, "something kept on the object", "Nothing outlives a call but what it returns: keep "
                              "it in psi, in slots or in the gate's memory.")  # fmt: skip
            with untouched():
                torch.manual_seed(1)
                random.seed(1)
                np.random.seed(1)
                again = method(*handed, **named)
            if not same(first, again):
                raise _impure(who, "another answer to the same question", "It keeps something between calls, or draws "
                              "it; a run can then be neither repeated nor resumed.")  # fmt: skip
            return first

        return called


def watched(member: Any) -> Any:
    """The member under watch, under its own class's name."""
    return type(type(member).__name__, (Watched,), {})(member)


def _impure(who: str, got: str, do: str) -> ContractError:
    return ContractError(explain(expected=f"{who} to be a pure function of what it is handed", got=got, do=do))


def vars_of(member: Any) -> dict[str, Any]:
    """What an object keeps: its attributes, and a network's buffers and weights."""
    found = dict(getattr(member, "__dict__", {}))
    for name, value in list(found.items()):
        if isinstance(value, torch.nn.Module):
            found[name] = dict(value.state_dict())
    return found


def copied(tree: Any) -> Any:
    """The same values in tensors and containers of their own; what is neither is kept as it is."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, Mapping):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple | set | frozenset):
        return [copied(value) for value in (tree if isinstance(tree, list | tuple) else sorted(tree, key=repr))]
    if is_dataclass(tree) and not isinstance(tree, type):
        return {field.name: copied(getattr(tree, field.name, None)) for field in fields(tree)}
    return tree


def same(one: Any, other: Any) -> bool:
    """Whether two trees hold the same, bit for bit; NaN is itself."""
    one, other = copied(one), copied(other)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype
        return alike and bool(torch.equal(torch.nan_to_num(one, 0.123), torch.nan_to_num(other, 0.123)))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, Sequence) and not isinstance(one, str | bytes) and isinstance(other, Sequence):
        return len(one) == len(other) and all(map(same, one, other))
    try:
        return one is other or bool(one == other)
    except Exception:  # what can't be compared is taken for itself
        return True
