"""The rule language: its types, its operators and what each kind of program is handed.

A program has no loops and no branches. Each instruction applies one operator to values that stand before it; the last
line says which value is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["scalar", "example", "output", "probability", "label", "parameters"]
"""scalar: one number. example [n]: one an example. output [n, C]: one an example and output. probability [n, C]: an
output that sums to 1 over C. label [n]: a class. parameters [P]: one for each weight of the network, in one row."""

Typing = Literal["each", "softmax", "log_softmax", "gather", "one_hot", "outputs", "reduce", "pair", "clip", "shape"]

INSTRUCTIONS = 24  # limits of a program
DEPTH = 10  # operators one after the other, on the longest way from an input to the end
CONSTANTS = 8
OPERANDS = 3


@dataclass(frozen=True)
class Operator:
    """An operator: how many operands it `takes`, how it is `typed`, whether their order matters, and what it does in
    words that a proposer of programs reads."""

    name: str
    takes: int
    typed: Typing
    about: str
    commutes: bool = False


OPERATORS: tuple[Operator, ...] = (
    Operator("add", 2, "each", "a + b", commutes=True),
    Operator("sub", 2, "each", "a - b"),
    Operator("mul", 2, "each", "a · b", commutes=True),
    Operator("div", 2, "each", "a / b, where |b| counts as 1e-12 at least"),
    Operator("aq", 2, "each", "a / √(1 + b²)"),
    Operator("min", 2, "each", "the smaller of a and b", commutes=True),
    Operator("max", 2, "each", "the larger of a and b", commutes=True),
    Operator("neg", 1, "each", "-a"),
    Operator("abs", 1, "each", "|a|"),
    Operator("square", 1, "each", "a²"),
    Operator("sqrt", 1, "each", "√|a|, with slope 0 at 0"),
    Operator("log", 1, "each", "ln of |a|, which counts as 1e-7 at least"),
    Operator("exp", 1, "each", "e^a, with a between -30 and 30"),
    Operator("tanh", 1, "each", "tanh a"),
    Operator("sigmoid", 1, "each", "1 / (1 + e^-a)"),
    Operator("softplus", 1, "each", "ln(1 + e^a)"),
    Operator("sign", 1, "each", "-1, 0 or 1"),
    Operator("where", 3, "each", "b where a > 0, else c"),
    Operator("clip", 3, "each", "a, but b at least and c at most"),
    Operator("ema", 3, "each", "c · a + (1 - c) · b: a running mean a that keeps the share c and takes b"),
    Operator("softmax", 1, "softmax", "probabilities over the outputs of an example"),
    Operator("log_softmax", 1, "log_softmax", "their logarithms"),
    Operator("gather", 2, "gather", "of each example, the output a of its label b"),
    Operator("one_hot", 2, "one_hot", "1 at the label a and 0 at the others, shaped like the outputs b"),
    Operator("mean_out", 1, "outputs", "the mean over the outputs of an example"),
    Operator("sum_out", 1, "outputs", "the sum over the outputs of an example"),
    Operator("norm", 1, "reduce", "√Σa² over all weights"),
    Operator("dot", 2, "pair", "Σab over all weights", commutes=True),
    Operator("cosine", 2, "pair", "Σab / (norm a · norm b) over all weights", commutes=True),
    Operator("clip_by_norm", 2, "clip", "a, shortened to a norm of |b| where it is longer"),
    Operator("rms_normalise", 1, "shape", "a divided by the root of its mean square over all weights"),
)
BY_NAME = {operator.name: operator for operator in OPERATORS}
CODES = {operator.name: code for code, operator in enumerate(OPERATORS, start=1)}  # 0: an unused row
REAL: tuple[Kind, ...] = ("scalar", "example", "output", "probability", "parameters")


@dataclass(frozen=True)
class Signature:
    """What a kind of program is handed (`inputs`: name to kind), what it may return, which inputs the result `must`
    depend on, and which inputs are `slots`: the memory that an update keeps from step to step."""

    name: str
    inputs: dict[str, Kind]
    returns: tuple[Kind, ...]
    must: tuple[str, ...]
    about: str
    slots: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.name)


WIDE: tuple[Kind, ...] = ("example", "output", "probability")

SIGNATURES: tuple[Signature, ...] = (
    Signature("loss amounts", {"p": "output", "y": "output"}, WIDE, ("p", "y"),
              "p is predicted, y is given. The loss is the mean of what is returned."),
    Signature("loss classes", {"p": "output", "y": "label"}, WIDE, ("p", "y"),
              "p are logits, y is the class that is given. The loss is the mean of what is returned."),
    Signature("loss preferences", {"chosen": "example", "rejected": "example", "chosen_reference": "example",
                                   "rejected_reference": "example"}, ("example",), ("chosen", "rejected"),
              "log-probabilities of two answers, by the policy and by a fixed reference. The loss is the mean."),
    Signature("update", {"g": "parameters", "w": "parameters", "t": "scalar", "m": "parameters", "v": "parameters",
                         "s": "parameters"}, ("parameters",), ("g",),
              "g is the gradient, w the weights, t counts steps from 1; m, v and s begin at 0 and are kept from step "
              "to step. The weights then move by -lr times what is returned.", slots=("m", "v", "s")),
)  # fmt: skip
BY_SIGNATURE = {signature.name: signature for signature in SIGNATURES}


TAKEN: dict[Typing, str] = {
    "each": "A scalar goes with anything, an example with outputs, weights with scalars.",
    "softmax": "It takes outputs.",
    "log_softmax": "It takes outputs.",
    "gather": "It takes outputs and a label.",
    "one_hot": "It takes a label and outputs.",
    "outputs": "It takes outputs.",
    "reduce": "It takes weights: one number for each parameter.",
    "pair": "It takes weights twice: one number for each parameter.",
    "clip": "It takes weights and a scalar.",
    "shape": "It takes weights: one number for each parameter.",
}
"""What operators take, in words."""


def kind_of(operator: Operator, kinds: Sequence[Kind]) -> Kind | None:
    """The kind of the result for operands of these kinds; None where the operator doesn't take them."""
    if len(kinds) != operator.takes:
        return None
    first, last = kinds[0], kinds[-1]
    match operator.typed:
        case "each":
            return _joined(kinds)
        case "softmax" | "log_softmax":
            return ("probability" if operator.typed == "softmax" else "output") if _wide(first) else None
        case "gather":
            return "example" if _wide(first) and last == "label" else None
        case "one_hot":
            return "probability" if first == "label" and _wide(last) else None
        case "outputs":
            return "example" if _wide(first) else None
        case "reduce" | "pair":
            return "scalar" if all(kind == "parameters" for kind in kinds) else None
        case "clip":
            return "parameters" if first == "parameters" and last == "scalar" else None
        case "shape":
            return "parameters" if first == "parameters" else None


def _wide(kind: Kind) -> bool:
    return kind in ("output", "probability")


def _joined(kinds: Sequence[Kind]) -> Kind | None:
    """A scalar goes with anything, an example with outputs; weights with scalars alone."""
    met = {"output" if kind == "probability" else kind for kind in kinds}
    if "label" in met or ("parameters" in met and met - {"parameters", "scalar"}):
        return None
    return next(kind for kind in ("parameters", "output", "example", "scalar") if kind in met)
