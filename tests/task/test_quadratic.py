"""The bowl: its value by hand, and the two learning rates that are known to be best."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.task.quadratic import Quadratic

TASK = Quadratic(dtype="float64")
H = torch.tensor(TASK.curvature, dtype=torch.float64)


def value(w: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return TASK.objective({"target": target}, w[None], {}).sum()


def test_the_objective_by_hand() -> None:
    prediction = torch.tensor([[1.0, 0.0, 3.0, 2.0]], dtype=torch.float64)
    target = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    assert TASK.objective({"target": target}, prediction, {}).tolist() == [0.5 * (0.5 * 1 + 2 * 4 + 4 * 1)]


def test_targets_are_standard_normal() -> None:
    u = torch.tensor([0.5, 0.841344746068543, 0.158655253931457, 0.5], dtype=torch.float64)
    assert TASK.draw(u, held_out=False)["target"].tolist() == pytest.approx([0, 1, -1, 0], abs=1e-12)


def test_one_step_at_the_inverse_curvature_reaches_the_bottom() -> None:
    target = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(value(w, target), w)
    assert float(value(w.detach() - grad / H, target)) == pytest.approx(0, abs=1e-24)


def test_the_best_single_learning_rate_is_the_ratio_of_moments() -> None:
    lr = ((H**2).sum() / (H**3).sum()).requires_grad_()
    target = torch.ones(4, dtype=torch.float64)  # as E w*² = 1 makes it in the mean over tasks
    w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(value(w, target), w)
    (slope,) = torch.autograd.grad(value(w - lr * grad, target), lr)
    assert float(slope) == pytest.approx(0, abs=1e-12)


def test_every_split_is_the_one_input_and_needs_no_noise() -> None:
    for split in ("train", "practice", "gate", "test"):
        assert TASK.noise[split] == 0
        assert TASK.sample({}, {}, torch.zeros(0), split)["x"].tolist() == [[1.0]]


@pytest.mark.parametrize("curvature", [(), (1.0, 0.0)])
def test_a_bowl_without_a_bottom_is_refused(curvature: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="curvature"):
        Quadratic(curvature=curvature)


def test_an_optimum_at_zero_and_a_score_in_log10() -> None:
    task = Quadratic(curvature=(2.0, 4.0), optimum="zero", log=True, dtype="float64")
    drawn = task.draw(torch.tensor([0.3, 0.9], dtype=torch.float64), held_out=False)
    assert drawn["target"].tolist() == [0.0, 0.0]
    at = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    scored, trained = (task.sample(drawn, torch.neg, torch.zeros(0), split) for split in ("gate", "train"))
    assert task.objective(drawn, at, trained).tolist() == [19.0]
    assert task.objective(drawn, at, scored).tolist() == pytest.approx([1.2787536])
    assert task.objective(drawn, 0 * at, scored).tolist() == [-30.0]
