"""Optimizers of torch.optim as rules: the life that they live by themselves, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Params, World
from sandbox.engine.higher import Higher
from sandbox.loop.reflect import Loop
from sandbox.model.module import Module
from sandbox.rule.optimizer import Optimizer
from sandbox.task.quadratic import Quadratic

STEPS = 20
NEAR = {"ASGD": 2e-8}  # of a displacement; torch keeps the rate of its ASGD in float32
SUPPORTED = ["SGD", "Adam", "Adagrad", "Adadelta", "Adamax", "RMSprop", "Rprop", "ASGD"]
ALL = [name for name, found in vars(torch.optim).items() if isinstance(found, type) and name != "Optimizer"]


def network() -> nn.Module:
    return nn.Linear(1, 4, dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:Differentiable R")  # what `higher` says of RMSprop and Rprop
@pytest.mark.parametrize("quiet", range(8))
@pytest.mark.parametrize("name", SUPPORTED)
def test_a_life_is_that_of_the_optimizer_however_quiet_the_loss(name: str, quiet: int) -> None:
    """Displacements from the start are torch's, at losses 1 to 1e-7 as loud: where eps stands shows in quiet ones."""
    curvature = tuple(10.0**-quiet * h for h in (0.5, 1.0, 2.0, 4.0))
    world = World(Quadratic(curvature, dtype="float64"), Module(network), Optimizer(name, lr=0.3))
    state = Loop(world, Higher(), ()).start([0]).state
    lr = {"lr": torch.tensor([0.05], dtype=torch.float64)}  # phi's, not the one that the optimizer is built with
    lived, _ = Higher().unroll(world, replace(state, rule=lr), STEPS, "life", None)

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
        begun, near = state.params[path][0], NEAR.get(name, 1e-12)
        torch.testing.assert_close(lived.params[path][0] - begun, weight.detach() - begun, rtol=near, atol=1e-15)
    assert int(lived.slots["age"]) == STEPS


@pytest.mark.parametrize("name", [name for name in ALL if name not in SUPPORTED])
def test_what_can_t_be_differentiated_is_refused_by_name(name: str) -> None:
    matrix = Module(lambda: nn.Linear(1, 4, bias=False, dtype=torch.float64))  # Muon takes no vectors
    world = World(Quadratic(dtype="float64"), matrix, Optimizer(name))
    with pytest.raises(ConfigError, match=f"got {name}. Choose one of ASGD"):
        Loop(world, Higher(), ()).start([0])


@pytest.mark.filterwarnings("ignore:Differentiable R")
@pytest.mark.parametrize("name", SUPPORTED)
def test_hypergradients_are_slopes_also_where_a_gradient_is_always_zero(name: str) -> None:
    def dead() -> nn.Module:
        made = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 4)).double()
        with torch.no_grad():
            made[0].bias[0] = -99.0  # pyright: ignore[reportIndexIssue]
        return made

    world = World(Quadratic(dtype="float64"), Module(dead), Optimizer(name, lr=0.05))
    state = Loop(world, Higher(), ()).start([0]).state

    def score(lr: Tensor, params: Params, adjoint: Adjoint | None) -> Tensor:
        lived, _ = Higher().unroll(world, replace(state, params=params, rule={"lr": lr}), 3, "life", adjoint)
        return Higher().scores(world, lived, "practice", "life").mean()

    at = {path: leaf.clone().requires_grad_() for path, leaf in state.params.items()}
    lr = state.rule["lr"].clone().requires_grad_()
    slope, *found = torch.autograd.grad(score(lr, at, FULL), [lr, *at.values()])
    assert all(bool(grad.isfinite().all()) for grad in found)
    there, back = (float(score(state.rule["lr"] + h, state.params, None)) for h in (1e-6, -1e-6))
    assert float(slope) == pytest.approx((there - back) / 2e-6, rel=1e-5)


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
