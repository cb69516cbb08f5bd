"""Any system as a step on one flat state, with named leaves and a declared partition into outer and inner.

Leaves that are not floating point (counters, positions) have no derivative: they are handed to the step as declared,
and advance only where the step is repeated (`with_discrete`). A leaf that requires a gradient is handed out so: a step
that differentiates by its own learning rate declares it with one. What a state may be is said in `state`.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sandbox.measure.array import members
from sandbox.measure.error import wrong
from sandbox.measure.state import Leaf, build, collect, leaves_of, tensor_of, walk

Step = Callable[[Any], Any]
"""One reflective step: takes a copy of the state, returns the state after it in the same form, or changes the copy in
place and returns None."""


@dataclass(frozen=True, eq=False)
class System:
    """A step on a flat float64 state [n]. `sides` marks the outer coordinates, those of `discrete` leaves last. Every
    call of the step happens within `around()`."""

    step: Step
    state: Any
    leaves: tuple[Leaf, ...]
    discrete: tuple[Leaf, ...]
    sides: NDArray[np.bool_]
    seed: int = 0
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def with_discrete(self) -> System:
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
        found = dict(walk(self.state))
        return torch.cat([tensor_of(found[leaf.path]).detach().double().reshape(-1) for leaf in self.leaves])

    def lived(self, flat: Tensor, at: int = 0) -> Tensor:
        """[n]: F, the flat state after one step from `flat` [n], with no tape. The draws of step number `at` of a
        course are its own, and those of number 0 are what derivatives are taken with."""
        handed, _ = build(self.state, self._pieces(flat), tape=False)
        with self.around(), _fixed_generators(_seed(self.seed, at)):
            after = self.step(handed)
        return collect(handed if after is None else after, self.state, self.leaves).detach()

    def beside(self, flat: Tensor) -> Tensor | None:
        """[n]: the update from `flat` [n], a state beside the declared one; None where a foreign step fails there,
        however it does, and where it is not finite."""
        try:
            update = self.lived(flat) - self.rounded(flat)
        except Exception:
            return None
        return update if bool(update.isfinite().all()) else None

    def at(self, number: int) -> System:
        """The same with the draws of step `number` of a course."""
        return replace(self, seed=_seed(self.seed, number))

    def rounded(self, flat: Tensor) -> Tensor:
        """[n]: a flat state as the step is handed it, in the dtypes of its leaves."""
        return torch.cat([piece.double().reshape(-1) for piece in self._pieces(flat).values()])

    def taped(self) -> tuple[list[Tensor], Tensor] | None:
        """The leaves handed out, and the flat state after one step [n], with the tape between them; None where the
        step works in place or on what no tape runs through."""
        if not all(leaf.taped for leaf in self.leaves):
            return None
        handed, given = build(self.state, self._pieces(self.flat), tape=True)
        with torch.enable_grad(), self.around(), _fixed_generators(self.seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a tape that is cut: `derivative.missed` says it of this step
            after = self.step(handed)
        if after is None:
            return None
        flat = collect(after, self.state, self.leaves)
        return ([given[leaf.path] for leaf in self.leaves], flat) if flat.requires_grad else None

    def draws(self) -> bool:
        """Whether the step draws from the global generators of Python, NumPy or torch."""
        handed, _ = build(self.state, self._pieces(self.flat), tape=False)
        with self.around(), _fixed_generators(self.seed):
            before = _generators()
            self.step(handed)
            return before != _generators()

    def indices(self, paths: str | Iterable[str]) -> NDArray[np.int64]:
        """Coordinates of the leaves that the paths cover: a leaf's own path, or a part of it up to a "/" or a "."."""
        named = (paths,) if isinstance(paths, str) or not isinstance(paths, Iterable) else tuple(paths)
        if not all(isinstance(path, str) for path in named):
            raise wrong(expected="paths of leaves, or their beginnings", got=f"{paths!r}"[:80],
                        do=f"Leaves: {', '.join(leaf.path for leaf in self.leaves)}.")  # fmt: skip
        for path in named:
            if not any(_covers(path, leaf.path) for leaf in self.leaves):
                raise wrong(expected="the path of a leaf, or its beginning", got=f"'{path}'",
                            do=f"Leaves: {', '.join(leaf.path for leaf in self.leaves)}.")  # fmt: skip
        chosen = [leaf for leaf in self.leaves if any(_covers(path, leaf.path) for path in named)]
        return np.concatenate([np.arange(leaf.start, leaf.stop) for leaf in chosen])

    def _pieces(self, flat: Tensor) -> dict[str, Tensor]:
        pieces = {leaf.path: flat[leaf.coordinates].reshape(leaf.shape) for leaf in self.leaves}
        whole = [leaf.path for leaf in self.leaves if not leaf.dtype.is_floating_point]
        pieces |= {path: pieces[path].round() for path in whole}
        return {leaf.path: pieces[leaf.path].to(leaf.dtype) for leaf in self.leaves}


def declare(step: Step, state: Any, outer: Any, *, inner: Any = None, seed: int = 0) -> System:
    """A step and its state with the partition `outer`: paths, or for a flat state a mask [n] or indices.

    `inner` may be named too, and must then cover what is left. The step must be a function of the state: whatever it
    draws from the global generators of Python, NumPy and torch is the same at every call (`seed`); a generator of its
    own must be made inside it. Raises where a path covers nothing, where outer and inner overlap or leave a leaf out,
    where a side is empty, where the state or its successor is not finite, and where two calls differ.
    """
    leaves, discrete = leaves_of(state)
    if not leaves:
        raise wrong(expected="a state with floating-point leaves", got=type(state).__name__,
                    do="Pass a tensor, an nn.Module, or a mapping of these.")  # fmt: skip
    n = leaves[-1].stop
    whole = System(step, state, leaves + discrete, (), np.zeros(0, bool))
    side = _mask(whole, outer)
    if side.any() and not side[:n].any():
        raise wrong(expected="an outer that has a derivative", got="whole numbers or truth values alone",
                    do="Pass 3.0 for 3, if it may vary; else only `cut.loop_cut` can say what it does.")  # fmt: skip
    members(side[:n], n)
    if inner is not None:
        rest = _mask(whole, inner)
        for fault, where in (("both outer and inner", side & rest), ("neither", (~side & ~rest)[:n])):
            if where.any():
                names = [leaf.path for leaf in whole.leaves if where[leaf.coordinates].any()]
                raise wrong(expected="every leaf on one side", got=f"{', '.join(names)} on {fault}",
                            do="Name each leaf once, or leave `inner` out: it is the rest.")  # fmt: skip
    system = System(step, state, leaves, discrete, side, seed)
    if not system.flat.isfinite().all():
        raise _not_finite(system, system.flat, "before")
    once, again = system.lived(system.flat), system.lived(system.flat)
    if not once.isfinite().all():
        raise _not_finite(system, once, "after")
    if not torch.equal(once, again):
        bad = [leaf.path for leaf in leaves if not torch.equal(once[leaf.coordinates], again[leaf.coordinates])]
        raise wrong(expected="a function of the state", got=f"two calls that differ in {', '.join(bad)}",
                    do="Make its generator inside the step, and put its memory into the state.")  # fmt: skip
    return system


def _not_finite(system: System, flat: Tensor, when: str) -> ValueError:
    bad = [leaf.path for leaf in system.leaves if not flat[leaf.coordinates].isfinite().all()]
    return wrong(expected=f"a finite state {when} the step", got=f"NaN or infinity in {', '.join(bad)}",
                 do="Measure an earlier state, or a smaller learning rate.")  # fmt: skip


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


def _seed(seed: int, at: int) -> int:
    """What step number `at` of a course draws from; of number 0 the seed itself."""
    return int(np.random.SeedSequence([seed, at]).generate_state(1)[0]) if at else seed


def _generators() -> tuple[Any, ...]:
    """The states of the global generators, as something that can be compared."""
    kind, keys, *rest = np.random.get_state()
    return random.getstate(), kind, np.asarray(keys).tobytes(), rest, torch.get_rng_state().tolist()


@contextmanager
def _fixed_generators(seed: int) -> Iterator[None]:
    """The same draws from the global generators at every call, and the caller's own untouched."""
    python, numpy = random.getstate(), np.random.get_state()
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=cuda):
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
