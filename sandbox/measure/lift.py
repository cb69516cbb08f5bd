"""A step read in float64, whatever its own precision, so that derivatives are not of its rounding.

A step in float32 or bfloat16 moves its state on a grid: differences of it are coarse or 0. The same step with its
leaves in float64, and with whatever else it computes with promoted on the way (data that it holds, casts that it makes,
tensors that it creates), is the step without its rounding. It is believed where it does at the state what the step
itself does, to within that one's rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from sandbox.measure.system import System

SINGLE = float(torch.finfo(torch.float32).eps)
CASTS = {"float", "half", "bfloat16", "chalf"}  # of a tensor, to less than float64
DRAWN = {"rand", "randn", "rand_like", "randn_like", "normal", "bernoulli", "multinomial"}
DRAWN_IN_PLACE = {"normal_", "uniform_", "exponential_", "bernoulli_", "cauchy_", "log_normal_", "geometric_"}
IN_PLACE = {"__setitem__", "__set__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__"}
AS_THEY_ARE = {"__get__", "grad", "backward", "register_hook", "retain_grad", "_set_grad_enabled"}


class Float64(TorchFunctionMode):
    """Every operation in float64. Random numbers are drawn in the dtype `drawn`, as the step itself draws them, since
    the same generator gives other numbers in another one. `seen` gathers the dtypes that were promoted."""

    def __init__(self, drawn: torch.dtype, seen: set[torch.dtype]) -> None:
        super().__init__()
        self.drawn = drawn
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if torch.is_autocast_enabled("cpu"):
            self.seen.add(torch.get_autocast_dtype("cpu"))
        if name in AS_THEY_ARE:
            return func(*args, **kwargs)
        if name in DRAWN:
            return self._draw(func, args, kwargs)
        if name in DRAWN_IN_PLACE and args[0].dtype == torch.float64:
            drawn = func(torch.empty_like(args[0], dtype=self.drawn, requires_grad=False), *args[1:], **kwargs)
            return args[0].copy_(drawn)
        if name in CASTS:
            self.seen.add(getattr(torch, name, torch.float16))
            return args[0].double() if args[0].is_floating_point() else func(*args, **kwargs).double()
        kwargs = {key: value if key == "out" else self.promoted(value) for key, value in kwargs.items()}
        if name in IN_PLACE or (name.endswith("_") and not name.endswith("__")):
            return func(args[0], *self.promoted(args[1:]), **kwargs)
        return func(*self.promoted(args), **kwargs)

    def promoted(self, value: Any) -> Any:
        """Tensors and dtypes of less than double precision, in whatever they are nested, in double precision."""
        if not isinstance(value, Tensor | torch.dtype):
            return _within(value, self.promoted)
        own = value if isinstance(value, torch.dtype) else value.dtype
        if _double(own) == own:
            return value
        self.seen.add(own)
        return value.to(_double(own)) if isinstance(value, Tensor) else _double(own)

    def _draw(self, func: Any, args: Any, kwargs: Any) -> Any:
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.drawn)
        try:
            drawn = func(*_cast(args, self.drawn), **_cast(kwargs, self.drawn))
        finally:
            torch.set_default_dtype(before)
        if not drawn.is_floating_point():
            return drawn
        return drawn.detach().double().requires_grad_(drawn.requires_grad) if drawn.is_leaf else drawn.double()


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Tensors of float64 in `dtype`, and that dtype itself."""
    if value is torch.float64:
        return dtype
    if isinstance(value, Tensor):
        return value.to(dtype) if value.dtype == torch.float64 else value
    return _within(value, partial(_cast, dtype=dtype))


def _within(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [change(each) for each in value]
    if type(value) is tuple:
        return tuple(change(each) for each in value)
    return {key: change(each) for key, each in value.items()} if type(value) is dict else value


def _double(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


@contextmanager
def in_float64(drawn: torch.dtype, seen: set[torch.dtype]) -> Iterator[None]:
    """What is computed within, and what is created, is in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    mode = Float64(drawn, seen)
    promoted = register_module_forward_pre_hook(lambda _, given: mode.promoted(given))  # some look at dtypes first
    try:
        with mode:
            yield
    finally:
        promoted.remove()
        torch.set_default_dtype(before)


@dataclass(frozen=True, eq=False)
class Lifted:
    """The `system` to take derivatives of, whether it is `lifted` (another one than was declared), `why` a step that
    computes in less than float64 could not be, or "", the rounding `unit` of the coarsest dtype that was met, and the
    leaves whose update its own rounding hides, so that nothing shows whether it is the same in float64 (`unjudged`)."""

    system: System
    lifted: bool
    why: str
    unit: float
    unjudged: tuple[str, ...] = ()


def coarsest(system: System) -> float:
    """The rounding unit of the coarsest leaf."""
    return max(float(torch.finfo(leaf.dtype).eps) for leaf in system.leaves)


def lift(system: System, *, seed: int = 0) -> Lifted:
    """The system in float64, if the step runs so and agrees with itself. A step that computes in float64 throughout is
    returned as it is.

    Agreement: no number's update differs by more than rounding may change it, taken as 4 units of its own leaf's dtype
    at its size, and as 20 times a unit of the coarsest dtype that the step computes in: of the leaf's update, and what
    such a change of the whole state changes in it. Where that is as much as the update itself, agreement says nothing
    (`unjudged`).
    """
    default = torch.get_default_dtype()
    own, lived = coarsest(system), system.lived(system.flat)
    why = ""
    for drawn in dict.fromkeys((default, torch.float64) if own > 1e-15 else (torch.float64, default)):
        leaves = tuple(replace(leaf, dtype=torch.float64) for leaf in system.leaves)
        seen = set[torch.dtype]()
        higher = replace(system, leaves=leaves, around=partial(in_float64, drawn, seen))
        try:
            found = higher.lived(higher.flat)
        except Exception as error:  # whatever a foreign step does with dtypes that it doesn't expect
            why = why or f"in float64 the step fails: {str(error).splitlines()[0][:80] if str(error) else type(error)}"
            continue
        if own < 1e-15 and torch.equal(found, lived):
            return Lifted(system, False, "", own)
        unit = max([own, *(float(torch.finfo(dtype).eps) for dtype in seen)])
        units = _units(system, lived, seen)
        allowed = _rounding(system, higher, found, units, unit=max(unit, SINGLE), seed=seed)
        if bool(((found - lived).abs() <= allowed).all()):
            return Lifted(higher, True, "", unit, _unjudged(system, found, allowed))
        why = why or "in float64 the step does something else"
    return Lifted(system, False, why, own)


def _units(system: System, lived: Tensor, seen: set[torch.dtype]) -> Tensor:
    """[n]: the rounding unit of each number after a step: of its leaf's dtype, or of a coarser one that was `seen` and
    holds it to the last bit, as it does what was cast on the way."""
    own = torch.zeros_like(lived)
    for leaf in system.leaves:
        own[leaf.coordinates] = float(torch.finfo(leaf.dtype).eps)
    for dtype in (dtype for dtype in seen if dtype.is_floating_point):
        unit = float(torch.finfo(dtype).eps)
        own = torch.where(lived.to(dtype).double() == lived, own.clamp(min=unit), own)
    return own


def _rounding(
    system: System, higher: System, found: Tensor, own: Tensor, *, unit: float, seed: int
) -> Tensor:  # fmt: skip
    """[n]: how much rounding may change the state after a step, `found` [n] by the `higher` system, where its numbers
    have the units `own` [n] and what is computed on the way has `unit`."""
    flat, generator = higher.flat, torch.Generator().manual_seed(seed)
    units = torch.zeros_like(flat)
    for leaf in system.leaves:
        units[leaf.coordinates] = unit if leaf.taped else float(torch.finfo(leaf.dtype).eps)
    spread = torch.zeros_like(flat)
    for _ in range(3):
        signs = 2 * torch.randint(2, flat.shape, generator=generator, dtype=torch.float64) - 1
        update = higher.beside(flat * (1 + units * signs))
        if update is not None:
            spread = torch.maximum(spread, (update - (found - flat)).abs())
    for leaf in system.leaves:
        spread[leaf.coordinates] = spread[leaf.coordinates].max()
        spread[leaf.coordinates] += unit * (found - flat)[leaf.coordinates].abs().max()
    return 20 * spread + 4 * own * torch.maximum(flat.abs(), found.abs())


def _unjudged(system: System, found: Tensor, allowed: Tensor) -> tuple[str, ...]:
    """The leaves that move, but by no more than what is allowed for rounding."""
    moves, least = (found - system.flat).abs(), 1e-12 * torch.maximum(found.abs(), system.flat.abs())
    return tuple(leaf.path for leaf in system.leaves
                 if bool((moves > least)[leaf.coordinates].any())
                 and float(moves[leaf.coordinates].norm()) < float(allowed[leaf.coordinates].norm()))  # fmt: skip
