"""A program of the rule language as plain data, and what makes one valid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from sandbox.core.error import SandboxError, did_you_mean, explain
from sandbox.program.language import (
    BY_NAME,
    BY_SIGNATURE,
    CONSTANTS,
    DEPTH,
    INSTRUCTIONS,
    REAL,
    TAKEN,
    Kind,
    Signature,
    kind_of,
)

INPUT, CONSTANT, RESULT = 0, 8, 16  # where the registers of inputs, constants and results begin


class ProgramError(SandboxError):
    """A program that is not one of the language, or that breaks one of its laws."""


@dataclass(frozen=True)
class Instruction:
    """One operator and the registers that it is applied to."""

    operator: str
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """Instructions over registers: inputs stand from `INPUT` on, constants from `CONSTANT` on, and the result of the
    i-th instruction at `RESULT` + i. `returns` is the register of the value that is returned; `keeps` names for each
    slot of the signature the register that it holds afterwards (the slot's own: it stays as it is)."""

    signature: str
    code: tuple[Instruction, ...]
    constants: tuple[float, ...]
    returns: int
    keeps: tuple[int, ...] = ()

    @property
    def form(self) -> Signature:
        return BY_SIGNATURE[self.signature]

    @property
    def outputs(self) -> tuple[int, ...]:
        """Every register that outlives the program."""
        return (self.returns, *self.keeps)


def slot_registers(signature: Signature) -> tuple[int, ...]:
    """The register of each slot, among the inputs."""
    names = list(signature.inputs)
    return tuple(INPUT + names.index(slot) for slot in signature.slots)


def name_of(program: Program, register: int) -> str:
    """A register as it stands in the text: an input, a number or x1, x2, …"""
    if register >= RESULT:
        return f"x{register - RESULT + 1}"
    if register >= CONSTANT:
        return number(program.constants[register - CONSTANT])
    return list(program.form.inputs)[register - INPUT]


def number(value: float) -> str:
    """A constant in the fewest digits that give it back; -0 is 0."""
    return f"{value:.17g}" if not isfinite(value) else repr(value + 0.0).removesuffix(".0")


# ---- validity -------------------------------------------------------------------------------------------------------


def checked(program: Program) -> Program:
    """The program itself; raises `ProgramError` that points at the first instruction that breaks a law."""
    if program.signature not in BY_SIGNATURE:
        raise ProgramError(explain(expected="a kind of program", got=repr(program.signature),
                                   do=did_you_mean(program.signature, BY_SIGNATURE)))  # fmt: skip
    _within_limits(program)
    kinds = kinds_of(program)
    _ends(program, kinds)
    _depends(program)
    _shallow(program)
    return program


def kinds_of(program: Program) -> dict[int, Kind]:
    """{register: kind} of every value; raises `ProgramError` at the first instruction that is not typed."""
    kinds: dict[int, Kind] = {INPUT + i: kind for i, kind in enumerate(program.form.inputs.values())}
    kinds |= {CONSTANT + i: "scalar" for i in range(len(program.constants))}
    for i, each in enumerate(program.code):
        operator = BY_NAME.get(each.operator)
        if operator is None:
            raise _fault(program, i, "an operator", each.operator, did_you_mean(each.operator, BY_NAME))
        unknown = [register for register in each.operands if register not in kinds]
        if unknown:
            raise _fault(program, i, "operands that stand before it", f"register {unknown[0]}",
                         "A value is used only after its line.")  # fmt: skip
        if len(each.operands) != operator.takes:
            raise _fault(program, i, f"{operator.takes} operands", f"{len(each.operands)}", operator.about)
        found = kind_of(operator, [kinds[register] for register in each.operands])
        if found is None:
            got = ", ".join(f"{name_of(program, r)} ({kinds[r]})" for r in each.operands)
            raise _fault(program, i, f"operands that {operator.name} takes ({operator.about})", got,
                         TAKEN[operator.typed])  # fmt: skip
        kinds[RESULT + i] = found
    return kinds


def instruction_text(program: Program, i: int) -> str:
    """The i-th instruction as a line of text."""
    each = program.code[i]
    return " ".join([f"x{i + 1}", "=", each.operator, *(_shown(program, register) for register in each.operands)])


def ancestors(program: Program, *registers: int) -> frozenset[int]:
    """Every register that these depend on within one step, themselves included."""
    met, left = set[int](), list(registers)
    while left:
        register = left.pop()
        if register not in met:
            met.add(register)
            left += program.code[register - RESULT].operands if register >= RESULT else ()
    return frozenset(met)


def reaching(program: Program) -> frozenset[int]:
    """Every register on which the returned value depends in the long run: what a slot holds has come from what was kept
    there, so ways through slots are followed to their end."""
    met = ancestors(program, program.returns)
    slots = dict(zip(slot_registers(program.form), program.keeps, strict=True))
    while True:
        wider = met.union(*(ancestors(program, kept) for slot, kept in slots.items() if slot in met))
        if wider == met:
            return met
        met = wider


def depths(program: Program) -> Iterator[int]:
    """How many operators stand one after the other up to each instruction."""
    found: dict[int, int] = {}
    for i, each in enumerate(program.code):
        found[RESULT + i] = 1 + max((found.get(register, 0) for register in each.operands), default=0)
        yield found[RESULT + i]


def _within_limits(program: Program) -> None:
    for what, most, got in (("instructions", INSTRUCTIONS, len(program.code)),
                            ("constants", CONSTANTS, len(program.constants))):  # fmt: skip
        if got > most:
            raise ProgramError(explain(expected=f"at most {most} {what}", got=f"{got}", do="Shorten the program."))
    endless = [i for i, value in enumerate(program.constants) if not isfinite(value)]
    if endless:
        raise ProgramError(explain(expected="finite constants", got=f"{program.constants[endless[0]]}",
                                   do=f"Mend constant {endless[0] + 1}."))  # fmt: skip
    if len(program.keeps) != len(program.form.slots):
        raise ProgramError(explain(expected=f"{len(program.form.slots)} slots of '{program.signature}'",
                                   got=f"{len(program.keeps)}", do="Name what each slot holds then."))  # fmt: skip


def _ends(program: Program, kinds: dict[int, Kind]) -> None:
    returned = kinds.get(program.returns)
    if returned not in program.form.returns:
        raise ProgramError(explain(expected=f"'return' of {' or '.join(program.form.returns)}",
                                   got=f"{returned or f'register {program.returns}'}",
                                   do=f"'{program.signature}' is averaged afterwards."
                                   if "loss" in program.signature else "An update returns a direction."))  # fmt: skip
    for slot, kept in zip(program.form.slots, program.keeps, strict=True):
        if kinds.get(kept) != "parameters":
            raise ProgramError(explain(expected=f"weights to keep in {slot}", got=f"{kinds.get(kept) or kept}",
                                       do="A slot has one number for each weight."))  # fmt: skip
    assert set(kinds.values()) <= {*REAL, "label"}


def _depends(program: Program) -> None:
    """The result must depend on what the program is about."""
    names, met = list(program.form.inputs), reaching(program)
    missing = [name for name in program.form.must if INPUT + names.index(name) not in met]
    if missing:
        raise ProgramError(explain(expected=f"a result that depends on {' and '.join(program.form.must)}",
                                   got=f"one that never sees {missing[0]}",
                                   do="Follow the operands back from 'return'."))  # fmt: skip


def _shallow(program: Program) -> None:
    for i, depth in enumerate(depths(program)):
        if depth > DEPTH:
            raise _fault(program, i, f"at most {DEPTH} operators one after the other", f"{depth}", "Flatten it.")


def _fault(program: Program, i: int, expected: str, got: str, do: str) -> ProgramError:
    return ProgramError(
        f"instruction {i + 1}, '{instruction_text(program, i)}': {explain(expected=expected, got=got, do=do)}"
    )


def _shown(program: Program, register: int) -> str:
    try:
        return name_of(program, register) if register >= 0 else f"register {register}"
    except IndexError:
        return f"register {register}"
