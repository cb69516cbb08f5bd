"""The rule language in words, made from its own tables, for whoever proposes programs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from sandbox.program.language import CONSTANTS, DEPTH, INSTRUCTIONS, OPERATORS, Kind, Operator, Signature, kind_of

FORM = f"""A program is a straight line of instructions: no loops, no branches, no functions of your own. Its first line
is its kind. Each further line is `name = operator operand operand …` with one operator, and names each value once. An
operand is an input, a name that stands before, or a number. The last line is `return value`. `#` begins a comment.
At most {INSTRUCTIONS} instructions, {CONSTANTS} different numbers, and {DEPTH} operators one after the other."""
KINDS = """Kinds of values: a scalar is one number; an example is one number an example; an output is one an example and
output of the network; a probability is an output that sums to 1; a label is a class; parameters are one number for each
weight. A scalar goes with anything, an example with outputs, parameters with scalars alone."""


def grammar(signatures: Sequence[Signature]) -> str:
    """The language as far as programs of these kinds need it: their form, what they are handed, every operator."""
    useful = dict.fromkeys(operator for signature in signatures for operator in applicable(signature))
    operators = "\n".join(f"  {one.name} {' '.join('abc'[: one.takes])}: {one.about}" for one in useful)
    return "\n\n".join([FORM, KINDS, *(handed(signature) for signature in signatures), f"Operators:\n{operators}"])


def applicable(signature: Signature) -> list[Operator]:
    """The operators that can be applied to something in a program of this kind, in the order of the language."""
    kinds: set[Kind] = {"scalar", *signature.inputs.values()}
    while True:
        results = {
            one: {kind_of(one, given) for given in product(kinds, repeat=one.takes)} - {None} for one in OPERATORS
        }
        wider = kinds.union(*results.values())
        if wider == kinds:
            return [one for one, found in results.items() if found]
        kinds = wider  # type: ignore[assignment]


def handed(signature: Signature) -> str:
    """One kind of program: its first line, its inputs, what it returns and must depend on."""
    inputs = ", ".join(f"{name} ({kind})" for name, kind in signature.inputs.items())
    keeps = f" `keep {signature.slots[0]} value` says what a slot holds afterwards." if signature.slots else ""
    return (
        f"Kind `{signature.name}`: inputs {inputs}. {signature.about}{keeps} It returns "
        f"{' or '.join(signature.returns)} and must depend on {' and '.join(signature.must)}."
    )
