"""Every rule of conf/rule in a small world in float64, under each engine that runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from sandbox.config import build
from sandbox.core.error import ConfigError
from sandbox.core.finding import Finding
from sandbox.core.protocols import Engine, Reach, Rule, World
from sandbox.core.state import State
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher, NeedsOptimizer
from sandbox.loop.reflect import Loop
from sandbox.model.module import Module
from sandbox.task.coin_grid import CoinGrid
from sandbox.task.noisy_digits import NoisyDigits

CONF = Path(__file__).parents[2] / "conf" / "rule"
NODES: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
NODES["program"]["loss_program"] = "gce"  # the small world is one of classes; this one has a constant
ELSEWHERE = ("environments", "planning")  # each wants a task of its own, where tests/rule and the contract try it
RULES: dict[str, Rule] = {name: build(node, "rule") for name, node in NODES.items() if name not in ELSEWHERE}
RULES["sgd per parameter"] = build(NODES["sgd"] | {"per_parameter": True}, "rule")
OURS = {name: rule for name, rule in RULES.items() if not isinstance(rule, NeedsOptimizer)}
DIGITS = NoisyDigits(dtype="float64", train=60, practice=20, gate=20, batch=8)
GRID = CoinGrid(size=2, steps=3, episodes=20, elsewhere=0.5, dtype="float64")

Make = Callable[..., World]


class Unrehearsed(Functional):
    """It begins lives that it could not go on with."""

    def rehearse(self, world: World, state: State) -> None:
        pass

    def examine(self, world: World, seed: int) -> Sequence[Finding]:
        return ()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 10)).double()


def acting() -> nn.Module:
    return nn.Sequential(nn.Linear(GRID.inputs, 4), nn.Tanh(), nn.Linear(4, GRID.outputs)).double()


def learns(rule: Rule) -> bool:
    """Whether a rule can learn from digits; otherwise it learns from acting."""
    model = Module(network)
    params, noise = model.init(0), torch.zeros(2 * 1797 * 2, dtype=torch.float64)
    task = DIGITS.draw(noise[: DIGITS.noise["draw"]], held_out=False)
    batch = DIGITS.sample(task, lambda x: x, noise[: DIGITS.noise["train"]], "train")
    reach = Reach(model.apply, lambda prediction, batch: DIGITS.objective(task, prediction, batch))
    try:
        rule.loss(rule.init(params), params, rule.slots(params), batch, reach)
    except ConfigError:
        return False
    return True


@pytest.fixture(params=OURS)
def rule(request: pytest.FixtureRequest) -> Rule:
    """Each rule that both engines run."""
    return OURS[request.param]


@pytest.fixture(params=[Functional(), Higher()], ids=["functional", "higher"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


ACTING = [rule for rule in RULES.values() if not learns(rule)]
PAIRS = [(rule, Functional()) for rule in OURS.values()] + [(rule, Higher()) for rule in RULES.values()]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{type(pair[0]).__name__}-{type(pair[1]).__name__}")
def pair(request: pytest.FixtureRequest) -> tuple[Rule, Engine]:
    """Each rule under each engine that runs it."""
    return request.param


@pytest.fixture(params=[pair for pair in PAIRS if not any(pair[0] is rule for rule in ACTING)],
                ids=lambda pair: f"{type(pair[0]).__name__}-{type(pair[1]).__name__}")  # fmt: skip
def given(request: pytest.FixtureRequest) -> tuple[Rule, Engine]:
    """Each rule whose data are given, whatever it does: what one collects by acting jumps as weights move, and only the
    mean over all that may happen has a slope."""
    return request.param


@pytest.fixture(scope="session")
def make() -> Make:
    """The world of a rule; `tasks` a seed."""

    def world(rule: Rule, tasks: int = 1) -> World:
        acts = any(rule is each for each in ACTING)
        return World(GRID if acts else DIGITS, Module(acting if acts else network), rule, tasks)

    return world


@pytest.fixture(scope="session")
def begin() -> Callable[[World, Sequence[int]], State]:
    """Newborn lives, one or more a seed, whatever engine runs them."""
    return lambda world, seeds: Loop(world, Unrehearsed(), ()).start(seeds).state
