"""Running programs: over many lives at once, those with the same program as one group.

Authors of rules write for one life; `torch.func.vmap` adds the axis of lives. Programs differ from life to life, so the
interpreter has to see all of them: `torch.autograd.Function` lets it say what it does under vmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.func import debug_unwrap

from sandbox.program.language import Kind
from sandbox.program.operators import apply
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
    rows = codes.detach().cpu().numpy()
    groups: dict[bytes, list[int]] = {}
    for row, code in enumerate(rows):
        groups.setdefault(code.tobytes(), []).append(row)
    if len(groups) == 1:
        return _interpret(structure(next(iter(groups))), constants, inputs)
    found: list[tuple[Tensor, ...]] = []
    for code, members in groups.items():
        at = torch.tensor(members, device=codes.device)
        found.append(_interpret(structure(code), constants[at], [value[at] for value in inputs]))
    order = torch.tensor([row for members in groups.values() for row in members]).argsort().to(codes.device)
    return tuple(torch.cat(parts)[order] for parts in zip(*found, strict=True))


def _interpret(program: Program, constants: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One program on rows [g, …]; outputs of networks [g, n, C] are turned, so that classes come first."""
    plan, kinds = _plan(program)
    values = {INPUT + i: _turned(value, kinds[INPUT + i]) for i, value in enumerate(inputs)}
    values |= {CONSTANT + i: constants[:, i] for i in range(len(program.constants))}
    for register, operator, operands in plan:
        values[register] = apply(operator, [kinds[r] for r in operands], [values[r] for r in operands])
    returned, *kept = (values[register] for register in program.outputs)
    # One shape for all programs of a kind, so that lives with different ones fit into one batch.
    return returned.mean(dim=1) if WIDTH[kinds[program.returns]] == 2 else returned, *kept


@lru_cache(maxsize=65536)
def _plan(program: Program) -> tuple[list[tuple[int, str, tuple[int, ...]]], dict[int, Kind]]:
    """The instructions whose results are used, and the kind of each register."""
    used = ancestors(program, *program.outputs)
    plan = [(RESULT + i, each.operator, each.operands) for i, each in enumerate(program.code) if RESULT + i in used]
    return plan, kinds_of(program)


def _turned(value: Tensor, kind: Kind) -> Tensor:
    return value.mT if WIDTH[kind] == 2 else value
