"""Other words for the same program: what an A/A test puts in its place, and canonical forms must see through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sandbox.program.formulas import Formulas, seen_in
from sandbox.program.language import BY_NAME, INSTRUCTIONS
from sandbox.program.program import RESULT, Instruction, Program, kinds_of
from sandbox.program.text import parse, write

UNIFORMS = INSTRUCTIONS + 1  # that a rewriting takes


def rewritten(program: Program, uniforms: Sequence[float]) -> Program:
    """The same program with operands of commutative operators swapped, each by the toss of a uniform, and with one more
    instruction, which nothing uses; it computes the same in every bit. Goes through its text, as a proposal does."""
    code = [Instruction(each.operator, each.operands[::-1] if BY_NAME[each.operator].commutes and toss < 0.5
                        else each.operands) for each, toss in zip(program.code, uniforms, strict=False)]  # fmt: skip
    real = [register for register, kind in kinds_of(program).items() if kind != "label" and register < RESULT]
    if len(code) < INSTRUCTIONS:
        code.append(Instruction("neg", (real[int(uniforms[-1] * len(real))],)))
    return parse(write(Program(program.signature, tuple(code), program.constants, program.returns, program.keeps)))


def rewriting(rule: Mapping[str, Tensor], uniforms: Sequence[float]) -> dict[str, Tensor]:
    """{path: value} that puts one phi's programs in force in other words; empty where it has none."""
    if "constants" not in rule or not {"loss", "update"} & set(rule):
        return {}
    visible = {f"rule/{name}": leaf for name, leaf in rule.items()}
    now = seen_in(visible)
    return Formulas(tuple((kind, rewritten(program, uniforms)) for kind, program in now.programs)).edit(visible)


def rewritings(rows: Sequence[Mapping[str, Tensor]], uniforms: Tensor) -> dict[str, Tensor]:
    """The same for several phi, one row of uniforms [rows, UNIFORMS] each: {path: [rows, ...]}."""
    found = [rewriting(row, toss) for row, toss in zip(rows, uniforms.tolist(), strict=True)]
    return {path: torch.stack([one[path] for one in found]) for path in found[0]}
