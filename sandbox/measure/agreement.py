"""Agreement of two vectors, row by row."""

from __future__ import annotations

import torch
from torch import Tensor


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """[rows]: cosine of rows of a and b [rows, n]; NaN where either row is zero, which has no direction."""
    norms = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(norms > 0, (a * b).sum(dim=1) / norms, torch.nan)


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """[rows]: Spearman's correlation of rows of a and b [rows, n], ties at their mid-rank; NaN for a constant row."""
    centred = [ranks - ranks.mean(dim=1, keepdim=True) for ranks in (midranks(a), midranks(b))]
    return cosine(*centred)


def midranks(x: Tensor) -> Tensor:
    """[rows, n]: rank of each entry in its row, from 0, tied entries at the mean of their ranks (float64)."""
    below = (x[:, None, :] < x[:, :, None]).sum(dim=2)
    equal = (x[:, None, :] == x[:, :, None]).sum(dim=2)
    return below.double() + (equal.double() - 1) / 2
