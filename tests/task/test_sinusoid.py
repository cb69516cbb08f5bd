"""Sine waves: the numbers of one, its ranges, and that many are drawn as one is."""

from __future__ import annotations

from math import pi, sin

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Split
from sandbox.core.random import uniform
from sandbox.task.sinusoid import Sinusoid

DOUBLE = Sinusoid(dtype="float64")


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_wave_by_hand() -> None:
    task = DOUBLE.draw(tensor(0.5, 0.5), held_out=False)
    assert float(task["amplitude"]) == pytest.approx(2.55)
    assert float(task["phase"]) == pytest.approx(pi / 2)
    batch = DOUBLE.sample(task, {}, tensor(0.5, 0.75), "train")
    assert batch["x"].tolist() == [[0.0], [2.5]]
    assert batch["y"].flatten().tolist() == pytest.approx([-2.55, 2.55 * sin(2.5 - pi / 2)])


def test_ranges_are_those_of_the_paper() -> None:
    low, high = (DOUBLE.draw(tensor(u, u), held_out=True) for u in (0.0, 1.0))
    assert [float(low["amplitude"]), float(high["amplitude"])] == pytest.approx([0.1, 5.0])
    assert [float(low["phase"]), float(high["phase"])] == pytest.approx([0.0, pi])
    assert DOUBLE.sample(low, {}, tensor(0.0, 1.0), "test")["x"].flatten().tolist() == [-5.0, 5.0]


def test_the_objective_is_the_squared_error_of_each_example() -> None:
    batch = {"x": tensor(0, 0)[:, None], "y": tensor(1, -2)[:, None]}
    assert DOUBLE.objective({}, tensor(3, -2)[:, None], batch).tolist() == [4.0, 0.0]


def test_sizes_of_splits_and_of_batches_agree() -> None:
    task = Sinusoid(shots=7)
    drawn = task.draw(uniform(0, "draw", 0, (task.noise["draw"],)), held_out=False)
    sizes: dict[Split, int] = {"train": 7, "practice": 7, "gate": 7, "test": 100}
    for split, n in sizes.items():
        batch = task.sample(drawn, {}, uniform(0, split, 0, (task.noise[split],)), split)
        assert batch["x"].shape == batch["y"].shape == (n, 1)
        assert batch["x"].dtype == batch["y"].dtype == torch.float32


def test_many_tasks_at_once_are_the_tasks_one_by_one() -> None:
    draws, points = uniform(0, "draw", 0, (3, 2)), uniform(0, "train", 0, (3, 10))

    def batch(draw: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
        return DOUBLE.sample(DOUBLE.draw(draw, held_out=False), {}, point, "train")["y"]

    together = torch.func.vmap(batch)(draws, points)
    assert torch.equal(together, torch.stack([batch(d, p) for d, p in zip(draws, points, strict=True)]))


def test_no_shots_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"task\.shots"):
        Sinusoid(shots=0)
