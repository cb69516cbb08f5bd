"""Every meter says what each of its numbers means, and none that it never returns."""

from __future__ import annotations

from functools import cache

import pytest
import yaml
from torch import Tensor

from sandbox.config import build
from sandbox.core.protocols import Level, World
from sandbox.core.watch import Meter, Reading
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.none import Nothing
from sandbox.meta_learner.reflective import Reflective
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.rule.planning import Planning
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.rule.sgd import SGD
from sandbox.stage import SMALL
from sandbox.task.coin_levels import CoinLevels
from sandbox.task.quadratic import Quadratic
from sandbox.task.sinusoid import Sinusoid
from sandbox.task.slippery_grid import SlipperyGrid
from tests.meter.test_meters import MODEL, TASK
from tests.test_contract import CONF

MEMBERS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / "meter").glob("*.yaml"))}
METERS: dict[str, Meter] = {
    name: build(node | {key: value for key, value in SMALL.items() if key in node}, "meter")
    for name, node in MEMBERS.items()
}
HEADLINES = ["performance/process", "performance/calibrated", "performance/human"]


@cache
def runs() -> tuple[tuple[dict[str, Tensor], ...], ...]:
    """What all meters together read along five small runs, of which each makes some of them read more."""
    digits = World(TASK, MODEL, SelfDistillation())
    sines = World(Sinusoid(shots=5), Module(lambda: MLP(1, 1, (4,))), SGD(), tasks=2)
    bowl = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.05))
    coins = World(CoinLevels(size=3, square=2), Module(lambda: MLP(18, 5, (4,))), SGD())
    grid = World(SlipperyGrid(size=3), Module(lambda: Vector(45)), Planning(depth=2, states=9))
    plain = Level(Nothing(), Always(), horizon=1)
    levels = [
        (coins, plain),
        (grid, plain),
        (digits, Level(Reflective(mu=1.0), Always(), horizon=2)),
        (sines, Level(MetaGradient(edits=("init",)), Always(), horizon=2, lifetime="episodic")),
        (bowl, Level(MetaGradient(edits=("rule",), lr=0.01, optimizer="sgd"), Always(), horizon=2)),
    ]
    lived = [Loop(world, Functional(), (level,), tuple(METERS.values())).run([0, 1], 1) for world, level in levels]
    return tuple(tuple(dict(record.readings) for record in records) for records in lived)


def described(name: str, meter: Meter) -> Reading | None:
    """What the meter says of this name, itself or as a member of a family."""
    found = {reading.name: reading for reading in meter.readings}
    return found.get(name) or found.get(f"{name.partition('/')[0]}/*")


def test_no_meter_returns_what_none_describes() -> None:
    read = {name for records in runs() for readings in records for name in readings}
    assert not [name for name in read if not any(described(name, meter) for meter in METERS.values())]


@pytest.mark.parametrize("member", METERS)
def test_every_number_that_a_meter_describes_is_read_by_some_run(member: str) -> None:
    read = {name for records in runs() for readings in records for name in readings}
    names = [reading.name for reading in METERS[member].readings]
    assert len(set(names)) == len(names)
    assert not [name for name in names if not name.endswith("/*") and name not in read]
    assert all(
        name.removesuffix("*") in {key.rpartition("/")[0] + "/" for key in read} for name in names if "*" in name
    )


def test_no_two_meters_describe_the_same_number() -> None:
    names = [reading.name for meter in METERS.values() for reading in meter.readings]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("member", METERS)
def test_every_number_lies_in_the_range_that_it_is_said_to_have(member: str) -> None:
    for readings in (one for records in runs() for one in records):
        for name, value in readings.items():
            reading = described(name, METERS[member])
            if reading is not None:
                low, high = reading.range
                seen = value[~value.isnan()]
                assert low is None or (seen >= low - 1e-6).all(), name
                assert high is None or (seen <= high + 1e-6).all(), name


def test_the_headlines_are_the_objectives_and_each_merge_with_its_null() -> None:
    found = {reading.name: reading for meter in METERS.values() for reading in meter.readings if reading.headline}
    each = [f"evaluation/{name}_{steps}" for name in ("process", "human") for steps in (0, 1, 5, 10)]
    evaluated = [*each, "evaluation/diverged_10"]
    audited = ["audit/own_family", "audit/other_family"]
    assert list(found) == [*audited, *evaluated, "merge/m", "merge/null", *HEADLINES, "teacher/m", "teacher/null"]
    assert found["merge/m"].null == "merge/null"
    assert all(not reading.null or reading.null in found for reading in found.values())
