"""Running programs: over many lives at once, those with the same program as one group.

Authors of rules write for one life; `torch.func.vmap` adds the axis of lives. Programs differ from life to life, so the
interpreter has to see all of them: `torch.autograd.Function` lets it say what it does under vmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.func import debug_unwrap

from sandbox.program.language import Kind
from sandbox.program.operators import EACH, FUNCTIONS, Function
from sandbox.program.program import CONSTANT, INPUT, RESULT, Instruction, ancestors, kinds_of
from sandbox.program.tensor import structure

WIDTH: dict[Kind, int] = {"scalar": 0, "example": 1, "label": 1, "parameters": 1, "output": 2, "probability": 2}


def run(code: Tensor, constants: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What the program in `code` and `constants` returns for the `inputs` of its kind, and what its slots hold then.

    Values have the dimensions of their kinds (`sandbox.program.language.Kind`); of a loss, one number an example [n] is
    returned, the mean over outputs where the program returns them. Differentiable in constants and inputs, as often as
    wanted. Raises `ProgramError` for what is no program.
    """
    return _run(0, code, constants, inputs)


def run_rows(code: Tensor, constants: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """As `run`, for a program and inputs in each row: everything has one more dimension in front. The programs are of
    one kind."""
    return _run(1, code, constants, inputs)


def _run(lead: int, code: Tensor, constants: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """As `run`, where everything has `lead` more dimensions in front."""
    if debug_unwrap(code) is not code:  # some vmap is still around us, and hides programs from each other
        return _Vmapped.apply(lead, code, constants, *inputs)  # pyright: ignore[reportCallIssue]
    rows = code.shape[:lead]
    flat = [value.reshape(rows.numel(), *value.shape[lead:]) for value in (code, constants, *inputs)]
    found = _grouped(flat[0], flat[1], flat[2:])
    return tuple(value.reshape(*rows, *value.shape[1:]) for value in found)


class _Vmapped(torch.autograd.Function):
    """The interpreter as vmap meets it: it takes the axis of vmap in front, and goes on without vmap. What it computes
    there is ordinary torch, which differentiates itself. Torch wants a `forward` of every such function; nobody calls
    this one, for `_run` comes here under vmap alone, and `vmap` answers there."""

    @staticmethod
    def forward(lead: int, code: Tensor, constants: Tensor, *inputs: Tensor) -> Any:
        raise NotImplementedError("call `run`: outside of vmap it needs no function of its own")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        raise NotImplementedError("see `forward`")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], lead: int, *values: Tensor) -> Any:
        front = [value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
                 for value, dim in zip(values, in_dims[1:], strict=True)]  # fmt: skip
        found = _run(lead + 1, front[0], front[1], front[2:])
        return found, (0,) * len(found)


def _grouped(codes: Tensor, constants: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Programs [rows, …] of one kind on inputs [rows, …]: each different program once, on all rows that hold it.
    Outputs of networks [rows, n, C] are turned, so that classes come first."""
    groups = _groups(codes.detach().cpu().numpy().tobytes(), codes.shape[0])
    first = groups.plans[0]
    values = [constants, *(value.mT if wide else value for value, wide in zip(inputs, first.wide, strict=True))]
    if len(groups.plans) == 1:
        return _interpret(first, values)
    to, back = (None if order is None else order.to(codes.device) for order in (groups.order, groups.back))
    parts = zip(*((value if to is None else value[to]).split(groups.sizes) for value in values), strict=True)
    found = [_interpret(plan, part) for plan, part in zip(groups.plans, parts, strict=True)]
    piled = [torch.cat(each) for each in zip(*found, strict=True)]
    return tuple(each if back is None else each[back] for each in piled)


@dataclass(frozen=True)
class _Plan:
    """A program as it is run: the registers that outlive it (`outputs`), which inputs are `wide` (outputs of a
    network), which `constants` are used, and for each instruction whose result is used its register, its function and
    its operands, each with the index that gives it the dimensions that it broadcasts by."""

    outputs: tuple[int, ...]
    wide: list[bool]
    constants: list[int]
    steps: list[tuple[int, Function, list[tuple[int, tuple[Any, ...]]]]]


@dataclass(frozen=True)
class _Groups:
    """Rows by the programs that they hold: a plan for each program, how many rows each has, the order that brings rows
    of one program together, and the one that brings them back; None where they are in order."""

    plans: list[_Plan]
    sizes: list[int]
    order: Tensor | None
    back: Tensor | None


@lru_cache(maxsize=64)
def _groups(codes: bytes, rows: int) -> _Groups:
    size, members = len(codes) // rows, dict[bytes, list[int]]()
    for row in range(rows):
        members.setdefault(codes[row * size : (row + 1) * size], []).append(row)
    order = torch.tensor([row for group in members.values() for row in group])
    straight = bool((order == torch.arange(rows)).all())
    plans, sizes = [_plan(code) for code in members], [len(group) for group in members.values()]
    return _Groups(plans, sizes, *((None, None) if straight else (order, order.argsort())))


@lru_cache(maxsize=65536)
def _plan(code: bytes) -> _Plan:
    program = structure(code)
    used, kinds = ancestors(program, *program.outputs), kinds_of(program)
    steps = [(RESULT + i, FUNCTIONS[each.operator], _aligned(each, kinds)) for i, each in enumerate(program.code)
             if RESULT + i in used]  # fmt: skip
    wide = [WIDTH[kind] == 2 for kind in program.form.inputs.values()]
    return _Plan(program.outputs, wide, [r for r in sorted(used) if CONSTANT <= r < RESULT], steps)


def _aligned(each: Instruction, kinds: dict[int, Kind]) -> list[tuple[int, tuple[Any, ...]]]:
    """Operands that broadcast: one number a row along all that the widest has, one an example along its outputs."""
    widest = max((WIDTH[kinds[register]] for register in each.operands), default=0)
    found: list[tuple[int, tuple[Any, ...]]] = []
    for register in each.operands:
        missing = widest - WIDTH[kinds[register]] if each.operator in EACH else 0
        found.append((register, (slice(None), *[None] * missing) if missing else ()))
    return found


def _interpret(plan: _Plan, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One program on rows [g, …] of constants and inputs."""
    constants, values = given[0], dict(enumerate(given[1:], start=INPUT))
    for register in plan.constants:
        values[register] = constants[:, register - CONSTANT]
    for register, function, operands in plan.steps:
        values[register] = function(*[values[r][to] if to else values[r] for r, to in operands])
    returned, *kept = (values[register] for register in plan.outputs)
    if returned.dim() == 3:  # one shape for all programs of a kind, so that lives with different ones fit in one batch
        returned = returned.squeeze(1) if returned.shape[1] == 1 else returned.mean(dim=1)
    return returned, *kept
