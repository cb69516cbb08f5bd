"""Products of a Jacobian with many probes, a few at a time, so that the memory they take is known beforehand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]  # probes [P, S, n] -> uᵀJ, or J u, of each
NUMBERS = 2**20  # of probes that go through a product at once: 4 MB in float32, 8 MB in float64


def at_once(systems: int, n: int, numbers: int = NUMBERS) -> int:
    """How many probes of `systems` states of n numbers go through a product together: at least one."""
    return max(1, numbers // max(1, systems * n))


def in_pieces(product: Product, probes: Tensor, most: int) -> Tensor:
    """[P, S, n]: the products of `probes` [P, S, n], at most `most` at once."""
    return torch.cat([product(piece) for piece in probes.split(most)])
