"""What the rule language makes of nonsense: random bytes, mutated texts and tensors, random programs lived."""

from __future__ import annotations

from random import Random

from sandbox.program.language import (
    BY_SIGNATURE,
    INSTRUCTIONS,
    OPERATORS,
    SIGNATURES,
    Kind,
    Signature,
    kind_of,
)
from sandbox.program.program import (
    CONSTANT,
    INPUT,
    RESULT,
    Instruction,
    Program,
    ProgramError,
    checked,
    slot_registers,
)

NUMBERS = (0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 0.9, 1e-8, 3.0, -7.25)


def random_lines(signature: str, rng: Random, *, longest: int = INSTRUCTIONS) -> Program:
    """A valid program of lines drawn blindly, so with dead and repeated ones; the last values that fit are returned and
    kept. Draws again where nothing valid comes of it."""
    while True:
        try:
            return checked(_lines(BY_SIGNATURE[signature], rng, rng.randint(2, longest)))
        except ProgramError:
            continue


def any_signature(rng: Random) -> str:
    """The name of a kind of program."""
    return rng.choice(SIGNATURES).name


def _lines(form: Signature, rng: Random, count: int) -> Program:
    constants = tuple(rng.sample(NUMBERS, rng.randint(0, 4)))
    kinds: dict[int, Kind] = {INPUT + i: kind for i, kind in enumerate(form.inputs.values())}
    kinds |= {CONSTANT + i: "scalar" for i in range(len(constants))}
    code: list[Instruction] = []
    while len(code) < count:
        operator = rng.choice(OPERATORS)
        registers = sorted(kinds)
        operands = tuple(rng.choice(registers[-6:] if rng.random() < 0.6 else registers) for _ in range(operator.takes))
        kind = kind_of(operator, [kinds[register] for register in operands])
        if kind is not None:
            kinds[RESULT + len(code)] = kind
            code.append(Instruction(operator.name, operands))
    fit = [register for register, kind in kinds.items() if kind in form.returns]
    weights = [register for register, kind in kinds.items() if kind == "parameters"]
    keeps = tuple(slot if rng.random() < 0.4 else rng.choice(weights[-5:]) for slot in slot_registers(form))
    return Program(form.name, tuple(code), constants, rng.choice(fit[-3:]), keeps)
