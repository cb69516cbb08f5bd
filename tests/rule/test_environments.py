"""Losses across environments against closed forms: their values, and what lives by them become."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Level, Reach, World
from sandbox.engine.functional import Functional
from sandbox.exhibit.bits import TRAINING, empirical, episodic, extrapolated, risk, slope, worst_group
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.none import Nothing
from sandbox.model.linear import Linear
from sandbox.model.module import Module
from sandbox.rule.environments import Environments
from sandbox.task.two_bits import TwoBits

TASK = TwoBits(dtype="float64")
W = np.array([0.7, -1.3])
RISKS = np.array([risk(W, error) for error in TRAINING])
SLOPES = np.array([W @ slope(W, error) for error in TRAINING])
AFTER = np.array([risk(W - 2.5 * slope(W, TRAINING[i]), TRAINING[1 - i]) for i in range(2)])


def loss(rule: Environments, age: int = 0) -> float:
    noise = torch.full((TASK.noise["draw"],), 0.5, dtype=torch.float64)
    batch = TASK.sample(TASK.draw(noise, held_out=False), torch.neg, torch.empty(0), "train")
    params = {"w": torch.tensor(W)[:, None]}
    reach = Reach(lambda params, x: x @ params["w"], lambda prediction, batch: TASK.objective({}, prediction, batch))
    slots = {**rule.slots(params), "age": torch.tensor(float(age))}
    return float(rule.loss(rule.init(params), params, slots, batch, reach))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("erm", RISKS.mean()),
        ("group_dro", np.log(np.exp(2.5 * RISKS).mean()) / 2.5),
        ("v_rex", RISKS.mean() + 2.5 * RISKS.var()),
        ("irm", RISKS.mean() + 2.5 * np.square(SLOPES).mean()),
        ("mldg", (RISKS + AFTER).mean()),
    ],
)
def test_each_loss_is_what_it_says(kind, expected: float) -> None:
    assert loss(Environments(kind=kind, strength=2.5)) == pytest.approx(expected, abs=1e-12)


def test_the_strength_grows_in_its_logarithm() -> None:
    grown = [loss(Environments(kind="v_rex", strength=100.0, warmup=10), age) for age in (0, 5, 10, 20)]
    assert grown == pytest.approx([RISKS.mean() + strength * RISKS.var() for strength in (1, 10, 100, 100)])


@pytest.mark.parametrize(
    ("kind", "strength", "expected"),
    [
        ("erm", 1.0, empirical()),
        ("group_dro", 1000.0, worst_group()),
        ("v_rex", 40.0, extrapolated(10)),  # the squared gap of two is four times their variance
        ("mldg", 5.0, episodic(5)),
    ],
)
def test_a_life_ends_at_the_closed_form(kind, strength: float, expected: np.ndarray) -> None:
    rule = Environments(kind=kind, strength=strength, lr=0.1)
    world = World(TASK, Module(lambda: Linear(2, 1, dtype="float64")), rule)
    loop = Loop(world, Functional(), (Level(Nothing(), Always(), horizon=250),), ())
    for record in loop.run([0], 1):
        state = record.state
    assert state.params["w"].flatten().tolist() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("fields", [{"strength": 0.0}, {"strength": float("inf")}, {"warmup": -1}])
def test_what_is_no_strength_is_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=r"rule\."):
        Environments(**fields)


def test_batches_that_name_no_environment_are_refused() -> None:
    params = {"w": torch.zeros(2, 1)}
    rule = Environments()
    reach = Reach(lambda params, x: x @ params["w"], lambda prediction, batch: prediction[:, 0])
    with pytest.raises(ConfigError, match="environment"):
        rule.loss(rule.init(params), params, rule.slots(params), {"x": torch.zeros(3, 2)}, reach)
