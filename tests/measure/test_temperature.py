"""The fitted temperature against known ones and against SciPy."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy

from sandbox.measure.temperature import fit_temperature


def losses(logits: torch.Tensor, y: torch.Tensor):
    def loss(temperature: torch.Tensor) -> torch.Tensor:
        return torch.stack([cross_entropy(row / t, y) for row, t in zip(logits, temperature, strict=True)])

    return loss


def test_each_row_gets_the_temperature_of_its_own_least_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 5, (300,), generator=generator)
    base = torch.randn(300, 5, generator=generator, dtype=torch.float64)
    base[torch.arange(300), y] += 1.5
    logits = torch.stack([base, 7 * base, base / 3])
    found = fit_temperature(losses(logits, y), 3)
    best = minimize_scalar(lambda t: float(cross_entropy(base / t, y)), bounds=(0.1, 10), method="bounded").x
    assert found.tolist() == pytest.approx([best, 7 * best, best / 3], rel=1e-3)


def test_a_loss_that_falls_for_ever_ends_at_the_bound() -> None:
    assert float(fit_temperature(lambda t: -t, 1, low=0.1, high=10.0)) == pytest.approx(10.0, rel=1e-3)
