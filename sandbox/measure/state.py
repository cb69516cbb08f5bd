"""What a state may be, its leaves by path, and copies of it with other numbers in them.

A state is a tensor, an array, a number, an `nn.Module`, or mappings and sequences of these; None holds nothing. A
leaf's path joins keys by "/" and then a module's own dotted names: {"net": nn.Linear(2, 1), "lr": lr} has the leaves
net/weight, net/bias and lr.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sandbox.measure.error import wrong

LARGEST = 2**53  # the largest whole number up to which a flat float64 state holds all


@dataclass(frozen=True)
class Leaf:
    """One varied array of the state: its path, and its coordinates start..stop in the flat state."""

    path: str
    start: int
    stop: int
    shape: tuple[int, ...]
    dtype: torch.dtype  # in which the step is handed it
    taped: bool  # a tensor, so that derivatives can run through it

    @property
    def coordinates(self) -> slice:
        return slice(self.start, self.stop)


def leaves_of(state: Any) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
    """The leaves that are varied, and the discrete ones, whose coordinates come after them. Raises where a leaf is
    none that a flat state can hold, where two have one path, and where a parameter is in two places."""
    values = list(walk(state))
    for path, value in values:
        _refuse(path, value)
    found = [(path, value, tensor_of(value, path)) for path, value in values]
    for path, _, tensor in found:
        whole = not (tensor.is_floating_point() or tensor.is_complex())
        if tensor.is_complex() or (whole and tensor.numel() and tensor.double().abs().max() > LARGEST):
            raise wrong(expected=f"'{path}' of real numbers, whole ones up to 2^53", got=f"{tensor.dtype}",
                        do="Keep real and imaginary parts apart, and large keys inside the step.")  # fmt: skip
    paths = [path for path, _, _ in found]
    shared = [id(value) for _, value, _ in found if isinstance(value, nn.Parameter)]
    for fault, twice in (("two leaves of one path", len(set(paths)) < len(paths)),
                         ("a parameter in two places", len(set(shared)) < len(shared))):  # fmt: skip
        if twice:
            raise wrong(expected="each leaf once", got=fault,
                        do="Rename keys; put modules that share weights into one nn.ModuleDict.")  # fmt: skip
    floating = [item for item in found if item[2].is_floating_point()]
    leaves, start = [], 0
    for path, value, tensor in floating + [item for item in found if not item[2].is_floating_point()]:
        if tensor.numel():
            stop = start + tensor.numel()
            leaves.append(Leaf(path, start, stop, tuple(tensor.shape), tensor.dtype, isinstance(value, Tensor)))
            start = stop
    varied = tuple(leaf for leaf in leaves if leaf.dtype.is_floating_point)
    return varied, tuple(leaves[len(varied) :])


def _refuse(path: str, value: Any) -> None:
    """Raises for a tensor whose numbers do not lie one beside the other in this machine's memory."""
    if isinstance(value, np.ma.MaskedArray):
        raise wrong(expected=f"'{path}' of plain numbers", got="a masked array", do="Pass .filled(…), or its mask too.")
    if not isinstance(value, Tensor):
        return
    faults = {
        "a lazy parameter without a shape yet": is_lazy(value),
        "a nested tensor": value.is_nested,
        "a quantised tensor": value.is_quantized,
        f"a tensor on '{value.device}'": value.device.type != "cpu",
        f"a tensor of layout {value.layout}": value.layout != torch.strided,
    }
    for fault, there in faults.items():
        if there:
            raise wrong(expected=f"'{path}' as a dense tensor in the memory of this machine", got=fault,
                        do="Run a lazy module once; use .to_dense(), .dequantize() or .cpu().")  # fmt: skip


def tensor_of(value: Any, path: str = "state") -> Tensor:
    """A leaf's value as a tensor; raises where it holds no numbers."""
    if isinstance(value, Tensor):
        return value
    try:
        if isinstance(value, np.ndarray):
            return torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        return torch.as_tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise wrong(expected=f"'{path}' of numbers that torch knows", got=str(error).split("\n")[0][:100],
                    do="Pass float64, or a whole number up to 2^53.") from error  # fmt: skip


def walk(state: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path."""
    if isinstance(state, nn.Module):
        named = (*state.named_parameters(), *state.named_buffers())
        yield from ((prefix + name, value) for name, value in named)
    elif isinstance(state, Mapping | list | tuple):
        for key, value in _keyed(state):
            deeper = isinstance(value, nn.Module | Mapping | list | tuple)
            yield from walk(value, f"{prefix}{key}/" if deeper else f"{prefix}{key}")
    elif isinstance(state, Tensor | np.ndarray | np.generic | float | int | bool):
        yield prefix or "state", state
    elif state is not None:
        raise wrong(expected="tensors, arrays, numbers, modules, and mappings or sequences of them",
                    got=f"{type(state).__name__} at '{prefix.rstrip('/')}'",
                    do="Put what the step changes into the state, and the rest into the step.")  # fmt: skip


def _keyed(state: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and values: of a mapping, of a named tuple, of a sequence by position."""
    if isinstance(state, Mapping):
        return state.items()
    return zip(getattr(state, "_fields", range(len(state))), state, strict=True)


def build(state: Any, pieces: Mapping[str, Tensor], *, tape: bool, prefix: str = "") -> tuple[Any, dict[str, Tensor]]:
    """A copy of the state with its varied leaves replaced, and the tensors that stand in it, by path. A leaf has the
    dtype of its piece."""
    if isinstance(state, nn.Module):
        return _build_module(state, pieces, tape=tape, prefix=prefix)
    if isinstance(state, Mapping | list | tuple):
        built: dict[Any, Any] = {}
        given: dict[str, Tensor] = {}
        for key, value in _keyed(state):
            deeper = isinstance(value, nn.Module | Mapping | list | tuple)
            inside = f"{prefix}{key}/" if deeper else f"{prefix}{key}"
            built[key], more = build(value, pieces, tape=tape, prefix=inside)
            given |= more
        if isinstance(state, tuple):
            kind = type(state)
            return (kind(*built.values()) if hasattr(kind, "_fields") else kind(built.values())), given
        return (built if isinstance(state, Mapping) else list(built.values())), given
    path = prefix or "state"
    if path not in pieces:
        return deepcopy(state), {}
    piece = pieces[path].detach().clone()
    if isinstance(state, Tensor):
        return piece.requires_grad_(piece.is_floating_point() and (tape or state.requires_grad)), {path: piece}
    if isinstance(state, np.ndarray | np.generic):
        return (piece.numpy() if isinstance(state, np.ndarray) else piece.numpy()[()]), {}
    return type(state)(piece.item()), {}


def _build_module(module: nn.Module, pieces: Mapping[str, Tensor], *, tape: bool, prefix: str) -> tuple[nn.Module, Any]:
    copy = deepcopy(module)
    given: dict[str, Tensor] = {}
    for name, value in (*copy.named_parameters(), *copy.named_buffers()):
        if prefix + name in pieces:
            value.data = pieces[prefix + name].detach().clone()
            given[prefix + name] = value.requires_grad_(value.is_floating_point() and (tape or value.requires_grad))
    return copy, given


def collect(after: Any, state: Any, leaves: tuple[Leaf, ...]) -> Tensor:
    """[n]: the flat state after a step; raises where it is not the declared one in form and shapes."""
    found = dict(walk(after))
    new = found.keys() - {path for path, _ in walk(state)}
    if new:
        raise wrong(expected="the declared leaves after the step", got=f"new ones: {', '.join(sorted(new))}",
                    do="Give what grows its full size from the start; an optimizer's state has it after one "
                       "step.")  # fmt: skip
    pieces: list[Tensor] = []
    for leaf in leaves:
        if leaf.path not in found:
            raise wrong(expected=f"a step that returns the leaf '{leaf.path}'", got=f"{', '.join(found) or 'none'}",
                        do="Return the state in the form it came in, or change it and return None.")  # fmt: skip
        _refuse(leaf.path, found[leaf.path])
        piece = tensor_of(found[leaf.path], leaf.path)
        if tuple(piece.shape) != leaf.shape or piece.is_complex():
            raise wrong(expected=f"'{leaf.path}' {list(leaf.shape)} after the step",
                        got=f"{list(piece.shape)} of {piece.dtype}",
                        do="A step may not change shapes, nor turn real numbers into complex ones.")  # fmt: skip
        pieces.append(piece.double().reshape(-1))
    return torch.cat(pieces)
