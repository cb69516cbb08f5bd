"""Weights that are their own prediction."""

from __future__ import annotations

import torch

from sandbox.model.vector import Vector


def test_the_prediction_is_the_weights_times_the_input() -> None:
    network = Vector(3, dtype="float64")
    assert network.w.tolist() == [0, 0, 0]
    assert network.w.dtype == torch.float64
    with torch.no_grad():
        network.w.copy_(torch.tensor([1.0, -2.0, 0.5]))
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    assert network(x).tolist() == [[1, -2, 0.5], [2, -4, 1]]
