"""The confounded label: which input agrees with it where, and how far the robust ones go."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.task.confounded import Confounded

TASK = Confounded(train=20_000, points=20_000, dtype="float64")


def batch(task: Confounded, split):
    drawn = task.draw(uniform(0, "draw", 0, (task.noise["draw"],)), held_out=False)
    return task.sample(drawn, torch.neg, uniform(0, split, 0, (task.noise[split],)), split)


def test_the_shortcut_agrees_with_the_label_except_in_deployment() -> None:
    for split, agreement in {"train": 1, "practice": 1, "gate": 1, "test": 0}.items():
        found = batch(TASK, split)
        assert float((found["x"][:, -1:] == found["y"]).double().mean()) == agreement
    some = Confounded(agreement=0.7, train=20_000, dtype="float64")
    found = batch(some, "train")
    assert float((found["x"][:, -1:] == found["y"]).double().mean()) == pytest.approx(0.7, abs=0.01)


def test_the_robust_inputs_allow_what_their_theory_says() -> None:
    found = batch(TASK, "test")
    assert float(found["y"].mean()) == pytest.approx(0, abs=0.02)
    best = found["x"][:, :-1].sum(dim=1, keepdim=True)
    expected = torch.special.ndtr(torch.tensor(0.6 * 8**0.5))
    assert float(TASK.human({}, best, found).mean()) == pytest.approx(float(expected), abs=0.005)
    assert float(expected) == pytest.approx(0.955, abs=5e-4)


def test_p_is_the_logistic_loss() -> None:
    found = {"x": torch.zeros(2, 9), "y": torch.tensor([[1.0], [-1.0]])}
    loss = TASK.objective({}, torch.tensor([[2.0], [2.0]]), found)
    assert loss.tolist() == pytest.approx([0.126928, 2.126928], abs=1e-5)


@pytest.mark.parametrize("fields", [{"robust": 0}, {"agreement": 1.5}, {"deployed": -0.1}, {"points": 0}])
def test_what_is_no_task_is_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=r"task\."):
        Confounded(**fields)
