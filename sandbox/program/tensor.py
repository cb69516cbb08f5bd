"""A program as two tensors, so that all that holds for numbers in the state holds for programs: edits, digests,
checkpoints, going back, yoking, and populations as one more axis.

`code` [2 + INSTRUCTIONS, 1 + OPERANDS] int64 begins with a row (version, kind of program, returned register, number of
instructions) and one of the registers that slots keep; then each row is one instruction: the code of its operator and
its operands. Unused places are 0. `constants` [CONSTANTS] are floats, 0 where unused.
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from sandbox.core.error import explain
from sandbox.program.language import BY_NAME, CODES, CONSTANTS, INSTRUCTIONS, OPERANDS, OPERATORS, SIGNATURES
from sandbox.program.program import CONSTANT, Instruction, Program, ProgramError, checked

VERSION = 1
SHAPE = (2 + INSTRUCTIONS, 1 + OPERANDS)


def encode(program: Program, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """`code` and `constants` of a valid program."""
    code = np.zeros(SHAPE, dtype=np.int64)
    kind = next(i for i, signature in enumerate(SIGNATURES) if signature.name == program.signature)
    code[0] = VERSION, kind, program.returns, len(program.code)
    code[1, : len(program.keeps)] = program.keeps
    for i, each in enumerate(program.code):
        code[2 + i, : 1 + len(each.operands)] = CODES[each.operator], *each.operands
    constants = torch.zeros(CONSTANTS, dtype=dtype)
    constants[: len(program.constants)] = torch.tensor(program.constants, dtype=dtype)
    return torch.from_numpy(code), constants


def decode(code: Tensor, constants: Tensor) -> Program:
    """The program that two tensors hold; raises `ProgramError` that points at what is wrong.

    Constants are read in the fewest digits that give back what their dtype holds.
    """
    if code.shape != SHAPE or code.dtype != torch.int64 or constants.shape != (CONSTANTS,):
        raise ProgramError(explain(expected=f"int64 {list(SHAPE)} and {CONSTANTS} constants",
                                   got=f"{code.dtype} {list(code.shape)} and {list(constants.shape)}",
                                   do="Use sandbox.program.tensor.encode."))  # fmt: skip
    numbers = tuple(float(str(value)) + 0.0 for value in constants.detach().cpu().numpy())
    shape = structure(code.cpu().numpy().tobytes())
    used = 1 + max((register - CONSTANT for register in _registers(shape) if _constant(register)), default=-1)
    return checked(Program(shape.signature, shape.code, numbers[:used], shape.returns, shape.keeps))


def lost(program: Program, dtype: torch.dtype) -> list[float]:
    """The constants that a dtype can't hold: what is infinite in it, and what is 0 in it and none in the program."""
    numbers = torch.tensor(program.constants, dtype=dtype).tolist()
    return [a for a, b in zip(program.constants, numbers, strict=True) if not isfinite(b) or (a and not b)]


def held(program: Program, dtype: torch.dtype) -> Program:
    """The program as tensors of that dtype give it back; raises `ProgramError` where they can't hold a constant."""
    if gone := lost(program, dtype):
        raise ProgramError(explain(expected=f"constants that {dtype} can hold", got=f"{gone[0]:g}",
                                   do="Use a number nearer to 1."))  # fmt: skip
    return decode(*encode(program, dtype))


@lru_cache(maxsize=65536)
def structure(code: bytes) -> Program:
    """The valid program in the bytes of a code tensor, with zeros for constants; raises `ProgramError`."""
    rows = np.frombuffer(code, dtype=np.int64).reshape(SHAPE)
    version, kind, returns, count = (int(word) for word in rows[0])
    if version != VERSION:
        raise ProgramError(explain(expected=f"version {VERSION} of the language", got=f"{version}",
                                   do="The first number of the first row says it."))  # fmt: skip
    if not 0 <= kind < len(SIGNATURES) or not 0 <= count <= INSTRUCTIONS:
        raise ProgramError(explain(
            expected=f"a kind of program below {len(SIGNATURES)} and at most {INSTRUCTIONS} instructions",
            got=f"{kind} and {count}",
            do="The first row holds version, kind, returned register and length."))  # fmt: skip
    signature = SIGNATURES[kind]
    slots = len(signature.slots)
    instructions = tuple(_instruction(row, i) for i, row in enumerate(rows[2 : 2 + count].tolist()))
    if rows[2 + count :].any() or rows[1, slots:].any():
        raise ProgramError(explain(expected="0 in every place that the program doesn't use", got="other numbers",
                                   do="One program is one tensor: unused places are 0."))  # fmt: skip
    draft = Program(signature.name, instructions, (), returns, tuple(int(word) for word in rows[1, :slots]))
    named = [register - CONSTANT for register in _registers(draft) if _constant(register)]
    return checked(Program(draft.signature, draft.code, (0.0,) * (1 + max(named, default=-1)), returns, draft.keeps))


def _instruction(row: list[int], i: int) -> Instruction:
    if not 1 <= row[0] <= len(OPERATORS):
        raise ProgramError(explain(expected=f"an operator from 1 to {len(OPERATORS)} in instruction {i + 1}",
                                   got=f"{row[0]}", do="See sandbox.program.language.OPERATORS."))  # fmt: skip
    operator = OPERATORS[row[0] - 1]
    if any(row[1 + operator.takes :]):
        raise ProgramError(explain(expected=f"{operator.takes} operands of {operator.name} in instruction {i + 1}",
                                   got=f"{row[1:]}", do="Unused operands are 0."))  # fmt: skip
    return Instruction(operator.name, tuple(row[1 : 1 + BY_NAME[operator.name].takes]))


def _registers(program: Program) -> list[int]:
    return [*(register for each in program.code for register in each.operands), *program.outputs]


def _constant(register: int) -> bool:
    return CONSTANT <= register < CONSTANT + CONSTANTS
