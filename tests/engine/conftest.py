"""Every rule of conf/rule in a small world of real digits in float64, both engines, and hypergradients of a life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from sandbox.config import build
from sandbox.core.protocols import Engine, Rule, Tape, World
from sandbox.core.state import State, flatten, leaves, put
from sandbox.core.tree import tree_map
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher, NeedsOptimizer
from sandbox.loop.reflect import Loop
from sandbox.model.module import Module
from sandbox.task.noisy_digits import NoisyDigits

CONF = Path(__file__).parents[2] / "conf" / "rule"
NODES: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
NODES |= {"meta_sgd": NODES["sgd"] | {"per_parameter": True}}
RULES = {name: build(node, "rule") for name, node in NODES.items()}
FUNCTIONAL = {name: rule for name, rule in RULES.items() if not isinstance(rule, NeedsOptimizer)}
DIGITS = NoisyDigits(dtype="float64", train=60, practice=20, gate=20, batch=8)

Differentiate = Callable[[Engine, World, State, Tape], dict[str, Tensor]]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 10)).double()


@pytest.fixture(params=FUNCTIONAL)
def rule(request: pytest.FixtureRequest) -> Rule:
    """Each rule that both engines run."""
    return FUNCTIONAL[request.param]


@pytest.fixture(params=[Functional(), Higher()], ids=["functional", "higher"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture(params=[*((name, Functional()) for name in FUNCTIONAL), *((name, Higher()) for name in RULES)],
                ids=lambda pair: f"{pair[0]}-{type(pair[1]).__name__.lower()}")  # fmt: skip
def lived_by(request: pytest.FixtureRequest) -> tuple[World, Engine]:
    """Each rule under each engine that runs it."""
    name, engine = request.param
    return World(DIGITS, Module(network), RULES[name], tasks=2), engine


@pytest.fixture
def world(rule: Rule) -> World:
    return World(DIGITS, Module(network), rule, tasks=2)


@pytest.fixture(scope="session")
def digits() -> Callable[[Rule], World]:
    """The world of one task a seed for a rule."""
    return lambda rule: World(DIGITS, Module(network), rule)


@pytest.fixture(scope="session")
def start() -> Callable[..., State]:
    """Newborn lives of some seeds."""
    return lambda world, seeds=(0,), engine=Functional(): Loop(world, engine, ()).start(seeds).state


@pytest.fixture(scope="session")
def perturbed() -> Callable[[World, State], State]:
    """The life a few steps old with slots moved off their start, where some derivatives vanish."""

    def perturb(state: State) -> State:
        generator = torch.Generator().manual_seed(0)

        def move(leaf: Tensor) -> Tensor:
            return leaf + 0.1 * torch.randn(leaf.shape, generator=generator, dtype=torch.float64)

        return replace(state, slots={k: move(v) if v.is_floating_point() else v for k, v in state.slots.items()})

    return perturb
