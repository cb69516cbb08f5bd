"""SGD: bitwise torch's, and differentiable in its learning rates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from sandbox.core.birth import newborn
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Drawn, Reach, World
from sandbox.engine.functional import Functional
from sandbox.loop.horizon import reborn
from sandbox.loop.reflect import Loop
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.rule.sgd import SGD
from sandbox.task.sinusoid import Sinusoid

LIFE = Reach(lambda params, x: x * params["w"], lambda prediction, batch: (prediction - batch["y"]).square())


def weights(dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "w": torch.randn(7, 33, generator=generator, dtype=dtype),
        "b": torch.randn(5, generator=generator, dtype=dtype),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("per_parameter", [False, True])
def test_it_is_bitwise_torch(dtype: torch.dtype, per_parameter: bool) -> None:
    rule, ours = SGD(lr=0.03, per_parameter=per_parameter), weights(dtype)
    theirs = [weight.clone().requires_grad_() for weight in ours.values()]
    optimizer, phi = torch.optim.SGD(theirs, lr=0.03), rule.init(ours)
    for step in range(1, 6):
        grads = weights(dtype, seed=step)
        for weight, grad in zip(theirs, grads.values(), strict=True):
            weight.grad = grad
        optimizer.step()
        ours, slots = rule.update(phi, ours, grads, {})
        assert slots == {}
        assert all(torch.equal(a, b.detach()) for a, b in zip(ours.values(), theirs, strict=True))


def test_a_step_by_hand_and_its_derivative_in_the_learning_rate() -> None:
    lr = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    moved, _ = SGD().update({"lr": lr}, {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([4.0, -2.0])}, {})
    assert moved["w"].tolist() == [-1, 3]
    (slope,) = torch.autograd.grad(moved["w"][0] + 10 * moved["w"][1], lr)
    assert float(slope) == -4 + 20


def test_each_weight_can_have_a_rate_of_its_own() -> None:
    phi: dict[str, Any] = {"lr.w": torch.tensor([0.5, -1.0]), "lr.b": torch.tensor(0.0)}
    params = {"w": torch.tensor([1.0, 1.0]), "b": torch.tensor(3.0)}
    moved, _ = SGD(per_parameter=True).update(phi, params, {"w": torch.tensor([2.0, 2.0]), "b": torch.tensor(9.0)}, {})
    assert moved["w"].tolist() == [0, 3]
    assert float(moved["b"]) == 3
    assert SGD(per_parameter=True).readable(phi) is phi


@pytest.mark.parametrize("per_parameter", [False, True])
def test_phi_starts_at_the_field_in_the_dtype_of_the_weights(per_parameter: bool) -> None:
    rule = SGD(lr=0.25, per_parameter=per_parameter)
    phi = rule.init(weights(torch.float32))
    assert set(phi) == ({"lr.w", "lr.b"} if per_parameter else {"lr"})
    assert all(value.dtype == torch.float32 and bool((value == 0.25).all()) for value in phi.values())
    assert rule.readable(phi) is phi


def test_the_loss_is_the_mean_objective() -> None:
    batch = {"x": torch.tensor([1.0, 2.0]), "y": torch.tensor([0.0, 0.0])}
    assert float(SGD().loss({}, {"w": torch.tensor(3.0)}, {}, batch, LIFE)) == (9 + 36) / 2


def test_many_lives_at_once_are_the_lives_one_by_one() -> None:
    lives = [weights(seed=seed) for seed in range(3)]
    stacked = {name: torch.stack([life[name] for life in lives]) for name in ("w", "b")}
    phi = {"lr": torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)}
    together, _ = torch.func.vmap(SGD().update)(phi, stacked, stacked, {})
    for n, life in enumerate(lives):
        alone, _ = SGD().update({"lr": phi["lr"][n]}, life, life, {})
        assert all(torch.equal(together[name][n], alone[name]) for name in alone)


# ---- rates that begin at random -------------------------------------------------------------------------------------


def test_a_draw_by_hand_stretches_over_the_range() -> None:
    rule = SGD(per_parameter=True, lr_range=(0.1, 0.3))
    params = {"w": torch.zeros(1, 2), "b": torch.zeros(1)}
    assert isinstance(rule, Drawn)
    assert rule.draws(params) == 3
    phi = rule.drawn(params, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    assert phi["lr.w"].dtype == torch.float32
    assert torch.cat([phi["lr.w"].flatten(), phi["lr.b"]]).tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert SGD(per_parameter=True).draws(params) == 0


@pytest.mark.parametrize("per_parameter", [False, True])
def test_each_seed_draws_its_own_rates_whoever_stands_beside_it(per_parameter: bool) -> None:
    rule = SGD(per_parameter=per_parameter, lr_range=(0.005, 0.1))
    world = World(Sinusoid(), Module(lambda: MLP(1, 1, (40, 40))), rule, tasks=2)
    three, alone = newborn(world, [3, 4, 5]).rule, newborn(world, [4]).rule
    for name, rates in three.items():
        assert torch.equal(rates[1], alone[name][0])
        assert not torch.equal(rates[0], rates[1])
        assert 0.005 <= float(rates.min()) <= float(rates.max()) < 0.1
    if per_parameter:
        rates = torch.cat([leaf.flatten() for leaf in three.values()]).double()
        assert float(rates.mean()) == pytest.approx(0.0525, abs=4 * 0.095 / (12 * len(rates)) ** 0.5)


def test_lives_that_own_their_rule_are_reborn_with_the_same_draw() -> None:
    rule = SGD(lr_range=(0.005, 0.1))
    per_lane = frozenset({"params", "slots", "task", "rule"})
    world = World(Sinusoid(), Module(lambda: MLP(1, 1, (4,))), rule, tasks=2, per_lane=per_lane)
    born = newborn(replace(world, per_lane=frozenset()), [3, 4]).rule["lr"]
    loop = Loop(world, Functional(), (), check=False)
    state = loop.start([3, 4]).state
    assert state.rule["lr"].tolist() == born.repeat_interleave(2).tolist()
    edited = replace(state, rule={"lr": torch.full_like(state.rule["lr"], 0.5)})
    again = reborn(loop, 0, loop.engine.draw(world, edited, "life", held_out=False))
    assert again.rule["lr"].tolist() == born.repeat_interleave(2).tolist()
    assert born[0] != born[1]


@pytest.mark.parametrize("lr_range", [(0.1, 0.005), (0.1, float("inf"))])
def test_a_range_upside_down_or_without_end_is_refused(lr_range: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"rule\.lr_range"):
        SGD(lr_range=lr_range)
