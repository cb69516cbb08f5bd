"""A linear map, of which what a loss makes can be foreseen."""

from __future__ import annotations

from math import prod
from typing import Literal

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """x [n, …] to x · w [n, outputs], each example read as one row; no bias, and w started at zero."""

    def __init__(
        self, inputs: int | tuple[int, ...], outputs: int, dtype: Literal["float32", "float64"] = "float32"
    ) -> None:
        super().__init__()
        features = inputs if isinstance(inputs, int) else prod(inputs)
        self.w = nn.Parameter(torch.zeros(features, outputs, dtype=getattr(torch, dtype)))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.w
