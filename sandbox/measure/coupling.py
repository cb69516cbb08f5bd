"""Whether outer and inner are still two things: the coupling M of a step, its block norms and its null.

A step F maps z = (outer, inner) to z'. With J = dF/dz and K = J - I, the blocks of K say who rewrites whom: K_oi is
feedback (inner changes outer), K_io forward. M = |K_oi||K_io| / (|K_oi||K_io| + |K_oo||K_ii|), Frobenius norms, is the
cross-ratio of the 2 x 2 table: unchanged by rescaling either block or either learning rate. It is 0 where one
direction is absent and 1 where both diagonal blocks are. It says nothing of quality, and it misleads where a bounded
parameter sits at its bound (its derivative dies), so it is never returned without its norms and its null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Coupling:
    """Each [S]. `outer_inner` is |K_oi|: the outer's change as the inner changes. `null` is M under random partitions
    of the same sizes, averaged."""

    m: Tensor
    null: Tensor
    outer_outer: Tensor
    outer_inner: Tensor
    inner_outer: Tensor
    inner_inner: Tensor


def coupling(vjp: Callable[[Tensor], Tensor], outer: int, noise: Tensor, partition: Tensor) -> Coupling:
    """M by random probes: for u ~ N(0, 1) on the rows of a block, E|uᵀK restricted to columns|² = |K_block|².

    `vjp` maps probes [P, S, n] to uᵀJ [P, S, n]; the first `outer` of the n coordinates are the outer block. `noise`
    [m, S, n] holds standard normals; `partition` [R, n] holds uniforms, each row of which orders the coordinates of
    one random partition. Where all products vanish nothing is coupled and M is 0 (degenerate).
    """
    m, seeds, n = noise.shape
    real = torch.arange(n).expand(1, n) < outer
    order = partition.argsort(dim=1)
    shuffled = torch.zeros_like(partition, dtype=torch.bool).scatter(1, order[:, :outer], True)
    members = torch.cat([real, shuffled])  # [1 + R, n]: which coordinates are outer
    sides = torch.stack([members, ~members], dim=1).to(noise.dtype)  # [1 + R, 2, n]
    probes = noise[None, None] * sides[:, :, None, None, :]  # [1 + R, 2 (rows), m, S, n]
    rows = vjp(probes.flatten(0, 2)).reshape(probes.shape) - probes
    squares = torch.einsum("psmkn,pcn->pskc", rows.square() / m, sides)  # [1 + R, rows, S, columns]
    norm = squares.sqrt()
    cross = norm[:, 0, :, 1] * norm[:, 1, :, 0]
    straight = norm[:, 0, :, 0] * norm[:, 1, :, 1]
    merged = cross / (cross + straight).clamp(min=torch.finfo(cross.dtype).tiny)
    null = merged[1:].mean(dim=0) if len(merged) > 1 else torch.full((seeds,), torch.nan, dtype=merged.dtype)
    return Coupling(merged[0], null, norm[0, 0, :, 0], norm[0, 0, :, 1], norm[0, 1, :, 0], norm[0, 1, :, 1])
