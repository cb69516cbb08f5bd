"""Every rule of conf/rule in a small world of real digits in float64, under each engine that runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

from sandbox.config import build
from sandbox.core.finding import Finding
from sandbox.core.protocols import Engine, Rule, World
from sandbox.core.state import State
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher, NeedsOptimizer
from sandbox.loop.reflect import Loop
from sandbox.model.module import Module
from sandbox.task.noisy_digits import NoisyDigits

CONF = Path(__file__).parents[2] / "conf" / "rule"
NODES: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
RULES: dict[str, Rule] = {name: build(node, "rule") for name, node in NODES.items()}
RULES["sgd per parameter"] = build(NODES["sgd"] | {"per_parameter": True}, "rule")
OURS = {name: rule for name, rule in RULES.items() if not isinstance(rule, NeedsOptimizer)}
DIGITS = NoisyDigits(dtype="float64", train=60, practice=20, gate=20, batch=8)

Make = Callable[..., World]


class Unrehearsed(Functional):
    """It begins lives that it could not go on with."""

    def rehearse(self, world: World, state: State) -> None:
        pass

    def examine(self, world: World, seed: int) -> Sequence[Finding]:
        return ()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 10)).double()


@pytest.fixture(params=OURS)
def rule(request: pytest.FixtureRequest) -> Rule:
    """Each rule that both engines run."""
    return OURS[request.param]


@pytest.fixture(params=[Functional(), Higher()], ids=["functional", "higher"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


PAIRS = [(rule, Functional()) for rule in OURS.values()] + [(rule, Higher()) for rule in RULES.values()]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{type(pair[0]).__name__}-{type(pair[1]).__name__}")
def pair(request: pytest.FixtureRequest) -> tuple[Rule, Engine]:
    """Each rule under each engine that runs it."""
    return request.param


@pytest.fixture(scope="session")
def make() -> Make:
    """The world of a rule; `tasks` a seed."""
    return lambda rule, tasks=1: World(DIGITS, Module(network), rule, tasks)


@pytest.fixture(scope="session")
def begin() -> Callable[[World, Sequence[int]], State]:
    """Newborn lives, one or more a seed, whatever engine runs them."""
    return lambda world, seeds: Loop(world, Unrehearsed(), ()).start(seeds).state
