"""Programs at random and small changes of programs, from uniforms: the same uniforms make the same program.

Every move returns a valid program of the same signature. Which moves there are follows genetic programming with typed
lines (Real et al. 2020, AutoML-Zero; Brameier and Banzhaf 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from sandbox.program.draft import Draft, Line, Value, drafted, ordered, valid
from sandbox.program.draw import Draw, Spent
from sandbox.program.language import BY_SIGNATURE, OPERATORS, Kind, Operator, Signature, kind_of
from sandbox.program.program import Program

UNIFORMS = 192  # that one move or one random program may take
TRIES = 12  # drafts of a move before it gives up and changes nothing
SHARE = 0.25  # of operands that are a new number, where a number will do
LONGEST = 8  # lines of a random program, before its open ends are joined
JOINING = ("sub", "add", "mul", "min", "max", "dot")


def random_program(signature: str, noise: Tensor | Sequence[float]) -> Program:
    """A valid program of this signature from float64 uniforms [UNIFORMS].

    It grows line by line; each line prefers what no other line has used, and what is left open is joined at the end.
    Where no draft of `TRIES` is valid, it is the shortest program of its signature.
    """
    draw, form = Draw.of(noise), BY_SIGNATURE[signature]
    try:
        for _ in range(TRIES):
            found = valid(_grown(form, draw))
            if found is not None:
                return found
    except Spent:
        pass
    return plainest(form)


def plainest(form: Signature) -> Program:
    """A short program of a signature: a difference squared, a probability's logarithm, or the gradient itself."""
    shortest: dict[str, Value] = {
        "loss amounts": Line("square", (Line("sub", ("p", "y")),)),
        "loss classes": Line("neg", (Line("gather", (Line("log_softmax", ("p",)), "y")),)),
        "loss preferences": Line("softplus", (Line("sub", ("rejected", "chosen")),)),
        "update": "g",
    }
    return ordered(form, [shortest[form.name], *form.slots]).made()


def mutated(program: Program, other: Program, noise: Tensor | Sequence[float]) -> tuple[str, Program]:
    """The name of the move that was drawn, and the program after it, from float64 uniforms [UNIFORMS].

    Crossover takes from `other`, of the same signature; a program without numbers has none to change. A move that finds
    nothing valid returns the program without its unused lines.
    """
    draw = Draw.of(noise)
    able = [name for name in MOVES if name != "constant" or program.constants]
    name = draw.choose(able)
    return name, moved(name, program, other, draw)


def moved(name: str, program: Program, other: Program, draw: Draw) -> Program:
    """The program after the move of that name."""
    draft, given = drafted(program), drafted(other)
    before = draft.made()
    try:
        for _ in range(TRIES):
            found = valid(MOVES[name](draft, given, draw))
            if found is not None and found != before:
                return found
    except Spent:
        pass
    return before


def point(draft: Draft, other: Draft, draw: Draw) -> Draft | None:
    """Another operator in a line, or another value at a place where one is used."""
    if draft.lines and draw.chance(0.5):
        i = draw.index(len(draft.lines))
        kinds: list[Kind] = [kind for value in draft.lines[i].operands if (kind := draft.kind(value))]
        fit = [each.name for each in OPERATORS if each.name != draft.lines[i].operator
               and kind_of(each, kinds) == draft.kind(draft.lines[i])]  # fmt: skip
        return draft.swap_operator(i, draw.choose(fit)) if fit else None
    edge = draw.choose(draft.edges)
    return draft.put({edge: _operand(draft.before(edge), draw)})


def insert(draft: Draft, other: Draft, draw: Draw) -> Draft | None:
    """A new line between a value and a place where it is used."""
    edge = draw.choose(draft.edges)
    line = _line(draft, draw, draft.at(edge), draft.before(edge))
    return None if line is None else draft.put({edge: line})


def delete(draft: Draft, other: Draft, draw: Draw) -> Draft | None:
    """A line less: what used it uses one of its operands."""
    if not draft.lines:
        return None
    line = draw.choose(draft.lines)
    left = draw.choose(line.operands)
    return draft.put({edge: left for edge in draft.edges if draft.at(edge) is line})


def swap(draft: Draft, other: Draft, draw: Draw) -> Draft | None:
    """The operands of one line, or the values at two places, exchanged."""
    one = draw.choose(draft.edges)
    line = [edge for edge in draft.edges if edge[0] == one[0]]
    two = draw.choose(line if draw.chance(0.5) else draft.edges)
    a, b = draft.at(one), draft.at(two)
    if one == two or a is b or not _stands(draft, b, one) or not _stands(draft, a, two):
        return None
    return draft.put({one: b, two: a})


def constant(draft: Draft, other: Draft, draw: Draw) -> Draft | None:
    """One number times e^z, z standard normal, and in one draw of ten with the other sign; 0 becomes z."""
    numbers = list(dict.fromkeys(draft.at(edge) for edge in draft.edges if isinstance(draft.at(edge), float)))
    if not numbers:
        return None
    old = draw.choose(numbers)
    new = draw.scaled(float(old))  # type: ignore[arg-type]  # numbers alone
    return draft.put({edge: new for edge in draft.edges if draft.at(edge) == old})


def crossover(draft: Draft, other: Draft, draw: Draw) -> Draft | None:
    """A line of another program, with all that it is made of, at a place where a value is used."""
    if not other.lines or other.signature != draft.signature:
        return None
    return draft.put({draw.choose(draft.edges): draw.choose(other.lines)})


MOVES: dict[str, Callable[[Draft, Draft, Draw], Draft | None]] = {
    "point": point, "insert": insert, "delete": delete, "swap": swap, "constant": constant, "crossover": crossover,
}  # fmt: skip


def _stands(draft: Draft, value: Value, edge: tuple[int, int]) -> bool:
    """Whether a value stands before a place, so that it can be used there."""
    return not isinstance(value, Line) or value in draft.before(edge)


def _operand(known: Sequence[Value], draw: Draw) -> Value:
    return draw.number() if draw.chance(SHARE) else draw.choose(known)


def _line(draft: Draft, draw: Draw, first: Value, known: Sequence[Value]) -> Line | None:
    """A new line that uses `first`; None where no operator of a few takes it."""
    for _ in range(TRIES):
        operator: Operator = draw.choose(OPERATORS)
        operands = [_operand(known, draw) for _ in range(operator.takes)]
        operands[draw.index(operator.takes)] = first
        line = Line(operator.name, tuple(operands))
        if draft.kind(line) is not None:
            return line
    return None


def _grown(form: Signature, draw: Draw) -> Draft | None:
    """A draft that grew line by line, and whose open ends are joined into one value."""
    draft = Draft(form, (), ())
    open_ = _begun(form, draw)
    known = [*form.inputs, *(value for value in open_ if isinstance(value, Line))]
    for _ in range(draw.index(LONGEST)):
        line = _line(draft, draw, draw.choose(open_ or known), known)
        if line is not None:
            known.append(line)
            open_ = [value for value in open_ if not any(value is used for used in line.operands)] + [line]
    kept = [draw.choose([slot, *(value for value in known if draft.kind(value) == "parameters")])
            for slot in form.slots]  # fmt: skip
    return ordered(form, [_joined(draft, open_, draw), *kept])


def _begun(form: Signature, draw: Draw) -> list[Value]:
    """What a draft begins from: all that its result must depend on. A label is met with what is predicted for it."""
    if form.name != "loss classes":
        return list(form.must)
    predicted: Value = draw.choose(("p", Line("softmax", ("p",)), Line("log_softmax", ("p",))))
    if draw.chance(0.5):
        return [Line("gather", (predicted, "y"))]
    return [predicted, Line("one_hot", ("y", "p"))]


def _joined(draft: Draft, open_: list[Value], draw: Draw) -> Value:
    """One value of all that are open."""
    joined, *rest = open_
    for value in rest:
        operator = draw.choose([name for name in JOINING if draft.kind(Line(name, (joined, value)))] or ["sub"])
        joined = Line(operator, (joined, value))
    return joined
