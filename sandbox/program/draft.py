"""A program taken apart, so that lines can come and go: values refer to each other and not to numbered registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sandbox.program.language import BY_NAME, Kind, Signature, kind_of
from sandbox.program.program import CONSTANT, INPUT, RESULT, Instruction, Program, ProgramError, checked


@dataclass(frozen=True, eq=False)
class Line:
    """An instruction: an operator and its operands, each an input's name, a number or another line."""

    operator: str
    operands: tuple[Value, ...]


Value = str | float | Line


@dataclass(frozen=True)
class Draft:
    """The lines in order, what is returned and what each slot keeps. `made` gives the program."""

    signature: Signature
    lines: tuple[Line, ...]
    outputs: tuple[Value, ...]

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Every place where a value is used: (line, operand), or (-1, output)."""
        uses = [(i, k) for i, line in enumerate(self.lines) for k in range(len(line.operands))]
        return uses + [(-1, k) for k in range(len(self.outputs))]

    def at(self, edge: tuple[int, int]) -> Value:
        """The value that is used at an edge."""
        i, k = edge
        return self.outputs[k] if i < 0 else self.lines[i].operands[k]

    def before(self, edge: tuple[int, int]) -> list[Value]:
        """The inputs and the lines that may be used at an edge."""
        i, _ = edge
        return [*self.signature.inputs, *(self.lines if i < 0 else self.lines[:i])]

    def kind(self, value: Value) -> Kind | None:
        """The kind of a value; None where it isn't typed."""
        return self._kinds({}, value)

    def put(self, changes: Mapping[tuple[int, int], Value]) -> Draft:
        """Other values at some edges: what stands before them, or new lines of such."""
        fresh: dict[Line, Line] = {}

        def through(value: Value) -> Value:
            if not isinstance(value, Line):
                return value
            if value not in fresh:
                fresh[value] = replace(value, operands=tuple(map(through, value.operands)))
            return fresh[value]

        for i, line in enumerate(self.lines):
            operands = (changes.get((i, k), value) for k, value in enumerate(line.operands))
            fresh[line] = replace(line, operands=tuple(map(through, operands)))
        return ordered(self.signature, [through(changes.get((-1, k), v)) for k, v in enumerate(self.outputs)])

    def swap_operator(self, i: int, operator: str) -> Draft:
        """Another operator in the i-th line."""
        line = replace(self.lines[i], operator=operator)
        return self.put({edge: line for edge in self.edges if self.at(edge) is self.lines[i]})

    def made(self) -> Program:
        """The program; raises `ProgramError` where it breaks a law of the language."""
        registers: dict[Line, int] = {line: RESULT + i for i, line in enumerate(self.lines)}
        constants = list(dict.fromkeys(v for line in self.lines for v in line.operands if isinstance(v, float)))
        constants = list(dict.fromkeys([*constants, *(v for v in self.outputs if isinstance(v, float))]))
        names = list(self.signature.inputs)

        def register(value: Value) -> int:
            if isinstance(value, Line):
                return registers[value]
            if isinstance(value, str):
                return INPUT + names.index(value)
            return CONSTANT + constants.index(float(value))

        code = tuple(Instruction(line.operator, tuple(map(register, line.operands))) for line in self.lines)
        returns, *keeps = (register(value) for value in self.outputs)
        return checked(Program(self.signature.name, code, tuple(constants), returns, tuple(keeps)))

    def _kinds(self, known: dict[Line, Kind | None], value: Value) -> Kind | None:
        if isinstance(value, str):
            return self.signature.inputs[value]
        if not isinstance(value, Line):
            return "scalar"
        if value not in known:
            kinds: list[Kind] = [kind for each in value.operands if (kind := self._kinds(known, each)) is not None]
            known[value] = kind_of(BY_NAME[value.operator], kinds) if len(kinds) == len(value.operands) else None
        return known[value]


@dataclass
class _Order:
    """Lines in an order in which each stands behind what it uses."""

    lines: dict[Line, None] = field(default_factory=dict[Line, None])

    def take(self, value: Value) -> None:
        if isinstance(value, Line) and value not in self.lines:
            for operand in value.operands:
                self.take(operand)
            self.lines[value] = None


def ordered(signature: Signature, outputs: Sequence[Value]) -> Draft:
    """The draft of all lines that the outputs use, and of no others."""
    order = _Order()
    for output in outputs:
        order.take(output)
    return Draft(signature, tuple(order.lines), tuple(outputs))


def drafted(program: Program) -> Draft:
    """A program taken apart, without the lines that nothing uses."""
    names, lines = list(program.form.inputs), list[Line]()

    def value(register: int) -> Value:
        if register >= RESULT:
            return lines[register - RESULT]
        return names[register - INPUT] if register < CONSTANT else float(program.constants[register - CONSTANT])

    for each in program.code:
        lines.append(Line(each.operator, tuple(map(value, each.operands))))
    return ordered(program.form, [value(register) for register in program.outputs])


def valid(draft: Draft | None) -> Program | None:
    """The program of a draft; None where it breaks a law."""
    try:
        return None if draft is None else draft.made()
    except ProgramError:
        return None
