"""Regression with outliers: its labels by hand, their share, and what the squared error learns from them."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.task.noisy_regression import NoisyRegression

TASK = NoisyRegression(dtype="float64")


def drawn(task: NoisyRegression, k: int = 0):
    return task.draw(uniform(0, "draw", k, (task.noise["draw"],)), held_out=False)


def test_labels_lie_at_the_rate_and_no_other_split_lies() -> None:
    task = NoisyRegression(train=20_000, dtype="float64")
    found = drawn(task)
    lies = (found["given"] - found["x"] @ found["w"]).abs() > 1e-9
    assert float(lies.double().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(found["given"][lies].mean()) == pytest.approx(8, abs=0.15)
    assert float(found["given"][lies].std()) == pytest.approx(3, abs=0.15)
    for split in ("practice", "gate", "test"):
        batch = task.sample(found, torch.neg, uniform(0, split, 0, (task.noise[split],)), split)
        assert torch.equal(batch["y"][:, 0], batch["x"] @ found["w"])
        torch.testing.assert_close(task.objective(found, batch["y"] + 2, batch), torch.full((64,), 4.0).double())


def test_the_skew_says_on_which_side_outliers_stand() -> None:
    task = NoisyRegression(train=20_000, rate=1.0, skew=0.0)
    assert float(drawn(task)["given"].mean()) == pytest.approx(0, abs=0.2)


def test_least_squares_on_what_is_given_errs_by_what_its_theory_says() -> None:
    """The slope shrinks by the rate, and outliers of second moment m leave rate · m / n a feature."""
    errors = []
    for k in range(400):
        found = drawn(TASK, k)
        fit = torch.linalg.lstsq(found["x"], found["given"][:, None]).solution[:, 0]
        errors.append((fit - found["w"]).square().sum())
    shrunk = 0.3**2 * 4
    residual = 0.3 * (8**2 + 3**2) + 0.3 * 0.7 * 4 + 0.0  # of labels around the shrunk map: outliers, then mixing
    expected = shrunk + 4 * residual / (64 - 5)
    assert float(torch.stack(errors).mean()) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("fields", [{"features": 0}, {"rate": 1.5}, {"skew": -1}, {"spread": float("nan")}])
def test_what_is_no_family_is_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=r"task\."):
        NoisyRegression(**fields)
