"""Sine waves: the numbers of one, its ranges, that its K points stay, and that many are drawn as one is."""

from __future__ import annotations

from dataclasses import replace
from math import pi, sin

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Split, World
from sandbox.core.random import uniform
from sandbox.engine.functional import Functional
from sandbox.loop.reflect import Loop
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.rule.sgd import SGD
from sandbox.task.sinusoid import Sinusoid

DOUBLE = Sinusoid(dtype="float64", shots=2)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_wave_by_hand() -> None:
    task = replace(DOUBLE, frequency=(0.8, 1.2)).draw(tensor(0.5, 0.5, 0.25, 0.5, 0.75), held_out=False)
    assert float(task["amplitude"]) == pytest.approx(2.55)
    assert float(task["phase"]) == pytest.approx(pi / 2)
    assert float(task["frequency"]) == pytest.approx(0.9)
    batch = DOUBLE.sample(task, torch.neg, tensor(), "train")
    assert batch["x"].tolist() == [[0.0], [2.5]]
    assert batch["y"].flatten().tolist() == pytest.approx([-2.55, 2.55 * sin(0.9 * 2.5 - pi / 2)])


def test_ranges_are_those_of_the_paper() -> None:
    low, high = (DOUBLE.draw(tensor(u, u, u, u, u), held_out=True) for u in (0.0, 1.0))
    assert [float(low["amplitude"]), float(high["amplitude"])] == pytest.approx([0.1, 5.0])
    assert [float(low["phase"]), float(high["phase"])] == pytest.approx([0.0, pi])
    assert [float(low["frequency"]), float(high["frequency"])] == [1.0, 1.0]
    assert low["train"].tolist() == [-5.0, -5.0]
    assert DOUBLE.sample(low, torch.neg, tensor(0.0, 1.0), "test")["x"].flatten().tolist() == [-5.0, 5.0]


def test_the_training_points_belong_to_the_task_and_the_others_to_the_reading() -> None:
    """Whatever noise a step hands over, a life trains on the K points that it was born with."""
    task = DOUBLE.draw(uniform(0, "draw", 0, (5,)), held_out=False)
    one, other = uniform(0, "step", 0, (2,)), uniform(0, "step", 1, (2,))
    assert torch.equal(DOUBLE.sample(task, torch.neg, one, "train")["x"],
                       DOUBLE.sample(task, torch.neg, other, "train")["x"])  # fmt: skip
    for split in ("practice", "gate", "test"):
        first, second = (DOUBLE.sample(task, torch.neg, noise, split)["x"] for noise in (one, other))
        assert not torch.equal(first, second)


def test_a_long_life_is_gradient_descent_on_its_first_points() -> None:
    """The engine's 7 inner steps against a loop written by hand on the K points of birth."""
    world = World(DOUBLE, Module(lambda: MLP(1, 1, (3,), dtype="float64")), SGD(lr=0.05))
    standing = Loop(world, Functional(), ()).start([3])
    begun = standing.state
    weights = {name: leaf[0].clone().requires_grad_() for name, leaf in begun.params.items()}
    batch = DOUBLE.sample({name: leaf[0] for name, leaf in begun.task.items()}, torch.neg, tensor(), "train")
    for _ in range(7):
        loss = (world.model.apply(weights, batch["x"]) - batch["y"]).square().mean()
        grads = torch.autograd.grad(loss, list(weights.values()))
        weights = {name: (weight - 0.05 * grad).detach().requires_grad_()
                   for (name, weight), grad in zip(weights.items(), grads, strict=True)}  # fmt: skip
    lived, _ = Functional().unroll(world, begun, 7, "life", None)
    for name, weight in weights.items():
        torch.testing.assert_close(lived.params[name][0], weight.detach(), rtol=1e-12, atol=1e-12)


def test_the_objective_is_the_squared_error_of_each_example() -> None:
    batch = {"x": tensor(0, 0)[:, None], "y": tensor(1, -2)[:, None]}
    assert DOUBLE.objective({}, tensor(3, -2)[:, None], batch).tolist() == [4.0, 0.0]


def test_sizes_of_splits_and_of_batches_agree() -> None:
    task = Sinusoid(shots=7, test=30)
    drawn = task.draw(uniform(0, "draw", 0, (task.noise["draw"],)), held_out=False)
    sizes: dict[Split, int] = {"train": 7, "practice": 7, "gate": 7, "test": 30}
    for split, n in sizes.items():
        batch = task.sample(drawn, torch.neg, uniform(0, split, 0, (task.noise[split],)), split)
        assert batch["x"].shape == batch["y"].shape == (n, 1)
        assert batch["x"].dtype == batch["y"].dtype == torch.float32


def test_many_tasks_at_once_are_the_tasks_one_by_one() -> None:
    draws, points = uniform(0, "draw", 0, (3, 5)), uniform(0, "practice", 0, (3, 10))

    def batch(draw: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
        return DOUBLE.sample(DOUBLE.draw(draw, held_out=False), torch.neg, point, "practice")["y"]

    together = torch.func.vmap(batch)(draws, points)
    assert torch.equal(together, torch.stack([batch(d, p) for d, p in zip(draws, points, strict=True)]))


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"shots": 0}, r"task\.shots"), ({"test": 0}, r"task\.test"), ({"frequency": (1.2, 0.8)}, r"task\.frequency"),
     ({"phase": (0.0, float("inf"))}, r"task\.phase")],
)  # fmt: skip
def test_what_is_no_family_is_refused(fields: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Sinusoid(**fields)
