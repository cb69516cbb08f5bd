"""What was learned at other lengths of life: against loops written by hand, and against the life that the run lives."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Level, World
from sandbox.core.state import State
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.gate.always import Always
from sandbox.loop.probe import LoopProbe
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.none import Nothing
from sandbox.meta_learner.reflector import Reflector
from sandbox.meta_learner.self_adaptive import SelfAdaptive
from sandbox.meter.evaluation import Evaluation, diverged, evaluated, median
from sandbox.meter.performance import Performance
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.rule.optimizer import Optimizer
from sandbox.rule.sgd import SGD
from sandbox.task.sinusoid import Sinusoid

TASK = Sinusoid(shots=4, dtype="float64", test=20)
WORLD = World(TASK, Module(lambda: MLP(1, 1, (6,), dtype="float64")), SGD(lr=0.02), tasks=3)
MAML = Level(MetaGradient(), Always(), horizon=1, lifetime="episodic")
PERSISTENT = Level(Nothing(), Always(), horizon=2)


def lived(*levels: Level, world: World = WORLD, steps: int = 2, meters=()) -> tuple[Loop, LoopProbe, dict]:
    loop = Loop(world, Functional(), levels, meters)
    *_, first, last = list(loop.run(range(2), steps))
    return loop, LoopProbe(loop.within(world, steps), last.state, first.state, steps), last.readings


def by_hand(state: State, seed: int, lane: int, steps: int) -> dict[str, torch.Tensor]:
    """Gradient descent from a seed's init on the points of one lane."""
    weights = {name: leaf[seed].clone() for name, leaf in state.init.items()}
    task = {name: leaf[lane] for name, leaf in state.task.items()}
    batch = TASK.sample(task, torch.neg, torch.zeros(0), "train")
    for _ in range(steps):
        at = {name: weight.requires_grad_() for name, weight in weights.items()}
        loss = TASK.objective(task, WORLD.model.apply(at, batch["x"]), batch).mean()
        grads = torch.autograd.grad(loss, list(at.values()))
        rates = state.rule["lr"][seed]
        weights = {
            name: (weight - rates * grad).detach() for (name, weight), grad in zip(at.items(), grads, strict=True)
        }
    return weights


# ---- lives of any length --------------------------------------------------------------------------------------------


def test_a_fresh_life_of_any_length_is_descent_by_hand() -> None:
    _, probe, _ = lived(MAML)
    found = probe.after(replace(WORLD, tasks=2), [0, 1, 7], "evaluation/0")
    for steps, state in found.items():
        for lane in range(4):
            for name, weight in by_hand(state, lane // 2, lane, steps).items():
                torch.testing.assert_close(state.params[name][lane], weight, rtol=1e-11, atol=1e-12)
    assert all(torch.equal(found[0].task[name], found[7].task[name]) for name in found[0].task)


def test_its_tasks_are_neither_those_of_training_nor_those_of_the_probe() -> None:
    _, probe, _ = lived(MAML)
    mine = probe.after(WORLD, [0], "evaluation/0")[0].task["amplitude"]
    seen = torch.cat([probe.state.task["amplitude"], probe.adapted(WORLD)[0].task["amplitude"]])
    assert not set(mine.tolist()) & set(seen.tolist())


def test_fewer_tasks_are_the_first_of_more() -> None:
    _, probe, _ = lived(MAML)
    more, fewer = (evaluated(probe, WORLD, tasks, [0, 2])[2]["process"] for tasks in (120, 60))
    assert more.shape == (2, 120)
    assert torch.equal(more[:, :60], fewer)


def test_a_life_that_persists_goes_on_unedited() -> None:
    loop, probe, _ = lived(PERSISTENT)
    on, _ = loop.engine.unroll(WORLD, replace(probe.state, t=0), 5, "evaluation/0", None)
    found = probe.after(WORLD, [0, 5], "evaluation/0")
    assert all(torch.equal(found[0].params[name], probe.state.params[name]) for name in on.params)
    assert all(torch.equal(found[5].params[name], leaf) for name, leaf in on.params.items())
    for other in (replace(WORLD, tasks=4), replace(WORLD, task=replace(TASK, shots=5))):
        with pytest.raises(ConfigError, match="lives persist"):
            probe.after(other, [1], "evaluation/0")


def test_a_life_that_an_editor_lives_in_is_edited_as_in_the_run() -> None:
    """Two levels: 6 inner steps are three reflective steps of the reflector; the seventh is inside the fourth."""
    world = replace(WORLD, rule=SGD(lr=0.001), per_lane=frozenset({"params", "slots", "task", "rule"}))
    above = Level(MetaGradient(edits=("meta/1",), over="life"), Always(), horizon=3, lifetime="episodic")
    loop, probe, _ = lived(Level(Reflector(), Always(), horizon=2), above, world=world)
    found = probe.after(world, [0, 6, 7], "probe")
    whole = probe.adapted(world)[1]  # a whole horizon of the level above, on the same stream
    for name, leaf in whole.params.items():
        torch.testing.assert_close(found[6].params[name], leaf, rtol=1e-12, atol=1e-12)
    assert torch.equal(found[6].rule["lr"], whole.rule["lr"])
    assert not torch.equal(found[6].rule["lr"], found[0].rule["lr"])
    one, _ = loop.engine.unroll(world, replace(found[6], t=6), 1, "probe", None)
    assert all(torch.equal(found[7].params[name], leaf) for name, leaf in one.params.items())


def test_lives_that_have_an_editor_each_are_as_many_as_in_the_run() -> None:
    world = replace(WORLD, per_lane=frozenset({"params", "slots", "task", "rule"}), rule=SGD(lr=0.001))
    above = Level(Nothing(), Always(), horizon=3, lifetime="episodic")
    _, probe, _ = lived(Level(SelfAdaptive(), Always(), horizon=2), above, world=world)
    assert len(probe.after(world, [2], "evaluation/0")) == 1
    with pytest.raises(ConfigError, match=r"3 tasks a seed.*got 2"):
        probe.after(replace(world, tasks=2), [2], "evaluation/0")


def test_an_optimizer_that_lasts_one_unroll_lives_each_length_in_one() -> None:
    engine, world = Higher(), replace(WORLD, rule=Optimizer(optimizer="Adam", lr=0.01), tasks=1)
    loop = Loop(world, engine, (MAML,))
    *_, first, last = list(loop.run([0], 1))
    found = LoopProbe(loop.within(world, 1), last.state, first.state, 1).after(world, [1, 3], "evaluation/0")
    state = found[3]
    weights = [torch.nn.Parameter(leaf[0].clone()) for leaf in state.init.values()]
    batch = TASK.sample({name: leaf[0] for name, leaf in state.task.items()}, torch.neg, torch.zeros(0), "train")
    adam = torch.optim.Adam(weights, lr=0.01)
    for _ in range(3):
        adam.zero_grad()
        loss = TASK.objective({}, WORLD.model.apply(dict(zip(state.init, weights, strict=True)), batch["x"]), batch)
        loss.mean().backward()
        adam.step()
    for leaf, weight in zip(state.params.values(), weights, strict=True):
        torch.testing.assert_close(leaf[0], weight.detach(), rtol=1e-6, atol=1e-7)


# ---- readings -------------------------------------------------------------------------------------------------------


def test_the_readings_are_means_medians_and_shares_of_what_was_evaluated() -> None:
    _, probe, readings = lived(MAML, meters=(Evaluation(every=2, tasks=7, horizons=(3,)),))
    scores = evaluated(probe, WORLD, 7, [0, 3])
    for steps in (0, 3):
        process = scores[steps]["process"]
        assert torch.equal(readings[f"evaluation/process_{steps}"], process.mean(dim=1))
        assert torch.equal(readings[f"evaluation/median_{steps}"], process.sort(dim=1).values[:, 3])
        assert readings[f"evaluation/diverged_{steps}"].tolist() == [0, 0]
    assert {name.rpartition("_")[0] for name in readings} == {
        f"evaluation/{name}" for name in ("process", "own", "median", "diverged")}  # fmt: skip


def test_a_life_that_persists_reads_what_performance_reads_of_it() -> None:
    from sandbox.task.noisy_digits import NoisyDigits

    world = World(NoisyDigits(train=200, practice=50, gate=50, dtype="float64"),
                  Module(lambda: MLP(64, 10, dtype="float64")), SGD(lr=0.1))  # fmt: skip
    meters = (Performance(every=2), Evaluation(every=2, horizons=(4,)))
    _, _, readings = lived(PERSISTENT, world=world, meters=meters)
    for name in ("process", "human", "calibrated"):
        assert torch.equal(readings[f"evaluation/{name}_0"], readings[f"performance/{name}"])
    assert bool((readings["evaluation/process_4"] < readings["evaluation/process_0"]).all())


def test_what_diverged_is_counted_and_the_median_holds() -> None:
    before = torch.tensor([[1.0, 2.0, 3.0, nan], [-1.0, -2.0, -3.0, -4.0]])
    process = torch.tensor([[nan, inf, 29.0, 31.0], [7.9, 8.1, -1.0, nan]])
    assert diverged(process, before).tolist() == [[True, True, False, True], [False, True, False, True]]
    assert diverged(process, before, 8.0).tolist() == [[True, True, True, True], [False, True, False, True]]
    assert median(torch.tensor([[nan, 1.0, 2.0], [3.0, inf, nan]])).tolist() == [2.0, inf]
    assert median(torch.tensor([[4.0, 1.0, 2.0, 8.0]])).tolist() == [3.0]


@pytest.mark.parametrize("fields", [{"tasks": 0}, {"horizons": ()}, {"horizons": (-1,)}])
def test_what_can_not_be_evaluated_is_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match="horizons of 0"):
        Evaluation(**fields)
