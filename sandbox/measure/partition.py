"""The update of a step in blocks of outer and inner, and what the blocks say of direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.measure.array import Array, array, members, square
from sandbox.measure.error import wrong


@dataclass(frozen=True, eq=False)
class Blocks:
    """K = J - I, the Jacobian of the update, in blocks. `oi` [n_o, n_i] is feedback: the outer's change as the inner
    changes; `io` [n_i, n_o] is the forward influence."""

    oo: Array
    oi: Array
    io: Array
    ii: Array


@dataclass(frozen=True)
class Feedback:
    """`trace` tr(K_oi K_io), the gain of one way round, in units of the product of both rates. `direction` in [-1, 1]
    is the trace as a share of |K_oi||K_io| (Frobenius): at 1 each side pushes the other on, at -1 one side pushes back
    (they rotate), at 0 the way round is cut or has no sign."""

    trace: float
    direction: float


def blocks(jacobian: Any, outer: Any) -> Blocks:
    """The blocks of J [n, n] under a partition: a mask [n] of the outer coordinates, or their indices.

    Raises where J is not square or not finite, and where the partition leaves a side empty.
    """
    j = square(jacobian)
    o = members(outer, len(j))
    k = j - np.eye(len(j))
    return Blocks(k[np.ix_(o, o)], k[np.ix_(o, ~o)], k[np.ix_(~o, o)], k[np.ix_(~o, ~o)])


def feedback(jacobian: Any, outer: Any) -> Feedback:
    """Whether outer and inner reinforce each other or oppose. Raises as `blocks`."""
    k = blocks(jacobian, outer)
    trace = float((k.oi * k.io.T).sum())
    most = float(np.linalg.norm(k.oi) * np.linalg.norm(k.io))
    return Feedback(trace, trace / most if most > 0 else 0.0)


def response(jacobian: Any, outer: Any) -> Array:
    """[n_i, n_o]: dφ*/dθ = -K_ii⁻¹ K_io, the inner's rest point as the outer changes (implicit function theorem).

    It is what the forward influence comes to if the inner settles between two steps of the outer. Raises as `blocks`,
    and where K_ii is singular to rounding: then the inner has no single rest point.
    """
    k = blocks(jacobian, outer)
    condition = float(np.linalg.cond(k.ii))
    if not condition * len(k.ii) * np.finfo(float).eps < 1:
        raise wrong(expected="an inner block K_ii that can be inverted", got=f"condition number {condition:.2g}",
                    do="Part of the inner is pulled to no rest: add decay, or leave it out of the state.")  # fmt: skip
    return array(-np.linalg.solve(k.ii, k.io), "the response")
