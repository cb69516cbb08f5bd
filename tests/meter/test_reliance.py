"""Reliance on an agent whose decisions are known: a linear one, by hand."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.protocols import Level, World
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.none import Nothing
from sandbox.meter.reliance import Reliance
from sandbox.model.linear import Linear
from sandbox.model.module import Module
from sandbox.rule.sgd import SGD
from sandbox.task.confounded import Confounded
from sandbox.task.two_bits import TwoBits


def last(task, *meters: Reliance):
    model = Module(lambda: Linear(task.inputs, task.outputs, dtype="float64"))
    level = Level(Nothing(), Always(), horizon=30)
    return list(Loop(World(task, model, SGD(lr=0.5)), Functional(), (level,), meters).run([0, 1], 1))[-1]


def test_a_decision_flips_with_the_bit_that_weighs_more() -> None:
    task = TwoBits(training=(0.1,), dtype="float64")
    for probe, expected in (((0,), 0.0), ((1,), 1.0), ((0, 1), 1.0)):
        assert last(task, Reliance(probe=probe)).readings["reliance/flip"].tolist() == [expected] * 2


def test_slopes_are_those_of_the_weights() -> None:
    task = Confounded(train=64, points=32, dtype="float64")
    record = last(task, Reliance(probe=(0, 8)))
    weights = record.state.params["w"][..., 0].reshape(2, 9)
    expected = weights[:, [0, 8]].square().sum(dim=1)
    torch.testing.assert_close(record.readings["reliance/slope"], expected, rtol=1e-6, atol=0)
    at_origin = last(task, Reliance(probe=(0, 8), at="origin", squashed=True))
    torch.testing.assert_close(at_origin.readings["reliance/slope"], expected / 16, rtol=1e-3, atol=0)
    squashed = last(task, Reliance(probe=(0, 8), squashed=True))
    assert bool((squashed.readings["reliance/slope"] < expected / 16).all())


def test_inputs_that_there_are_not_are_not_read() -> None:
    assert "reliance/flip" not in last(TwoBits(dtype="float64"), Reliance(probe=(2,))).readings


def test_flips_are_of_the_deployment_split() -> None:
    """An agent that goes by the shortcut alone is right in practice and wrong in deployment, and always flips."""
    task = Confounded(robust=1, signal=0.0, train=256, points=64, dtype="float64")
    assert last(task, Reliance(probe=(1,))).readings["reliance/flip"].tolist() == pytest.approx([1, 1], abs=0.1)
