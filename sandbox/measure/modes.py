"""Whether outer and inner share the modes of a step: the merge index MI, which sees rates where M sees structure.

A mode of J whose participation (Pérez-Arriaga, Verghese and Schweppe 1982) lies in one block belongs to one level; a
mode that both blocks take part in belongs to neither. With one coordinate a side, J = [[p, q], [r, s]],
MI = 4 |q r| / ((p - s)² + 4 |q r|): coupling against the gap between the rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs, schur
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from sandbox.measure.array import Array, members, square
from sandbox.measure.partition import blocks

LARGEST = 4000  # n_o n_i, beyond which kappa is skipped
UNRESOLVED = 1e12  # condition number of the modes, beyond which participations keep fewer than four digits


@dataclass(frozen=True, eq=False)
class MergeIndex:
    """`value` in [0, 1]: 0 where each mode that moves is all outer or all inner, or one direction of influence is
    absent; 1 where the moving modes are shared as evenly as the sizes of the blocks.

    `value` is the lesser of `modal`, the mean of the modes, and of what `kappa` allows, 4 κ / (1 + 4 κ): where rates
    coincide the modes mix without any influence, and κ doesn't. `kappa` ≥ 0 is infinite where the blocks share a rate,
    and None where it was skipped for size (`value` is then `modal`). `eigenvalues` of J and the outer `participations`
    [n] are complex; the inner's are 1 minus them, and both may exceed 1. Where J has no basis of modes, to rounding, it
    is `unresolved`: every participation is set to 1/2, so that `modal` is 1 and κ decides.
    """

    value: float
    modal: float
    kappa: float | None
    eigenvalues: NDArray[np.complex128]
    participations: NDArray[np.complex128]
    unresolved: bool


def merge_index(jacobian: Any, outer: Any) -> MergeIndex:
    """MI of J [n, n] under a partition: a mask [n] of the outer coordinates, or their indices.

    Invariant to the scale of each block and to rotations within it; `modal` also to every invertible map within a
    block. Raises where J is not square or not finite, and where the partition leaves a side empty.
    """
    j = square(jacobian)
    side = members(outer, len(j))
    k = blocks(j, side)
    eigenvalues, participations, unresolved = _participations(j, side)
    modal = _modal(eigenvalues, participations, float(side.mean()))
    coupled = _norm(k.oi) * _norm(k.io)
    if coupled == 0:
        value, kappa = 0.0, 0.0
    elif k.oi.size > LARGEST:
        value, kappa = modal, None
    else:
        gap = separation(k.oo, k.ii) ** 2
        value, kappa = min(modal, 4 * coupled / (gap + 4 * coupled)), coupled / gap if gap > 0 else inf
    return MergeIndex(value, modal, kappa, eigenvalues, participations, unresolved)


def separation(outer: Any, inner: Any) -> float:
    """sep ≥ 0: the least singular value of X -> inner X - X outer, for outer [n_o, n_o] and inner [n_i, n_i].

    At most the least distance between their eigenvalues, and 0 where they share one, to rounding. Where |K_oi| |K_io|
    is below sep²/4, one norm Frobenius and the other spectral, a change of basis decouples the blocks exactly (Stewart
    1973). By Lanczos on the inverse.
    """
    o, i = square(outer, "an outer block"), square(inner, "an inner block")
    left, right = schur(i)[0], schur(o)[0]  # orthogonal changes of basis keep singular values
    (solve,) = get_lapack_funcs(("trsyl",), (left, right))
    gaps = np.abs(np.subtract.outer(np.linalg.eigvals(i), np.linalg.eigvals(o)))
    if gaps.min() <= np.finfo(float).eps * max(_norm(i), _norm(o)):
        return 0.0
    if gaps.size == 1:
        return float(gaps[0, 0])

    def inverse(x: Array) -> Array:
        """(S Sᵀ)⁻¹ of the flat x, for the operator S of the docstring."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for transposed in ("N", "T"):
                y, shrunk, _ = solve(left, right, x.reshape(gaps.shape), transposed, transposed, -1)
                x = y / shrunk
        if not np.isfinite(x).all():
            raise _NoInverseError
        return x.ravel()

    operator = LinearOperator((gaps.size, gaps.size), inverse, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    start = np.random.default_rng(0).standard_normal(gaps.size)
    try:
        return float(eigsh(operator, 1, v0=start, return_eigenvectors=False)[0] ** -0.5)
    except (
        _NoInverseError,
        ArpackError,
    ):  # so far from normal that the inverse overflows
        return 0.0


class _NoInverseError(ArithmeticError):
    """The Sylvester operator has no inverse in float64."""


def _participations(j: Array, side: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any], bool]:
    """Eigenvalues, and the outer block's share of each mode, Σ_o (V⁻¹)_ko V_ok."""
    eigenvalues, modes = np.linalg.eig(j)
    modes /= np.linalg.norm(modes, axis=1, keepdims=True).clip(np.finfo(float).tiny)  # in units that no one chose
    unresolved = not np.linalg.cond(modes) < UNRESOLVED
    share = np.full(len(j), 0.5) if unresolved else (np.linalg.inv(modes).T * modes)[side].sum(axis=0)
    return eigenvalues.astype(complex), share.astype(complex), unresolved


def _modal(eigenvalues: NDArray[np.complex128], participations: NDArray[np.complex128], outer: float) -> float:
    """How much the modes are shared, each weighed by how far it moves the state; `outer` is the share n_o / n."""
    shared = np.minimum(1, np.abs(participations * (1 - participations)) / (outer * (1 - outer)))
    moves = np.abs(eigenvalues - 1) + np.finfo(float).tiny  # so that all count alike where none moves
    return float(np.average(shared, weights=moves))


def _norm(block: Array) -> float:
    return float(np.linalg.norm(block, 2))
