"""Formulas as graphs, in which equal values are one. Every value is a sign and a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite

import torch

from sandbox.program.language import BY_NAME, CODES, Kind, Signature, kind_of
from sandbox.program.operators import EACH

Ref = tuple[int, int]  # sign, node
Rule = Callable[["Graph", tuple[Ref, ...]], Ref | None]  # what an operator on these values is; None: as it stands


@dataclass(frozen=True)
class Node:
    """An operator on values, an input (by its place) or a constant (by its value). `key` orders nodes and is the same
    in every graph that holds the same formula."""

    operator: str
    operands: tuple[Ref, ...]
    kind: Kind
    key: tuple[int, int, float, str]
    value: float = 0.0


@dataclass
class Graph:
    """Values over the inputs of one kind of program, rewritten by `rules`, one an operator. Without rules equal values
    are one and the operands of commutative operators ordered, and that is all: nothing gets longer or deeper then.
    `zeros` are the places of inputs that are always 0."""

    signature: Signature
    rules: Mapping[str, Rule]
    zeros: frozenset[int] = frozenset()
    nodes: list[Node] = field(default_factory=list[Node])
    known: dict[tuple[str, tuple[Ref, ...], float], int] = field(default_factory=dict)

    def input(self, place: int) -> Ref:
        kind = list(self.signature.inputs.values())[place]
        return 1, self._node("input", (), kind, (1, 0, float(place), ""), float(place))

    def constant(self, value: float) -> Ref:
        sign, size = (-1, -value) if value < 0 and self.rules else (1, value + 0.0)
        return sign, self._node("constant", (), "scalar", (0, 0, size, ""), size)

    def make(self, operator: str, operands: tuple[Ref, ...]) -> Ref:
        """The value of an operator on values that it takes."""
        if self.rules:
            operands = self._unsigned(operands)
            found = self._folded(operator, operands)
            found = self.rules[operator](self, operands) if found is None and operator in self.rules else found
            if found is not None:
                return found
        return self.plain(operator, operands)

    def plain(self, operator: str, operands: tuple[Ref, ...]) -> Ref:
        """The value of an operator on values as they are."""
        operands = self._unsigned(operands)
        if BY_NAME[operator].commutes:
            operands = tuple(sorted(operands, key=self.order))
        kind = self.kind(operator, operands)
        words = " ".join(f"{sign}{self.nodes[node].key}" for sign, node in operands)
        text = blake2b(f"{operator} {words}".encode(), digest_size=16).hexdigest()
        size = 1 + sum(self.nodes[node].key[1] for _, node in operands)
        return 1, self._node(operator, operands, kind, (2, size, CODES[operator], text))

    def kind(self, operator: str, operands: tuple[Ref, ...]) -> Kind:
        """The kind of an operator's result."""
        kinds: list[Kind] = [self.nodes[node].kind for _, node in operands]
        kind = kind_of(BY_NAME[operator], kinds)
        assert kind is not None, f"{operator} of {kinds}"
        return kind

    def fits(self, ref: Ref, operator: str, operands: tuple[Ref, ...]) -> bool:
        """Whether a value can stand for the result by its kind; probabilities are outputs."""
        kinds = {self.nodes[ref[1]].kind, self.kind(operator, operands)}
        return len(kinds) == 1 or kinds == {"output", "probability"}

    def order(self, ref: Ref) -> tuple[tuple[int, int, float, str], int]:
        """Constants come first, then inputs, then results, of which the short ones come first."""
        return self.nodes[ref[1]].key, -ref[0]

    def number(self, ref: Ref) -> float | None:
        """What a value is, where that is a constant."""
        sign, node = ref
        return sign * self.nodes[node].value + 0.0 if self.nodes[node].operator == "constant" else None

    def zero(self, ref: Ref) -> bool:
        """Whether a value is always 0."""
        node = self.nodes[ref[1]]
        return node.operator in ("constant", "input") and (
            node.value == 0 if node.operator == "constant" else node.value in self.zeros
        )

    def void(self, ref: Ref) -> bool:
        """Whether a value is x - x, which has no sign."""
        operands = self.nodes[ref[1]].operands
        return bool(self.rules) and self.nodes[ref[1]].operator == "add" and operands[0] == negated(operands[1])

    def of(self, ref: Ref, operator: str) -> tuple[Ref, ...] | None:
        """The operands of a value where it is the result of this operator, sign aside."""
        node = self.nodes[ref[1]]
        return node.operands if node.operator == operator else None

    def vanishes(self, ref: Ref) -> bool:
        """Whether a value is never negative and has derivative 0 wherever it is 0, so that |a| is a."""
        sign, number = ref
        node = self.nodes[number]
        if sign < 0:
            return False
        if node.operator in ("add", "mul", "sum_out", "mean_out"):
            return all(self.vanishes(operand) for operand in node.operands)
        return node.operator in ("constant", "abs", "square", "sqrt", "exp", "sigmoid", "softplus", "softmax", "norm")

    def _unsigned(self, operands: tuple[Ref, ...]) -> tuple[Ref, ...]:
        return tuple((1, ref[1]) if self.void(ref) else ref for ref in operands)

    def _folded(self, operator: str, operands: tuple[Ref, ...]) -> Ref | None:
        """An operator on constants alone, computed in float64 as the interpreter computes it."""
        numbers = [number for ref in operands if (number := self.number(ref)) is not None]
        if operator not in EACH or len(numbers) < len(operands):
            return None
        given = [torch.tensor([number], dtype=torch.float64) for number in numbers]
        found = float(EACH[operator](*given))
        return self.constant(found) if isfinite(found) else None

    def _node(self, operator: str, operands: tuple[Ref, ...], kind: Kind, key: tuple[int, int, float, str],
              value: float = 0.0) -> int:  # fmt: skip
        at = (operator, operands, value)
        if at not in self.known:
            self.known[at] = len(self.nodes)
            self.nodes.append(Node(operator, operands, kind, key, value))
        return self.known[at]


def negated(ref: Ref) -> Ref:
    """-a."""
    return -ref[0], ref[1]
