"""Distances of the three objectives on one set of agents, against what must hold by construction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Batch, Level, Params, Reach, World
from sandbox.core.record import Record
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.probe import LoopProbe
from sandbox.loop.reflect import Loop
from sandbox.measure.string import indirectness, slack
from sandbox.meta_learner.none import Nothing
from sandbox.meter import behaviours
from sandbox.meter.distance import Distance
from sandbox.meter.string import String
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.rule.sgd import SGD
from sandbox.task.noisy_digits import NoisyDigits
from sandbox.task.sinusoid import Sinusoid
from tests.meter.test_meters import plain

SEEDS = range(3)
TASK = NoisyDigits(train=200, practice=50, gate=50, dtype="float64")
MODEL = Module(lambda: MLP(64, 10, dtype="float64"))
PLAIN = Level(Nothing(), Always(), horizon=5)


def last(rule: object, *meters: object, task: object = TASK, model: Module = MODEL, level: Level = PLAIN) -> Record:
    return plain(list(Loop(World(task, model, rule), Functional(), (level,), meters).run(SEEDS, 3))[-1])  # type: ignore[arg-type]


@dataclass(frozen=True)
class Contrary(SGD):
    """Lives by the process's objective turned round."""

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, life: Reach) -> Tensor:
        return -super().loss(phi, params, slots, batch, life)


def test_an_agent_that_lives_by_the_process_objective_ranks_as_the_process_does() -> None:
    readings = last(SGD(lr=0.1), Distance(agents=40)).readings
    assert readings["distance/process_agent"] == pytest.approx([0] * 3, abs=1e-6)
    assert readings["distance/human_agent"] == pytest.approx(readings["distance/human_process"], abs=1e-6)
    assert all(0 < value < 0.7 for value in readings["distance/human_process"])


def test_an_agent_that_lives_by_the_opposite_ranks_the_other_way_round() -> None:
    readings = last(Contrary(lr=1e-3), Distance(agents=40)).readings
    assert readings["distance/process_agent"] == pytest.approx([1] * 3)


def test_human_distances_need_a_task_that_knows_the_human() -> None:
    model = Module(lambda: MLP(1, 1, (4,)))
    level = replace(PLAIN, lifetime="episodic")
    readings = last(
        SGD(lr=0.01), Distance(agents=20), String(agents=20), task=Sinusoid(), model=model, level=level
    ).readings
    assert set(readings) == {"distance/process_agent"}


def test_a_meter_leaves_the_run_as_it_was() -> None:
    plain, watched = last(SelfDistillation()), last(SelfDistillation(), Distance(every=1, agents=20))
    for name, leaf in plain.state.params.items():
        assert torch.equal(leaf, watched.state.params[name])


def test_the_string_is_read_off_the_three_distances() -> None:
    readings = last(SelfDistillation(trust=0.9), Distance(agents=40), String(agents=40)).readings
    triples = zip(
        *(readings[f"distance/{pair}"] for pair in ("human_process", "process_agent", "human_agent")), strict=True
    )
    expected = [(slack(*triple), indirectness(*triple)) for triple in triples]
    assert readings["string/slack"] == pytest.approx([one for one, _ in expected])
    assert readings["string/indirectness"] == pytest.approx([two for _, two in expected])
    assert max(readings["string/slack"]) > 0


def test_agents_are_fresh_along_the_life_noisy_and_optimised() -> None:
    """Of 40: ten fresh, ten from birth to now, ten noisy, and five each optimised for P and for A."""
    world = World(TASK, MODEL, SelfDistillation(trust=0.0, q=0.9))  # A is not P here
    loop = Loop(world, Functional(), (PLAIN,), ())
    records = list(loop.run(SEEDS, 3))
    probe = LoopProbe(loop, records[-1].state, records[0].state, 3)
    born, lived = probe.adapted(world)
    agents = list(behaviours._agents(probe, born, lived, 40))
    assert len(agents) == 40
    states = [replace(lived, params=params) for params in agents]
    process = torch.stack([loop.engine.scores(world, state, "practice", "probe").mean(1) for state in states])
    own = torch.stack([loop.engine.own_losses(world, state, "practice", "probe").mean(1) for state in states])
    path = [agent["layers.0.weight"] for agent in agents[10:20]]
    assert torch.equal(path[0], born.params["layers.0.weight"])
    assert torch.equal(path[-1], lived.params["layers.0.weight"])
    assert not torch.equal(path[4], path[-1])
    assert (process[31] < process[30]).all()
    assert (process[34] < process[19]).all()  # from now on, down P
    assert (own[39] < own[19]).all()  # and down A


def test_too_few_agents_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16 agents"):
        last(SGD(lr=0.1), Distance(agents=8))


def test_a_seed_whose_scores_are_not_finite_reads_nan_alone() -> None:
    loop = Loop(World(TASK, MODEL, SGD(lr=0.1)), Functional(), (PLAIN,), ())
    records = list(loop.run(SEEDS, 1))
    state = records[-1].state
    state.params["layers.0.weight"][1] = float("inf")
    found = Distance(agents=16).read(LoopProbe(loop, state, records[0].state, 1))
    for value in found.values():
        assert value.isnan().tolist() == [False, True, False]
