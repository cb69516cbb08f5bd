"""What an engine runs and what it refuses, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from sandbox.core.adjoint import FULL
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Engine, Params, World
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.experiment import build_model
from sandbox.model.module import Module
from sandbox.rule.optimizer import Optimizer
from sandbox.rule.sgd import SGD
from sandbox.task.quadratic import Quadratic
from sandbox.task.sinusoid import Sinusoid

CONF = Path(__file__).parents[2] / "conf"
SINUSOID = Sinusoid(dtype="float64")


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reads = nn.GRU(1, 3, batch_first=True, dtype=torch.float64)
        self.says = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.says(self.reads(x[:, None])[0][:, -1])


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        y = self.line(x)
        return y if y.mean() > 0 else -y


class Idle(nn.Module):
    """With a layer that it never uses."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.idle = nn.Linear(1, 1, dtype=torch.float64), nn.Linear(1, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x)


class Bare:
    """A model with no module within."""

    def init(self, rng: int) -> Params:
        return {"w": torch.zeros(4, dtype=torch.float64)}

    def apply(self, params: Params, x: Tensor) -> Tensor:
        return x @ params["w"][None]


@pytest.mark.parametrize("name", sorted({path.stem for path in (CONF / "model").glob("*.yaml")} - {"module"}))
def test_higher_runs_every_network_of_the_house(name: str, begin) -> None:
    model = build_model(yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text()), SINUSOID)
    world = World(SINUSOID, model, SGD())
    Higher().unroll(world, begin(world, [0]), 1, "life", FULL)


@pytest.mark.parametrize("network", [Recurrent, Branching])
def test_higher_runs_networks_that_vmap_does_not_know(network: type[nn.Module], begin) -> None:
    world, engine = World(SINUSOID, Module(network), SGD(), tasks=2), Higher()
    state = begin(world, [0])
    lived, own = engine.unroll(world, state, 2, "life", FULL)
    assert own.shape == (2, 2)
    assert torch.isfinite(own).all()
    assert torch.isfinite(engine.scores(world, lived, "practice", "life")).all()
    assert engine.own_losses(world, lived, "practice", "life").shape == (2, 10)
    same, its = Functional().unroll(world, state, 2, "life", FULL)  # which goes life by life here, too
    torch.testing.assert_close(own, its)
    for name, weight in lived.params.items():
        torch.testing.assert_close(weight, same.params[name])


def test_both_engines_run_any_model(engine: Engine, begin) -> None:
    world = World(Quadratic(dtype="float64"), Bare(), SGD())
    engine.unroll(world, begin(world, [0]), 1, "life", None)


def test_weights_that_the_loss_does_not_use_are_named(engine: Engine, begin) -> None:
    world = World(SINUSOID, Module(Idle), SGD())
    with pytest.raises(ConfigError, match=r"no gradient for \['idle.weight', 'idle.bias'\]"):
        engine.unroll(world, begin(world, [0]), 1, "life", None)


def test_a_split_that_the_task_does_not_name_is_refused(engine: Engine, begin) -> None:
    world = World(SINUSOID, Module(Branching), SGD())
    with pytest.raises(ConfigError, match="a split of Sinusoid; got 'audit'"):
        engine.scores(world, begin(world, [0]), "audit", "life")


@pytest.mark.parametrize("objective", ["human", "calibrated"])
def test_an_objective_that_the_task_does_not_know_is_refused(engine: Engine, objective, begin) -> None:
    world = World(SINUSOID, Module(Branching), SGD())
    with pytest.raises(ConfigError, match=f"a task that knows '{objective}'; got Sinusoid"):
        engine.scores(world, begin(world, [0]), "practice", "life", objective)


def test_functional_refuses_an_optimizer(begin) -> None:
    world = World(SINUSOID, Module(lambda: nn.Linear(1, 1, dtype=torch.float64)), Optimizer())
    with pytest.raises(ConfigError, match=r"update of Adam as a function. Set engine=higher"):
        Functional().unroll(world, begin(world, [0]), 1, "life", None)


def test_higher_names_the_optimizers_that_it_can_differentiate(begin) -> None:
    world = World(SINUSOID, Module(Branching), Optimizer("AdamW"))
    with pytest.raises(ConfigError, match=r"got AdamW. Choose one of ASGD, Adadelta, Adagrad, Adam,.* SGD"):
        Higher().unroll(world, begin(world, [0]), 1, "life", None)


def test_an_optimizer_lives_one_unroll_from_each_birth(begin) -> None:
    world, engine = World(SINUSOID, Module(Branching), Optimizer()), Higher()
    lived, _ = engine.unroll(world, begin(world, [0]), 3, "life", None)
    with pytest.raises(ConfigError, match=r"one that is 3 inner steps old. Set lifetime=episodic"):
        engine.unroll(world, lived, 1, "life", None)
    again, _ = engine.unroll(world, engine.born(world, lived), 3, "life", None)
    assert again.t == 6


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(1, 12, dtype=torch.float64)
        self.says = nn.Linear(4, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.lift(x)[None].chunk(3, dim=-1)
        return self.says(nn.functional.scaled_dot_product_attention(query, key, value)[0])


@pytest.mark.parametrize("engine", [Functional(), Higher()], ids=["functional", "higher"])
def test_attention_has_its_second_derivative(engine: Engine, begin) -> None:
    """The hypergradient of lr through three steps is the slope by central differences."""
    world = World(SINUSOID, Module(Attentive), SGD(lr=0.05))
    state = begin(world, [0])

    def outcome(lr: Tensor, adjoint: object) -> Tensor:
        lived, _ = engine.unroll(world, replace(state, rule={"lr": lr}), 3, "life", adjoint)  # type: ignore[arg-type]
        return engine.scores(world, lived, "practice", "life").mean()

    at = torch.tensor([0.05], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(outcome(at, FULL), at)
    with torch.no_grad():
        up, down = (outcome(torch.tensor([0.05 + h], dtype=torch.float64), None) for h in (1e-6, -1e-6))
    assert float(slope) == pytest.approx(float((up - down) / 2e-6), rel=1e-5)
