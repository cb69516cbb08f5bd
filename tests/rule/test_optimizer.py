"""Optimizers of torch.optim as rules: the life that they live by themselves, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sandbox.core.error import ConfigError
from sandbox.core.protocols import World
from sandbox.engine.higher import Higher
from sandbox.loop.reflect import Loop
from sandbox.model.module import Module
from sandbox.rule.optimizer import Optimizer
from sandbox.task.quadratic import Quadratic

STEPS = 5


def network() -> nn.Module:
    return nn.Linear(1, 4, dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:Differentiable R")  # what `higher` says of RMSprop and Rprop
@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "Adadelta", "Adamax", "RMSprop", "Rprop", "ASGD"])
def test_a_life_is_that_of_the_optimizer(name: str) -> None:
    rule = Optimizer(name, lr=0.05)
    world = World(Quadratic(dtype="float64"), Module(network), rule)
    state = Loop(world, Higher(), ()).start([0]).state
    lived, _ = Higher().unroll(world, state, STEPS, "life", None)

    itself, task = network(), {name: leaf[0] for name, leaf in state.task.items()}
    itself.load_state_dict({name: leaf[0] for name, leaf in state.params.items()})
    optimizer = getattr(torch.optim, name)(itself.parameters(), lr=0.05)
    for _ in range(STEPS):
        batch = world.task.sample(task, {}, torch.empty(0), "train")
        loss = world.task.objective(task, itself(batch["x"]), batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for path, weight in itself.named_parameters():
        torch.testing.assert_close(lived.params[path][0], weight.detach(), rtol=1e-6, atol=1e-6)
    assert int(lived.slots["age"]) == STEPS


def test_phi_overrides_the_learning_rate() -> None:
    world = World(Quadratic(dtype="float64"), Module(network), Optimizer("SGD", lr=0.05))
    state = Loop(world, Higher(), ()).start([0]).state
    frozen = replace(state, rule={"lr": torch.zeros(1, dtype=torch.float64)})
    still, _ = Higher().unroll(world, frozen, 2, "life", None)
    assert all(torch.equal(leaf, state.params[name]) for name, leaf in still.params.items())


def test_an_unknown_name_is_refused_with_a_near_miss() -> None:
    with pytest.raises(ConfigError, match=r"got 'Adm'. Did you mean 'Adam'"):
        Optimizer("Adm")


def test_a_negative_learning_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rule.lr of 0 or more; got -1"):
        Optimizer(lr=-1.0)
