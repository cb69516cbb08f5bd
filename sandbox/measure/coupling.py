"""Whether outer and inner are still two things: the coupling M of a step, its block norms and its null.

A step F maps z = (outer, inner) to z'. With J = dF/dz and K = J - I, the blocks of K say who rewrites whom: K_oi is
feedback (inner changes outer), K_io forward. M = |K_oi||K_io| / (|K_oi||K_io| + |K_oo||K_ii|), Frobenius norms, is the
cross-ratio of the 2 x 2 table: unchanged by rescaling either block or either learning rate. It is 0 where one
direction is absent, 1 where both diagonal blocks are, and near 1/2 for a system without parts. It says nothing of
quality, and it misleads where a bounded parameter sits at its bound (its derivative dies), so it is never returned
without its norms, its null and the share of bounded numbers near their bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sandbox.measure.array import array, members, square
from sandbox.measure.error import wrong
from sandbox.measure.product import NUMBERS, Product, at_once, in_pieces


@dataclass(frozen=True)
class Coupling:
    """Each a tensor [S] (or [] for one system). `m` in [0, 1], with its standard `error` over probes (0 where exact);
    `null` and `null_spread` are mean and standard deviation of M over random partitions of the same sizes;
    `outer_inner` is |K_oi|: the outer's change as the inner changes. Where both products of norms vanish M is 0 and
    `degenerate`. `near_bound` is the share of bounded numbers near a bound, where derivatives die: NaN where none is
    declared, else in [0, 1]; distrust M where it is not small."""

    m: Tensor
    error: Tensor
    null: Tensor
    null_spread: Tensor
    outer_outer: Tensor
    outer_inner: Tensor
    inner_outer: Tensor
    inner_inner: Tensor
    near_bound: Tensor

    @property
    def degenerate(self) -> Tensor:
        """Truth values: nothing is coupled and nothing moves itself on one side, so that M = 0/0 is read as 0."""
        return (self.outer_inner * self.inner_outer == 0) & (self.outer_outer * self.inner_inner == 0)

    @property
    def finite(self) -> Tensor:
        """Truth values: every derivative was finite."""
        return self.m.isfinite()


def exact_coupling(
    jacobian: Any, outer: Any, *, partitions: int = 50, seed: int = 0, near_bound: float | Tensor = nan
) -> Coupling:
    """M of J [n, n] under a partition: a mask [n] of the outer coordinates, or their indices.

    The null is M under `partitions` random partitions of the same sizes, drawn from `seed`: NaN for none, its spread
    for one. With a single outer coordinate there are only n of them, the own one included. Raises where J is not
    square or not finite, and where the partition leaves a side empty.
    """
    j = square(jacobian)
    side = members(outer, len(j))
    squares = np.square(j - np.eye(len(j)))
    rng = np.random.default_rng(seed)
    sides = np.stack([side, *(rng.permutation(side) for _ in range(partitions))]).astype(float)  # [1 + R, n]
    both = np.stack([sides, 1 - sides], axis=1)  # [1 + R, 2, n]
    norm = torch.from_numpy(np.sqrt(np.einsum("prj,jk,pck->prc", both, squares, both, optimize=True)))
    merged = _merged(norm)
    return _coupling(merged, torch.zeros(()).double(), norm[0], near_bound)


def probed_coupling(
    product: Product,
    outer: Any,
    noise: Tensor,
    partition: Tensor,
    *,
    side: Literal["left", "right"] = "left",
    near_bound: float | Tensor = nan,
    numbers: int = NUMBERS,
) -> Coupling:
    """M by random probes, for systems whose Jacobian is too large: E|uᵀK restricted to columns|² = |K_block|² for
    u ~ N(0, 1) on the rows of a block (Hutchinson 1990), and likewise from the right.

    `product` maps probes [P, S, n] to uᵀJ (side "left": vector-Jacobian) or to J u ("right": Jacobian-vector);
    `outer` is a mask [n] or indices; `noise` [m, S, n], m ≥ 2, holds standard normals; `partition` [R, n] holds
    uniforms, each row of which orders the coordinates of one random partition (R = 0: the null is NaN). It costs
    m (2 + R) products: of a random partition only the outer side is probed, and the inner's product is what is left of
    the whole's. The standard error is that of the mean over probes, carried through log(M / (1 - M)). One of the S
    systems whose derivatives are not finite reads NaN throughout, and the others go on: see `finite`.

    Memory: at most `numbers` numbers of probes (or one probe) go through `product` at once, which is what its own
    memory grows by; beside that this function holds at most five times max(numbers, (2 + R) S n) numbers.
    """
    m, systems, n = noise.shape
    if m < 2:
        raise wrong(expected="at least 2 probes", got=f"{m}", do="One probe has no standard error; 32 give about .02.")
    real = torch.from_numpy(members(outer, n))[None].to(noise.device)
    order = partition.argsort(dim=1)
    shuffled = torch.zeros_like(partition, dtype=torch.bool).scatter(1, order[:, : int(real.sum())], True)
    chosen = torch.cat([real, shuffled])  # [1 + R, n]: which coordinates are outer
    sides = torch.stack([chosen, ~chosen], dim=1).to(noise.dtype)  # [1 + R, 2, n]
    probed = torch.cat([sides[0], sides[1:, 0]])  # [2 + R, n]
    most = at_once(systems, n, numbers)
    each = torch.cat(
        [_squares(product, rows, probed, sides, most) for rows in noise.split(max(1, most // len(probed)))]
    )  # [m, 1 + R, S, probed, read]
    if side == "right":
        each = each.transpose(-1, -2)
    norm = each.mean(dim=0).sqrt()
    merged = _merged(norm)
    return _coupling(merged, _standard_error(each[:, 0], merged[0], side), norm[0], near_bound)


def _squares(product: Product, rows: Tensor, probed: Tensor, sides: Tensor, most: int) -> Tensor:
    """[m, 1 + R, S, 2 (probed), 2 (read)]: squared lengths of the products of `rows` [m, S, n] with K, by block."""
    probes = (rows * probed[:, None, None]).flatten(0, 1)  # [(2 + R) m, S, n]
    found = (in_pieces(product, probes, most).sub_(probes)).reshape(len(probed), *rows.shape)
    whole = found[0] + found[1]  # products are linear: of any partition, what one side lacks is the other's
    halves = [(found[0], found[1]), *((outer, whole - outer) for outer in found[2:])]
    lengths = [torch.stack([torch.einsum("mkn,cn->mkc", half.square(), reads) for half in pair], dim=2)
               for pair, reads in zip(halves, sides, strict=True)]  # fmt: skip
    return torch.stack(lengths, dim=1)


def near_bound(values: Any, low: float, high: float, *, within: float = 0.01) -> NDArray[np.float64]:
    """[...]: the share, in [0, 1], of bounded `values` [..., k] within that fraction of their range from an end."""
    if not (np.isfinite([low, high]).all() and low < high):
        raise wrong(expected="finite bounds, the lower first", got=f"({low}, {high})",
                    do="What is bounded on one side only: leave out, or give the range that it can reach.")  # fmt: skip
    place = (array(values, "bounded values") - low) / (high - low)
    if not place.size or place.min() < 0 or place.max() > 1:
        raise wrong(expected=f"some values in [{low}, {high}]", got=f"{np.asarray(values).tolist()}"[:80],
                    do="Give the bounds in the units in which the values are read.")  # fmt: skip
    return np.mean((place <= within) | (place >= 1 - within), axis=-1)


def _merged(norm: Tensor) -> Tensor:
    """M [...] from block norms [..., 2 (rows), 2 (columns)]."""
    cross = norm[..., 0, 1] * norm[..., 1, 0]
    straight = norm[..., 0, 0] * norm[..., 1, 1]
    return cross / (cross + straight).clamp(min=torch.finfo(norm.dtype).tiny)


def _standard_error(squares: Tensor, m: Tensor, side: str) -> Tensor:
    """[S]: by the delta method, from squared norms of single probes [probes, S, rows, columns]. One probe reads both
    blocks of a row (left) or of a column (right), so within that pair the errors are correlated."""
    relative = squares / squares.mean(dim=0).clamp(min=torch.finfo(squares.dtype).tiny)
    pairs = relative if side == "left" else relative.transpose(-1, -2)
    variance = (pairs[..., 0] - pairs[..., 1]).var(dim=0).sum(dim=-1) / len(squares)
    return m * (1 - m) * variance.sqrt() / 2


def _coupling(merged: Tensor, error: Tensor, norm: Tensor, near: float | Tensor) -> Coupling:
    m, others = merged[0], merged[1:]
    null = others.mean(dim=0) if len(others) else torch.full_like(m, nan)
    spread = others.std(dim=0) if len(others) > 1 else torch.full_like(m, nan)
    blocks = (norm[..., i, j] for i in (0, 1) for j in (0, 1))
    return Coupling(m, error, null, spread, *blocks, near_bound=torch.as_tensor(near).to(m).expand_as(m))
