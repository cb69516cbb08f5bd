"""The smallest model: its weights are its prediction."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class Vector(nn.Module):
    """x [n, 1] to x · w [n, outputs], with w started at zero."""

    def __init__(self, outputs: int, dtype: Literal["float32", "float64"] = "float32") -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(outputs, dtype=getattr(torch, dtype)))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w[None]
