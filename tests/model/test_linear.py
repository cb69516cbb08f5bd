"""A linear map: zero at first, and a matrix of examples read as rows."""

from __future__ import annotations

import torch

from sandbox.model.linear import Linear


def test_a_linear_map_by_hand() -> None:
    model = Linear((2, 2), 1, dtype="float64")
    x = torch.arange(8.0, dtype=torch.float64).reshape(2, 2, 2)
    assert model(x).tolist() == [[0.0], [0.0]]
    model.w.data = torch.tensor([[1.0], [0.0], [0.0], [2.0]], dtype=torch.float64)
    assert model(x).tolist() == [[6.0], [18.0]]
