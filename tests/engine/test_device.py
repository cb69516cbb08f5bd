"""Where a step runs: with the state on another device, every tensor on its way is there too, and none is looked at.

The device here is torch's "meta", whose tensors have shapes and no values: an operation that mixes in a tensor of the
CPU, or that asks for a value (`.item()`, `.numpy()`, a Python `if`), raises. What CUDA computes, `scripts/devices.py`
compares where there is one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.error import ConfigError
from sandbox.core.protocols import KnowsHuman, Tempered, World
from sandbox.core.state import leaves, map_state
from sandbox.engine.functional import Functional
from sandbox.loop.reflect import Loop
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.rule.learned_loss import LearnedLoss
from sandbox.rule.momentum import Momentum
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.rule.sgd import SGD
from sandbox.task.few_shot_digits import FewShotDigits
from sandbox.task.noisy_digits import NoisyDigits
from sandbox.task.quadratic import Quadratic
from sandbox.task.sinusoid import Sinusoid

RULES = (SGD(), SGD(per_parameter=True), Momentum(), LearnedLoss(), SelfDistillation())
CLASSES = (NoisyDigits(train=60, practice=20, gate=20, batch=8), FewShotDigits())
PAIRS: list[tuple[Any, Any]] = [(task, rule) for task in CLASSES for rule in RULES]
PAIRS += [(Sinusoid(), rule) for rule in RULES[:4]] + [(Quadratic(), rule) for rule in RULES[:3]]


def network(task: Any) -> nn.Module:
    return Vector(4) if isinstance(task, Quadratic) else MLP(task.inputs, task.outputs, (4,))


@pytest.mark.parametrize(("task", "rule"), PAIRS, ids=lambda member: type(member).__name__)
@pytest.mark.parametrize("adjoint", [None, FULL, Adjoint(first_order=True)], ids=["off", "full", "first order"])
def test_a_life_stays_on_its_device(task: Any, rule: Any, adjoint: Adjoint | None) -> None:
    world = World(task, Module(partial(network, task)), rule, 2)
    here, engine = Loop(world, Functional(), ()).start([0, 1]).state, Functional()
    object.__setattr__(world, "device", "meta")
    state = replace(map_state(lambda leaf: leaf.to("meta"), here), seed=here.seed)
    state = engine.born(world, engine.draw(world, state, "life"))
    lived, own = engine.unroll(world, state, 2, "life", adjoint)
    found = [own, *leaves(lived, "params").values(), *leaves(lived, "slots").values()]
    found += [engine.scores(world, lived, split, "life") for split in ("practice", "gate")]
    found.append(engine.own_losses(world, lived, "gate", "life"))
    if isinstance(task, Tempered):
        found.append(engine.scores(world, lived, "gate", "life", "calibrated"))
    if isinstance(task, KnowsHuman):
        found.append(engine.scores(world, lived, task.deployment, "life", "human"))
    assert {tensor.device for tensor in found} == {torch.device("meta")}


def test_a_device_without_float64_is_refused() -> None:
    with pytest.raises(ConfigError, match="device cpu or cuda; got mps"):
        Loop(World(Sinusoid(), Module(partial(MLP, 1, 1)), SGD(), device="mps"), Functional(), ())
