"""Any system as a step on one flat state, with named leaves and a declared partition into outer and inner.

A state is a tensor, an array, a number, an `nn.Module`, or mappings and sequences of these. A leaf's path joins keys by
"/" and then a module's own dotted names: {"net": nn.Linear(2, 1), "lr": lr} has the leaves net/weight, net/bias and lr.
Leaves that are not floating point (counters, positions) have no derivative: they are handed to the step as declared,
and advance only where the step is repeated (`whole`). A leaf that requires a gradient is handed out so: a step that
differentiates by its own learning rate declares it with one.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sandbox.measure.array import members
from sandbox.measure.error import wrong

LARGEST = 2**53  # the largest whole number up to which a flat float64 state holds all
Step = Callable[[Any], Any]
"""One reflective step: takes a copy of the state, returns the state after it in the same form, or changes the copy in
place and returns None."""


@dataclass(frozen=True)
class Leaf:
    """One varied array of the state: its path, and its coordinates start..stop in the flat state."""

    path: str
    start: int
    stop: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    taped: bool  # a tensor, so that derivatives can run through it

    @property
    def coordinates(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True, eq=False)
class System:
    """A step on a flat float64 state [n]. `sides` marks the outer coordinates, those of `discrete` leaves last."""

    step: Step
    state: Any
    leaves: tuple[Leaf, ...]
    discrete: tuple[Leaf, ...]
    sides: NDArray[np.bool_]
    seed: int = 0

    @property
    def whole(self) -> System:
        """The same with its discrete leaves as coordinates after the others: for running it, not for derivatives. Those
        that no outer path covers are inner."""
        return replace(self, leaves=self.leaves + self.discrete, discrete=())

    @property
    def n(self) -> int:
        return self.leaves[-1].stop

    @property
    def outer(self) -> NDArray[np.bool_]:
        """[n]: which coordinates belong to the process; the rest is inner."""
        return self.sides[: self.n]

    @property
    def flat(self) -> Tensor:
        """[n]: the state as it was declared."""
        found = dict(_walk(self.state))
        return torch.cat([_tensor(found[leaf.path]).detach().double().reshape(-1) for leaf in self.leaves])

    def lived(self, flat: Tensor) -> Tensor:
        """[n]: F, the flat state after one step from `flat` [n], with no tape."""
        handed, _ = _build(self.state, self._pieces(flat), tape=False)
        with _fixed_generators(self.seed):
            after = self.step(handed)
        return self._collect(handed if after is None else after).detach()

    def rounded(self, flat: Tensor) -> Tensor:
        """[n]: a flat state as the step is handed it, in the dtypes of its leaves."""
        return torch.cat([piece.double().reshape(-1) for piece in self._pieces(flat).values()])

    def taped(self) -> tuple[list[Tensor], Tensor] | None:
        """The leaves handed out, and the flat state after one step [n], with the tape between them; None where the
        step works in place or on what no tape runs through."""
        if not all(leaf.taped for leaf in self.leaves):
            return None
        handed, given = _build(self.state, self._pieces(self.flat), tape=True)
        with torch.enable_grad(), _fixed_generators(self.seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a tape that is cut: `derivative.missed` says it of this step
            after = self.step(handed)
        if after is None:
            return None
        flat = self._collect(after)
        return ([given[leaf.path] for leaf in self.leaves], flat) if flat.requires_grad else None

    def indices(self, paths: str | Iterable[str]) -> NDArray[np.int64]:
        """Coordinates of the leaves that the paths cover: a leaf's own path, or a part of it up to a "/" or a "."."""
        paths = (paths,) if isinstance(paths, str) else tuple(paths)
        for path in paths:
            if not any(_covers(path, leaf.path) for leaf in self.leaves):
                raise wrong(expected="the path of a leaf, or its beginning", got=f"'{path}'",
                            do=f"Leaves: {', '.join(leaf.path for leaf in self.leaves)}.")  # fmt: skip
        chosen = [leaf for leaf in self.leaves if any(_covers(path, leaf.path) for path in paths)]
        return np.concatenate([np.arange(leaf.start, leaf.stop) for leaf in chosen])

    def _pieces(self, flat: Tensor) -> dict[str, Tensor]:
        pieces = {leaf.path: flat[leaf.coordinates].reshape(leaf.shape) for leaf in self.leaves}
        whole = [leaf.path for leaf in self.leaves if not leaf.dtype.is_floating_point]
        pieces |= {path: pieces[path].round() for path in whole}
        return {leaf.path: pieces[leaf.path].to(leaf.dtype) for leaf in self.leaves}

    def _collect(self, after: Any) -> Tensor:
        found = dict(_walk(after))
        new = found.keys() - {path for path, _ in _walk(self.state)}
        if new:
            raise wrong(expected="the declared leaves after the step", got=f"new ones: {', '.join(sorted(new))}",
                        do="Give what grows its full size from the start.")  # fmt: skip
        pieces: list[Tensor] = []
        for leaf in self.leaves:
            if leaf.path not in found:
                raise wrong(expected=f"a step that returns the leaf '{leaf.path}'", got=f"{', '.join(found) or 'none'}",
                            do="Return the state in the form it came in, or change it and return None.")  # fmt: skip
            piece = _tensor(found[leaf.path])
            if tuple(piece.shape) != leaf.shape:
                raise wrong(expected=f"'{leaf.path}' {list(leaf.shape)} after the step", got=f"{list(piece.shape)}",
                            do="A step may not change shapes.")  # fmt: skip
            pieces.append(piece.double().reshape(-1))
        return torch.cat(pieces)


def declare(step: Step, state: Any, outer: Any, *, inner: Any = None, seed: int = 0) -> System:
    """A step and its state with the partition `outer`: paths, or for a flat state a mask [n] or indices.

    `inner` may be named too, and must then cover what is left. The step must be a function of the state: whatever it
    draws from the global generators of Python, NumPy and torch is the same at every call (`seed`); a generator of its
    own must be made inside it. Raises where a path covers nothing, where outer and inner overlap or leave a leaf out,
    where a side is empty, where the state or its successor is not finite, and where two calls differ.
    """
    leaves, discrete = _leaves(state)
    if not leaves:
        raise wrong(expected="a state with floating-point leaves", got=type(state).__name__,
                    do="Pass a tensor, an nn.Module, or a mapping of these.")  # fmt: skip
    n = leaves[-1].stop
    whole = System(step, state, leaves + discrete, (), np.zeros(0, bool))
    side = _mask(whole, outer)
    members(side[:n], n)
    if inner is not None:
        rest = _mask(whole, inner)
        for fault, where in (("both outer and inner", side & rest), ("neither", (~side & ~rest)[:n])):
            if where.any():
                names = [leaf.path for leaf in whole.leaves if where[leaf.coordinates].any()]
                raise wrong(expected="every leaf on one side", got=f"{', '.join(names)} on {fault}",
                            do="Name each leaf once, or leave `inner` out: it is the rest.")  # fmt: skip
    system = System(step, state, leaves, discrete, side, seed)
    once, again = system.lived(system.flat), system.lived(system.flat)
    for name, flat in (("before", system.flat), ("after", once)):
        if not flat.isfinite().all():
            bad = [leaf.path for leaf in leaves if not flat[leaf.coordinates].isfinite().all()]
            raise wrong(expected=f"a finite state {name} the step", got=f"NaN or infinity in {', '.join(bad)}",
                        do="Measure an earlier state, or a smaller learning rate.")  # fmt: skip
    if not torch.equal(once, again):
        bad = [leaf.path for leaf in leaves if not torch.equal(once[leaf.coordinates], again[leaf.coordinates])]
        raise wrong(expected="a function of the state", got=f"two calls that differ in {', '.join(bad)}",
                    do="Make its generator inside the step, and put its memory into the state.")  # fmt: skip
    return system


def _leaves(state: Any) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
    """The leaves that are varied, and the discrete ones, whose coordinates come after them."""
    found = [(path, value, _tensor(value)) for path, value in _walk(state)]
    for path, _, tensor in found:
        if tensor.is_complex() or (
            not tensor.is_floating_point() and tensor.numel() and tensor.double().abs().max() > LARGEST
        ):
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


def _mask(system: System, side: Any) -> NDArray[np.bool_]:
    """[n]: a side, from paths, or as given for a flat state."""
    mask = np.zeros(system.n, bool)
    if isinstance(side, str) or (isinstance(side, Sequence) and all(isinstance(path, str) for path in side)):
        paths = (side,) if isinstance(side, str) else side
        if len(paths):
            mask[system.indices(paths)] = True
        return mask
    return members(np.arange(system.n)[side] if isinstance(side, slice) else side, system.n)


def _covers(path: str, leaf: str) -> bool:
    return leaf == path or leaf.startswith((f"{path}/", f"{path}."))


def _walk(state: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path."""
    if isinstance(state, nn.Module):
        named = (*state.named_parameters(), *state.named_buffers())
        yield from ((prefix + name, value) for name, value in named)
    elif isinstance(state, Mapping | list | tuple):
        for key, value in _keyed(state):
            deeper = isinstance(value, nn.Module | Mapping | list | tuple)
            yield from _walk(value, f"{prefix}{key}/" if deeper else f"{prefix}{key}")
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


def _build(state: Any, pieces: Mapping[str, Tensor], *, tape: bool, prefix: str = "") -> tuple[Any, dict[str, Tensor]]:
    """A copy of the state with its varied leaves replaced, and the tensors that stand in it, by path."""
    if isinstance(state, nn.Module):
        return _build_module(state, pieces, tape=tape, prefix=prefix)
    if isinstance(state, Mapping | list | tuple):
        built: dict[Any, Any] = {}
        given: dict[str, Tensor] = {}
        for key, value in _keyed(state):
            deeper = isinstance(value, nn.Module | Mapping | list | tuple)
            inside = f"{prefix}{key}/" if deeper else f"{prefix}{key}"
            built[key], more = _build(value, pieces, tape=tape, prefix=inside)
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
    return (piece.numpy().astype(state.dtype) if isinstance(state, np.ndarray) else type(state)(piece)), {}


def _build_module(module: nn.Module, pieces: Mapping[str, Tensor], *, tape: bool, prefix: str) -> tuple[nn.Module, Any]:
    copy = deepcopy(module)
    given: dict[str, Tensor] = {}
    for name, value in (*copy.named_parameters(), *copy.named_buffers()):
        if prefix + name in pieces:
            value.data = pieces[prefix + name].detach().clone()
            given[prefix + name] = value.requires_grad_(value.is_floating_point() and (tape or value.requires_grad))
    return copy, given


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.as_tensor(value, dtype=torch.float64 if isinstance(value, float) else None)


@contextmanager
def _fixed_generators(seed: int) -> Iterator[None]:
    """The same draws from the global generators at every call, and the caller's own untouched."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
