"""A program as text, for people, files and language models, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite

from sandbox.core.error import did_you_mean, explain
from sandbox.program.language import BY_NAME, BY_SIGNATURE, CONSTANTS, INSTRUCTIONS, TAKEN, Kind, Signature, kind_of
from sandbox.program.program import (
    CONSTANT,
    INPUT,
    RESULT,
    Instruction,
    Program,
    ProgramError,
    checked,
    instruction_text,
    name_of,
    slot_registers,
)

NAME = re.compile(r"[A-Za-z_]\w*\Z")
LONGEST = 4000  # characters; no program of the language comes near


def write(program: Program) -> str:
    """The text of a valid program: its kind, an instruction a line, what slots keep, and what is returned."""
    lines = [program.signature, *(f"  {instruction_text(program, i)}" for i in range(len(program.code)))]
    for slot, own, kept in zip(program.form.slots, slot_registers(program.form), program.keeps, strict=True):
        if kept != own:
            lines.append(f"  keep {slot} {name_of(program, kept)}")
    return "\n".join([*lines, f"  return {name_of(program, program.returns)}"])


def parse(text: str) -> Program:
    """The program that a text says; raises `ProgramError` that names the line.

    The first line is the kind of program. Then come lines `name = operator operand …`, for an update `keep slot value`,
    and at the end `return value`. An operand is an input, a name that stands before, or a number; `#` begins a comment,
    and `;` may stand for the end of a line.
    """
    if len(text) > LONGEST:
        raise ProgramError(explain(expected=f"at most {LONGEST} characters", got=f"{len(text)}", do="Shorten it."))
    lines = [
        (n, line)
        for n, raw in enumerate(text.replace(";", "\n").splitlines(), start=1)
        if (line := raw.partition("#")[0].split())
    ]
    if not lines or " ".join(lines[0][1]) not in BY_SIGNATURE:
        got = " ".join(lines[0][1])[:60] if lines else "nothing"
        raise ProgramError(explain(expected="a first line that says the kind of program", got=repr(got),
                                   do=did_you_mean(got, BY_SIGNATURE)))  # fmt: skip
    draft = _Draft(BY_SIGNATURE[" ".join(lines[0][1])])
    for n, words in lines[1:]:
        try:
            draft.take(words)
        except ProgramError as error:
            raise ProgramError(f"line {n}, '{' '.join(words)[:80]}': {error}") from None
    return draft.done()


@dataclass
class _Draft:
    """A program in the making."""

    signature: Signature
    code: list[Instruction] = field(default_factory=list[Instruction])
    constants: list[float] = field(default_factory=list[float])
    names: dict[str, int] = field(default_factory=dict[str, int])
    keeps: dict[str, int] = field(default_factory=dict[str, int])
    kinds: dict[int, Kind] = field(default_factory=dict[int, Kind])
    returns: int | None = None

    def __post_init__(self) -> None:
        self.names = {name: INPUT + i for i, name in enumerate(self.signature.inputs)}
        self.kinds = {INPUT + i: kind for i, kind in enumerate(self.signature.inputs.values())}

    def take(self, words: list[str]) -> None:
        """One more line."""
        if self.returns is not None:
            raise ProgramError(explain(expected="nothing after 'return'", got="a line", do="Return at the end."))
        if len(words) == 2 and words[0] == "return":
            self.returns = self._operand(words[1])
        elif len(words) == 3 and words[0] == "keep":
            if words[1] not in self.signature.slots:
                raise ProgramError(explain(expected="a slot", got=f"'{words[1]}'",
                                           do=did_you_mean(words[1], self.signature.slots)))  # fmt: skip
            if words[1] in self.keeps:
                raise ProgramError(explain(expected=f"'keep {words[1]}' once", got="twice", do="Keep one value."))
            self.keeps[words[1]] = self._operand(words[2])
        elif len(words) >= 3 and words[1] == "=":
            self._instruction(words[0], words[2], words[3:])
        else:
            raise ProgramError(explain(expected="'name = operator operand …', 'keep slot value' or 'return value'",
                                       got="another line", do="One operator a line."))  # fmt: skip

    def done(self) -> Program:
        """The program; raises `ProgramError` where it is not valid."""
        if self.returns is None:
            raise ProgramError(explain(expected="a last line 'return value'", got="none", do="Add it."))
        slots = zip(self.signature.slots, slot_registers(self.signature), strict=True)
        keeps = tuple(self.keeps.get(slot, own) for slot, own in slots)
        return checked(Program(self.signature.name, tuple(self.code), tuple(self.constants), self.returns, keeps))

    def _instruction(self, name: str, operator: str, operands: list[str]) -> None:
        if not NAME.match(name) or name in self.signature.inputs or name in ("keep", "return"):
            raise ProgramError(explain(expected="a new name", got=f"'{name[:40]}'", do="x1, x2, …, say."))
        if name in self.names:
            raise ProgramError(explain(expected="a new name", got=f"'{name[:40]}' again",
                                       do="Each value has a name of its own: x1, x2, …"))  # fmt: skip
        if operator not in BY_NAME:
            raise ProgramError(explain(expected="an operator", got=f"'{operator[:40]}'",
                                       do=did_you_mean(operator, BY_NAME)))  # fmt: skip
        if len(operands) != BY_NAME[operator].takes:
            raise ProgramError(explain(
                expected=f"{BY_NAME[operator].takes} operands of {operator}", got=f"{len(operands)}",
                do=f"{operator} is {BY_NAME[operator].about}."))  # fmt: skip
        if len(self.code) == INSTRUCTIONS:
            raise ProgramError(explain(expected=f"at most {INSTRUCTIONS} instructions", got="more", do="Shorten it."))
        registers = tuple(self._operand(word) for word in operands)
        kinds: list[Kind] = [self.kinds.get(register, "scalar") for register in registers]
        found = kind_of(BY_NAME[operator], kinds)
        if found is None:
            got = ", ".join(f"{word} ({kind})" for word, kind in zip(operands, kinds, strict=True))
            raise ProgramError(explain(expected=f"operands that {operator} takes ({BY_NAME[operator].about})", got=got,
                                       do=TAKEN[BY_NAME[operator].typed]))  # fmt: skip
        self.code.append(Instruction(operator, registers))
        self.names[name] = RESULT + len(self.code) - 1
        self.kinds[self.names[name]] = found

    def _operand(self, word: str) -> int:
        if word in self.names:
            return self.names[word]
        try:
            value = float(word)
        except ValueError:
            raise ProgramError(explain(
                expected="an input, a name that stands before, or a number", got=f"'{word[:40]}'",
                do=did_you_mean(word[:40], self.names))) from None  # fmt: skip
        lost = not value and any(digit in word.lower().partition("e")[0] for digit in "123456789")
        if not isfinite(value) or lost or "_" in word:
            raise ProgramError(explain(expected="a number that float64 can hold", got=f"'{word[:40]}'",
                                       do="Write it out, neither larger nor smaller."))  # fmt: skip
        value += 0.0  # -0 is 0
        if value not in self.constants:
            if len(self.constants) == CONSTANTS:
                raise ProgramError(explain(expected=f"at most {CONSTANTS} different numbers", got="more",
                                           do="Use some of them twice."))  # fmt: skip
            self.constants.append(value)
        return CONSTANT + self.constants.index(value)
