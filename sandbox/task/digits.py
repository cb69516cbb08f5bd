"""The real images behind the digit tasks: scikit-learn's bundled copy of 1,797 handwritten digits, 8 x 8 pixels."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

IMAGES, CLASSES, PIXELS = 1797, 10, 64
CPU = torch.device("cpu")


@cache
def images(dtype: str, device: torch.device = CPU) -> Tensor:
    """[1797, 64] in 0 … 1."""
    return torch.as_tensor(_load()[0] / 16, dtype=getattr(torch, dtype)).to(device)


@cache
def classes(device: torch.device = CPU) -> Tensor:
    """[1797] true classes, int64."""
    return torch.as_tensor(_load()[1], dtype=torch.int64).to(device)


@cache
def _load() -> Any:
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)
