"""One form for all programs that say the same by the algebra of the language, and the identity that comes of it.

Dead code and dead slots are dropped, equal values computed once, constants folded and merged, operands ordered, slots
and results numbered by first use. What the algebra can't tell apart from another formula (sums grouped in another way,
say) stays apart here, and is caught by the fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import permutations

from sandbox.program.algebra import RULES
from sandbox.program.graph import Graph, Ref, Rule, negated
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
from sandbox.program.text import write

PASSES = 8  # of the rules at most; two have been enough for all programs that were tried
TURNS = {"min": ("max", 0), "max": ("min", 0), "where": ("where", 1), "ema": ("ema", 0)}
"""-op(a, b, …) is the first of both at (-a, -b, …), from the place named second on (and of a mean not the share)."""


@lru_cache(maxsize=65536)
def canonical(program: Program) -> Program:
    """The canonical form of a valid program, which is valid itself.

    A program near a limit (24 instructions, 10 deep, 8 constants) that the algebra would carry beyond it, or of which
    it would show that the result does not depend on what it must, is only cleared of what is dead or there twice. A
    slot that dies on the way is 0 for what was kept from it, so the rules are applied until nothing changes.
    """
    for _ in range(PASSES):
        program, before = _once(program), program
        if program == before:
            break
    return program


def _once(program: Program) -> Program:
    """One pass of the rules, the best of all ways to name the slots."""
    for rules in (RULES, {}):
        found = [one for renamed in _renamings(program) if (one := _rewritten(program, rules, renamed)) is not None]
        if found:
            return min(found, key=_rank)
    return program


def identity(program: Program) -> str:
    """The hash of the canonical text: programs that share it are one formula."""
    return blake2b(write(canonical(program)).encode(), digest_size=8).hexdigest()


def _renamings(program: Program) -> Iterator[Mapping[int, int]]:
    """Every way to name the slots, which all begin at 0: {place of a slot: its new place}."""
    slots = slot_registers(program.form)
    written = [kept for slot, kept in zip(slots, program.keeps, strict=True) if kept != slot]
    used = {register for each in program.code for register in each.operands} | {program.returns, *written}
    free = [slot for slot in slots if slot in used]
    for order in permutations(slots, len(free)) if written else [free]:
        yield dict(zip(free, order, strict=True))


def _rewritten(program: Program, rules: Mapping[str, Rule], renamed: Mapping[int, int]) -> Program | None:
    """The program as the rules have it, its slots renamed; None where that is no valid program."""
    slots = slot_registers(program.form)
    keeps = dict(zip(slots, program.keeps, strict=True))
    still = frozenset(place for slot, place in renamed.items() if keeps[slot] == slot)
    graph = Graph(program.form, rules, still)
    values = {INPUT + place: graph.input(renamed.get(place, place)) for place in range(len(program.form.inputs))}
    values |= {CONSTANT + i: graph.constant(value) for i, value in enumerate(program.constants)}
    for i, each in enumerate(program.code):
        values[RESULT + i] = graph.make(each.operator, tuple(values[register] for register in each.operands))
    kept = {place: values[keeps[slot]] for slot, place in renamed.items()}
    emitted = _Emitted(graph)
    try:
        return checked(emitted.program(values[program.returns], _living(graph, values[program.returns], kept)))
    except ProgramError:
        return None


def _living(graph: Graph, returns: Ref, kept: Mapping[int, Ref]) -> dict[int, Ref]:
    """What is kept in slots on which the result depends in the long run."""
    met, left = set[int](), [returns[1]]
    while left:
        number = left.pop()
        if number not in met:
            met.add(number)
            node = graph.nodes[number]
            left += [operand for _, operand in node.operands]
            left += [kept[int(node.value)][1]] if node.operator == "input" and int(node.value) in kept else []
    read = {int(graph.nodes[number].value) for number in met if graph.nodes[number].operator == "input"}
    return {slot: ref for slot, ref in kept.items() if slot in read}


@dataclass
class _Emitted:
    """Values of a graph written as instructions, each once."""

    graph: Graph
    code: list[Instruction] = field(default_factory=list[Instruction])
    constants: list[float] = field(default_factory=list[float])
    known: dict[Ref, int] = field(default_factory=dict[Ref, int])

    def program(self, returns: Ref, keeps: Mapping[int, Ref]) -> Program:
        slots = slot_registers(self.graph.signature)
        result = self.register(returns)
        after = {slot: self.register(keeps[slot]) for slot in slots if slot in keeps}
        draft = Program(self.graph.signature.name, tuple(self.code), tuple(self.constants), result,
                        tuple(after.get(slot, slot) for slot in slots))  # fmt: skip
        return _numbered(draft)

    def register(self, ref: Ref) -> int:
        ref = (1, ref[1]) if self.graph.void(ref) else ref
        if ref not in self.known:
            self.known[ref] = self._written(ref)
        return self.known[ref]

    def _written(self, ref: Ref) -> int:
        sign, node = ref[0], self.graph.nodes[ref[1]]
        number = self.graph.number(ref)
        if number is not None:
            if number not in self.constants:
                self.constants.append(number)
            return CONSTANT + self.constants.index(number)
        if sign < 0:
            return self._negative(ref)
        if node.operator == "input":
            return INPUT + int(node.value)
        if node.operator == "add" and node.operands[1][0] < 0:
            return self._instruction("sub", (node.operands[0], negated(node.operands[1])))
        if node.operator == "add" and self._free(node.operands[0]):
            return self._instruction("add", node.operands[::-1])
        return self._instruction(node.operator, node.operands)

    def _negative(self, ref: Ref) -> int:
        """-a, where that can be written without a line of its own."""
        node = self.graph.nodes[ref[1]]
        a, b = node.operands[:2] if len(node.operands) > 1 else (ref, ref)
        if node.operator == "add" and b[0] < 0:
            return self._instruction("sub", (negated(b), a))
        if node.operator == "add" and self._free(a):
            return self._instruction("sub", (negated(a), b))
        if node.operator == "mul" and self._free(a):
            return self._instruction("mul", (negated(a), b))
        if node.operator == "div" and self.graph.number(b):  # which is not 0, and so has a sign
            return self._instruction("div", (a, negated(b)))
        if node.operator in TURNS:
            operator, first = TURNS[node.operator]
            turned = tuple(negated(operand) if first <= place < first + 2 else operand
                           for place, operand in enumerate(node.operands))  # fmt: skip
            if self._lines(turned) < 1 + self._lines(node.operands):
                return self._instruction(operator, turned)
        return self._instruction("neg", (negated(ref),))

    def _free(self, ref: Ref) -> bool:
        return self.graph.number(ref) is not None

    def _lines(self, operands: Sequence[Ref]) -> int:
        return sum(ref[0] < 0 and not self._free(ref) for ref in operands)

    def _instruction(self, operator: str, operands: tuple[Ref, ...]) -> int:
        registers = tuple(self.register(operand) for operand in operands)
        self.code.append(Instruction(operator, registers))
        return RESULT + len(self.code) - 1


def _numbered(program: Program) -> Program:
    """Constants in the order of the text, as a reader of the text meets them."""
    met = [register for each in program.code for register in each.operands if CONSTANT <= register < RESULT]
    order = {old: CONSTANT + new for new, old in enumerate(dict.fromkeys(met))}
    code = tuple(Instruction(each.operator, tuple(order.get(r, r) for r in each.operands)) for each in program.code)
    constants = tuple(program.constants[old - CONSTANT] for old in order)
    return Program(program.signature, code, constants, program.returns, program.keeps)


def _rank(program: Program) -> tuple[list[int], list[tuple[str, tuple[int, ...]]], tuple[int, ...]]:
    """What orders the same program under other names of its slots: m before v before s, as they come."""
    slots = slot_registers(program.form)
    met = [register for each in program.code for register in each.operands] + [*program.outputs]
    named = [*dict.fromkeys(register for register in met if register in slots)]
    return named, [(each.operator, each.operands) for each in program.code], program.outputs
