"""The algebra of the rule language: what an operator on values is besides itself.

Signs are moved outwards as far as an operator lets them, for then `a - b` and `b - a` are one value, and what is even
(a square, |a|) forgets them. Each rewriting keeps values and derivatives of finite numbers to rounding: products of
constants are gathered in float64. Sums are not regrouped, because in floating point (x + 1e9) - 1e9 is not x.
"""

from __future__ import annotations

from math import frexp, isfinite

from sandbox.program.graph import Graph, Ref, Rule, negated
from sandbox.program.operators import SMALLEST


def _bare(ref: Ref) -> Ref:
    return 1, ref[1]


def _signed(sign: int, ref: Ref) -> Ref:
    return sign * ref[0], ref[1]


def _add(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    """x + 0 is x; x + x is 2x; the first of both is positive."""
    a, b = sorted(operands, key=graph.order)
    for one, other in ((a, b), (b, a)):
        if graph.zero(other) and graph.fits(one, "add", operands):
            return one
    if a == b:
        return graph.make("mul", (graph.constant(2.0), a))
    return _signed(a[0], graph.plain("add", (_bare(a), _signed(a[0], b))))


def _mul(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    """x · 1 is x; x · x is x²; constants are gathered; the sign stands before the product."""
    sign = operands[0][0] * operands[1][0]
    a, b = sorted(map(_bare, operands), key=graph.order)
    number, inner = graph.number(a), graph.of(b, "mul")
    sign = 1 if number == 0 else sign
    if number == 1:
        return _signed(sign, b)
    if a == b:
        return _signed(sign, graph.make("square", (a,)))
    if number and inner and (other := graph.number(inner[0])) and isfinite(number * other) and number * other:
        return _signed(sign, graph.make("mul", (graph.constant(number * other), inner[1])))
    return _signed(sign, graph.plain("mul", (a, b)))


def _div(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    """x / 2ⁿ is a product, exactly. A divisor that is no constant keeps its sign, for at 0 it decides."""
    (sign, node), by = operands
    number = graph.number(by)
    if number is not None and abs(number) >= SMALLEST:
        sign, by = sign * by[0], _bare(by)
        if abs(frexp(number)[0]) == 0.5 and isfinite(1 / number):
            return _signed(sign, graph.make("mul", (graph.constant(1 / abs(number)), (1, node))))
    return _signed(sign, graph.plain("div", ((1, node), by)))


def _extreme(operator: str) -> Rule:
    """min and max: of x and x is x, of x and -x is ±|x|; the first operand is positive; two limits are a clip."""
    other = {"min": "max", "max": "min"}[operator]

    def rule(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
        a, b = sorted(operands, key=graph.order)
        if a == b:
            return a
        if a[1] == b[1]:
            return _signed(1 if operator == "max" else -1, graph.make("abs", (_bare(a),)))
        return _limits(graph, operator, a, b) or _turned(graph, operator, other, (a, b))

    return rule


def _limits(graph: Graph, operator: str, limit: Ref, value: Ref) -> Ref | None:
    """min(high, max(low, x)) and max(low, min(high, x)) as clip(x, low, high), for constants low < high."""
    outer = graph.number(limit)
    inner = graph.of(value, "max" if (operator == "min") == (value[0] > 0) else "min")
    if outer is None or inner is None or (bound := graph.number(_signed(value[0], inner[0]))) is None:
        return None
    low, high = (bound, outer) if operator == "min" else (outer, bound)
    x = _signed(value[0], inner[1])
    return graph.make("clip", (x, graph.constant(low), graph.constant(high))) if low < high else None


def _turned(graph: Graph, operator: str, other: str, operands: tuple[Ref, ...], of: int = 0) -> Ref:
    """-op(-a, -b, …) where the first of what an operator is odd in is negative."""
    sign = operands[of][0]
    turned = (*operands[:of], *(_signed(sign, ref) for ref in operands[of:]))
    return _signed(sign, graph.plain(operator if sign > 0 else other, turned))


def _clip(graph: Graph, operands: tuple[Ref, ...]) -> Ref | None:
    low, high = graph.number(operands[1]), graph.number(operands[2])
    if low is None or high is None or low >= high or operands[0][0] > 0:
        return None
    return negated(graph.plain("clip", (_bare(operands[0]), negated(operands[2]), negated(operands[1]))))


def _where(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    """A condition that is a constant chooses; where both are one there is no choice."""
    condition, a, b = operands
    number = graph.number(condition)
    chosen = b if number is not None and number <= 0 else a
    if (number is not None or a == b) and graph.fits(chosen, "where", operands):
        return chosen
    return _turned(graph, "where", "where", operands, of=1)


def _ema(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    """All of a is a, none of it b; the mean of one number is that number."""
    a, b, keep = operands
    number = graph.number(keep)
    chosen = b if number == 0 else a
    if (number in (0, 1) or a == b) and graph.fits(chosen, "ema", operands):
        return chosen
    sign = a[0]
    return _signed(sign, graph.plain("ema", (_bare(a), _signed(sign, b), keep)))


def _abs(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    a = _bare(operands[0])
    if graph.vanishes(a):
        return a
    product = graph.of(a, "mul")
    if product and graph.number(product[0]) is not None:
        return graph.make("mul", (product[0], graph.make("abs", (product[1],))))
    return graph.plain("abs", (a,))


def _square(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    a = _sizeless(graph, operands[0])
    root = graph.of(a, "sqrt")
    return graph.make("abs", root) if root else graph.plain("square", (a,))


def _sqrt(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    a = _sizeless(graph, operands[0])
    square = graph.of(a, "square")
    return graph.make("abs", square) if square else graph.plain("sqrt", (a,))


def _sizeless(graph: Graph, ref: Ref) -> Ref:
    """Without sign and |·|, for operators that are even."""
    while inner := graph.of(ref, "abs"):
        ref = inner[0]
    return _bare(ref)


def _odd(operator: str) -> Rule:
    """Of the first operand alone; others keep their signs."""
    return lambda graph, operands: _signed(operands[0][0], graph.plain(operator, (_bare(operands[0]), *operands[1:])))


def _odd_in_both(operator: str) -> Rule:
    return lambda graph, operands: _signed(
        operands[0][0] * operands[1][0], graph.plain(operator, (_bare(operands[0]), _bare(operands[1])))
    )


def _clip_by_norm(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    (sign, node), most = operands
    return _signed(sign, graph.plain("clip_by_norm", ((1, node), _sizeless(graph, most))))


def _one_hot(graph: Graph, operands: tuple[Ref, ...]) -> Ref:
    """All outputs of a program have one shape, so the first input that is one serves."""
    first = next(place for place, kind in enumerate(graph.signature.inputs.values()) if kind == "output")
    return graph.plain("one_hot", (operands[0], graph.input(first)))


RULES: dict[str, Rule] = {
    "add": _add,
    "sub": lambda graph, operands: graph.make("add", (operands[0], negated(operands[1]))),
    "mul": _mul,
    "div": _div,
    "aq": lambda graph, operands: _signed(
        operands[0][0], graph.plain("aq", (_bare(operands[0]), _sizeless(graph, operands[1])))),
    "min": _extreme("min"),
    "max": _extreme("max"),
    "neg": lambda graph, operands: negated(operands[0]),
    "abs": _abs,
    "square": _square,
    "sqrt": _sqrt,
    "log": lambda graph, operands: graph.plain("log", (_sizeless(graph, operands[0]),)),
    "tanh": _odd("tanh"),
    "sign": _odd("sign"),
    "where": _where,
    "clip": _clip,
    "ema": _ema,
    "gather": _odd("gather"),
    "one_hot": _one_hot,
    "mean_out": _odd("mean_out"),
    "sum_out": _odd("sum_out"),
    "norm": lambda graph, operands: graph.plain("norm", (_sizeless(graph, operands[0]),)),
    "dot": _odd_in_both("dot"),
    "cosine": _odd_in_both("cosine"),
    "clip_by_norm": _clip_by_norm,
    "rms_normalise": _odd("rms_normalise"),
}  # fmt: skip
