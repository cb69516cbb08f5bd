"""Whether an update descends any scalar at all: the intermediate-optimiser gap.

Near z an update u(z) is a gradient, up to fixed positive rates of its coordinates, exactly if K = du/dz is symmetric up
to a positive diagonal D: D K = (D K)ᵀ. Then D^½ K D^-½ is symmetric too, so its rows are as long as its columns: D
balances K (Osborne 1960). The balancing D is unique up to scale wherever influences return, so if there is a
symmetriser it is this one.

Two simpler measures fail. The least antisymmetric share of D K over all D never exceeds 1/2, not even for a rotation:
a D that dwarfs all rows but one leaves half the square of what is off the diagonal. And none that is 0 exactly where
some D K is symmetric is continuous: [[1, 1], [c, 1]] has such a D for every c > 0, and none for c = 0. The gap here is
continuous. Influences that nothing returns vanish from it, as they do in the limit of a weak return, and are reported
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.sparse.csgraph import connected_components

from sandbox.measure.array import Array, square

TOLERANCE = 1e-14  # of the squared norm, to which rows and columns are balanced
ITERATIONS = 100
RIDGE = 4e-16  # of the squared norm: a common factor of s is free, and so is a link too weak to count


@dataclass(frozen=True, eq=False)
class Integrability:
    """`gap` in [0, 1] (IOG): the antisymmetric share of the squared norm of the balanced K, without influences that
    nothing returns. 1 for a pure rotation, about 1/2 for independent entries, 0 where each strongly connected part
    descends a scalar, given the parts that it depends on: gradient descent at fixed rates, and its frozen rule.

    `one_way` in [0, 1] is the share of the squared norm of K in influences that nothing returns; the update is the
    gradient of a single scalar exactly where `gap` and `one_way` are 0. `raw` in [0, 1] is the antisymmetric share of
    K as it is. `rates` [n], of geometric mean 1 in each part, multiply the gradient of the scalar; `spread` ≥ 1 is the
    greatest over the least.
    """

    gap: float
    one_way: float
    raw: float
    rates: Array
    spread: float


def integrability(jacobian: Any) -> Integrability:
    """The gap of a step with Jacobian J [n, n]. Raises where J is not square or not finite.

    It is a statement about one state: a gradient field reads 0 at every state, rates that change with the state don't.
    """
    j = square(jacobian)
    k = j - np.eye(len(j))
    k /= np.abs(k).max() or 1.0
    _, part = connected_components(np.square(k) > 0, connection="strong")
    returned = np.where(part[:, None] == part, k, 0)
    scale = np.ones(len(k))
    for one in (part == p for p in set(part)):
        scale[one] = _balancing(k[np.ix_(one, one)])
    balanced = scale[:, None] * returned / scale
    rates = scale**-2.0
    return Integrability(
        gap=_share((balanced - balanced.T) / 2, balanced),
        one_way=_share(k - returned, k),
        raw=_share((k - k.T) / 2, k),
        rates=rates,
        spread=float(rates.max() / rates.min()),
    )


def _share(part: Array, whole: Array) -> float:
    """Of the squared norm of the whole; 0 of nothing."""
    total = np.square(whole).sum()
    return float(np.square(part).sum() / total) if total > 0 else 0.0


def _balancing(k: Array) -> Array:
    """[m]: positive s with product 1 for which rows and columns of s_i K_ij / s_j are equally long, where all returns.

    s = exp(x) minimises the squared norm off the diagonal, Σ K_ij² exp(2 (x_i - x_j)), which is convex in x. LAPACK
    brings it to within factors of two; Newton's method does the rest.
    """
    k = k - np.diag(np.diag(k))
    (balance,) = get_lapack_funcs(("gebal",), (k,))
    x = -np.log(balance(k, scale=1, permute=0)[3])
    for _ in range(ITERATIONS):
        weights = np.square(k * np.exp(x[:, None] - x))
        rows, columns, total = weights.sum(axis=1), weights.sum(axis=0), weights.sum()
        if np.abs(rows - columns).max() <= TOLERANCE * total:
            break
        hessian = np.diag(rows + columns + RIDGE * total) - weights - weights.T
        x += np.linalg.solve(hessian, columns - rows) / 2
    return np.exp(x - x.mean())
