"""The smallest model: its weights are its prediction."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class Vector(nn.Module):
    """x [n, 1] to x · w [n, outputs], with w started at zero, or normal with a standard deviation of `spread`."""

    def __init__(self, outputs: int, spread: float = 0.0, dtype: Literal["float32", "float64"] = "float32") -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(outputs, dtype=getattr(torch, dtype)))
        if spread:
            nn.init.normal_(self.w, std=spread)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w[None]
