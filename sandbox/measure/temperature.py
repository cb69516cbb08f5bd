"""One-dimensional minimisation over a batch: the temperature that calibrates a classifier."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import torch
from torch import Tensor

GOLDEN = (5**0.5 - 1) / 2


def fit_temperature(
    loss: Callable[[Tensor], Tensor],
    rows: int,
    *,
    low: float = 0.02,
    high: float = 200.0,
    iterations: int = 25,
    device: torch.device | str = "cpu",
) -> Tensor:
    """[rows]: for each row the temperature in [low, high] of least `loss`, by golden-section search on its logarithm,
    on the `device` of the losses.

    `loss` maps temperatures [rows] to mean losses [rows]. Cross-entropy is convex in 1/temperature, hence unimodal
    here (Guo et al. 2017, section 4.2, for temperature scaling itself). The result is off by at most
    log(high/low) · .618^iterations in the logarithm.
    """
    a = torch.full((rows,), log(low), dtype=torch.float64, device=device)
    b = torch.full((rows,), log(high), dtype=torch.float64, device=device)
    c, d = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
    at_c, at_d = loss(c.exp()), loss(d.exp())
    for _ in range(iterations):
        left = at_c < at_d
        a, b = torch.where(left, a, c), torch.where(left, d, b)
        new = torch.where(left, b - GOLDEN * (b - a), a + GOLDEN * (b - a))
        at_new = loss(new.exp())
        c, d = torch.where(left, new, d), torch.where(left, c, new)
        at_c, at_d = torch.where(left, at_new, at_d), torch.where(left, at_c, at_new)
    return ((a + b) / 2).exp()
