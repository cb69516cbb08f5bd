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
from sandbox.program.operators import EACH, FUNCTIONS, Function, aligned
from sandbox.program.program import CONSTANT, INPUT, RESULT, Program, ancestors, kinds_of
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
    there is ordinary torch, which differentiates itself."""

    @staticmethod
    def forward(lead: int, code: Tensor, constants: Tensor, *inputs: Tensor) -> Any:
        raise NotImplementedError("the interpreter runs under vmap alone here")

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
    """Programs [rows, …] on inputs [rows, …]: each different program once, on all rows that hold it."""
    groups = _groups(codes.detach().cpu().numpy().tobytes(), codes.shape[0])
    if len(groups.programs) == 1:
        return _interpret(groups.programs[0], constants, inputs)
    to, back = (None if order is None else order.to(codes.device) for order in (groups.order, groups.back))
    sorted_ = [value if to is None else value[to] for value in (constants, *inputs)]
    parts = zip(*(value.split(groups.sizes) for value in sorted_), strict=True)
    found = [_interpret(program, *_headed(part)) for program, part in zip(groups.programs, parts, strict=True)]
    piled = [torch.cat(each) for each in zip(*found, strict=True)]
    return tuple(each if back is None else each[back] for each in piled)


def _headed(values: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
    return values[0], values[1:]


@dataclass(frozen=True)
class _Groups:
    """Rows by the programs that they hold: the programs, how many rows each has, the order that brings rows of one
    program together, and the one that brings them back; None where they are in order."""

    programs: list[Program]
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
    back = None if straight else order.argsort()
    return _Groups([structure(code) for code in members], [len(group) for group in members.values()],
                   None if straight else order, back)  # fmt: skip


def _interpret(program: Program, constants: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One program on rows [g, …]; outputs of networks [g, n, C] are turned, so that classes come first."""
    plan, kinds, used = _plan(program)
    values = {INPUT + i: value.mT if WIDTH[kinds[INPUT + i]] == 2 else value for i, value in enumerate(inputs)}
    values |= {register: constants[:, register - CONSTANT] for register in used}
    for register, function, operands, unlike in plan:
        given = [values[operand] for operand in operands]
        values[register] = function(*(aligned(unlike, given) if unlike else given))
    returned, *kept = (values[register] for register in program.outputs)
    # One shape for all programs of a kind, so that lives with different ones fit into one batch.
    return returned.mean(dim=1) if WIDTH[kinds[program.returns]] == 2 else returned, *kept


_Step = tuple[int, Function, tuple[int, ...], Sequence[Kind]]


@lru_cache(maxsize=65536)
def _plan(program: Program) -> tuple[list[_Step], dict[int, Kind], list[int]]:
    """The instructions whose results are used (register, function, operands, and their kinds where they must be
    aligned), the kind of each register, and the constants that are used."""
    used, kinds = ancestors(program, *program.outputs), kinds_of(program)
    plan: list[_Step] = []
    for i, each in enumerate(program.code):
        if RESULT + i in used:
            given: list[Kind] = [kinds[register] for register in each.operands]
            unlike = each.operator in EACH and len({WIDTH[kind] for kind in given}) > 1
            plan.append((RESULT + i, FUNCTIONS[each.operator], each.operands, given if unlike else []))
    return plan, kinds, [register for register in sorted(used) if CONSTANT <= register < RESULT]
