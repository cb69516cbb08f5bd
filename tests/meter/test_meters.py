"""Meters on real runs, against what can be worked out another way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from sandbox.core.protocols import Level, World
from sandbox.core.record import Record
from sandbox.core.state import put
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.probe import LoopProbe
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.none import Nothing
from sandbox.meter.alignment import Alignment
from sandbox.meter.drift import Drift
from sandbox.meter.gap import Gap
from sandbox.meter.merge import Merge
from sandbox.meter.performance import Performance
from sandbox.meter.separability import Separability
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.rule.sgd import SGD
from sandbox.task.digits import classes
from sandbox.task.noisy_digits import NoisyDigits
from sandbox.task.quadratic import Quadratic
from sandbox.task.sinusoid import Sinusoid

SEEDS = range(3)
TASK = NoisyDigits(train=200, practice=50, gate=50, dtype="float64")
MODEL = Module(lambda: MLP(64, 10, dtype="float64"))
PLAIN = Level(Nothing(), Always(), horizon=5)


def last(loop: Loop, steps: int = 3) -> Record:
    return plain(list(loop.run(SEEDS, steps))[-1])


def plain(record: Record) -> Record:
    """The record with its readings as lists."""
    return replace(record, readings={name: value.tolist() for name, value in record.readings.items()})  # type: ignore[misc]


def digits(rule: SelfDistillation, meter: object) -> Loop:
    return Loop(World(TASK, MODEL, rule), Functional(), (PLAIN,), (meter,))


def test_performance_is_what_the_task_says_of_the_final_weights() -> None:
    record = last(digits(SelfDistillation(), Performance()))
    for s in range(len(SEEDS)):
        task = {name: leaf[s] for name, leaf in record.state.task.items()}
        weights = {name: leaf[s] for name, leaf in record.state.params.items()}
        batch = TASK.sample(task, weights, torch.zeros(0), "test")
        logits = MODEL.apply(weights, batch["x"])
        assert record.readings["performance/process"][s] == pytest.approx(float(cross_entropy(logits, batch["y"])))
        right = (logits.argmax(1) == classes()[batch["image"]]).double().mean()
        assert record.readings["performance/human"][s] == pytest.approx(float(right))
    calibrated, process = (record.readings[f"performance/{name}"] for name in ("calibrated", "process"))
    assert calibrated != process


def test_calibration_undoes_a_scale_of_the_logits() -> None:
    loop = digits(SelfDistillation(), Performance())
    state = last(loop).state
    louder = replace(state, params={name: leaf * (5 if name.startswith("layers.1") else 1)
                                    for name, leaf in state.params.items()})  # fmt: skip
    plain, loud = (loop.engine.scores(loop.world, s, "test", "probe", "calibrated").mean(1) for s in (state, louder))
    torch.testing.assert_close(plain, loud, rtol=1e-4, atol=0)


@pytest.mark.parametrize("trust", [0.0, 0.5, 1.0])
def test_merge_follows_the_closed_form_of_the_dial(trust: float) -> None:
    rule = SelfDistillation(trust=trust, lr=0.1, warm_up=10)
    record = last(digits(rule, Merge(probes=32, partitions=2, name="teacher", outer=("slots",))))
    rate, horizon = rule.teacher_rate, 5
    a = (1 - (1 - rate) ** horizon) / (rate * horizon)
    expected = trust * a / (1 - trust + 2 * trust * a)
    found = record.readings["teacher/m"]
    assert found == pytest.approx([expected] * 3, abs=0.06)
    if trust == 0:
        assert found == [0, 0, 0]


@pytest.mark.parametrize(("trust", "share"), [(0.0, 0.25), (0.5, 0.0)])
def test_merge_says_how_many_bounded_numbers_stand_at_a_bound(trust: float, share: float) -> None:
    readings = last(digits(SelfDistillation(trust=trust), Merge(probes=2, partitions=2))).readings
    assert readings["merge/near_bound"] == [share] * 3  # of lr, trust, q and scale
    assert min(readings["merge/error"]) >= 0
    world = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.1))
    level = Level(MetaGradient(edits=("rule",)), Always(), horizon=2)
    unbounded = last(Loop(world, Functional(), (level,), (Merge(probes=2, partitions=2),))).readings
    assert "merge/m" in unbounded
    assert "merge/near_bound" not in unbounded


def test_merge_is_not_read_where_tasks_share_a_seed() -> None:
    world = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.1), tasks=2)
    level = Level(MetaGradient(edits=("rule",)), Always(), horizon=2)
    assert last(Loop(world, Functional(), (level,), (Merge(), Separability()))).readings == {}


def test_merge_is_zero_where_every_life_starts_anew() -> None:
    world = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.1))
    level = Level(MetaGradient(edits=("rule",)), Always(), horizon=2, lifetime="episodic")
    record = last(Loop(world, Functional(), (level,), (Merge(probes=4, partitions=2),)))
    assert record.readings["merge/m"] == [0, 0, 0]  # forward, but no feedback
    assert record.readings["merge/outer_inner"] == [0, 0, 0]
    assert min(record.readings["merge/inner_outer"]) > 0


def test_merge_of_a_carried_life_is_that_of_its_exact_jacobian() -> None:
    world = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.05))
    level = Level(MetaGradient(edits=("rule",), lr=0.01, optimizer="sgd"), Always(), horizon=2)
    loop = Loop(world, Functional(), (level,), (Merge(probes=2000, partitions=1),))
    record = last(loop, 1)
    state = record.state
    probe = LoopProbe(loop, state, state, 1)

    def step(z: torch.Tensor) -> torch.Tensor:
        given = {"rule/lr": z[:, 0], "meta/1/lr": z[:, 1], "params/w": z[:, 2:]}
        after = probe.reflect(put(state, given), ("rule",))
        return torch.cat([after.rule["lr"][:, None], after.meta["1"]["lr"][:, None], after.params["w"]], dim=1)

    z = torch.cat([state.rule["lr"][:, None], state.meta["1"]["lr"][:, None], state.params["w"]], dim=1)
    jacobian = torch.autograd.functional.jacobian(step, z)
    for s in range(3):
        k = jacobian[s, :, s] - torch.eye(6)
        a, b, c, e = k[:2, :2].norm(), k[:2, 2:].norm(), k[2:, :2].norm(), k[2:, 2:].norm()
        assert record.readings["merge/m"][s] == pytest.approx(float(b * c / (b * c + a * e)), abs=0.05)
        assert record.readings["merge/outer_inner"][s] == pytest.approx(float(b), rel=0.1)
        assert k[0, 1] != 0  # psi decides how the rule is edited, and belongs to the outer side


def test_a_rule_whose_loss_is_the_process_objective_is_fully_aligned() -> None:
    loop = Loop(World(TASK, MODEL, SGD(lr=0.1)), Functional(), (PLAIN,), (Alignment(),))
    readings = last(loop).readings
    assert readings["alignment/cosine"] == pytest.approx([1] * 3)
    assert readings["alignment/rank"] == pytest.approx([1] * 3)


def test_a_teacher_pulls_away_from_lying_labels() -> None:
    liar = replace(TASK, rates=(0.6,))
    loop = Loop(World(liar, MODEL, SelfDistillation(trust=0.9)), Functional(), (PLAIN,), (Alignment(),))
    assert sum(last(loop).readings["alignment/cosine"]) / 3 < 0.9


def test_drift_is_the_relative_distance_and_phi_is_readable() -> None:
    world = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.5))
    level = Level(MetaGradient(edits=("rule/lr",), lr=0.1, optimizer="sgd"), Always(), horizon=1)
    record = last(Loop(world, Functional(), (level,), (Drift(),)))
    assert record.readings["rule/lr"] == record.state.rule["lr"].tolist()
    assert record.readings["drift/rule"] == pytest.approx([abs(lr - 0.5) / 0.5 for lr in record.readings["rule/lr"]])
    assert record.readings["drift/params"] == pytest.approx(record.state.params["w"].norm(dim=1).tolist())  # from zero


def test_gaps_are_differences_of_the_process_objective() -> None:
    loop = digits(SelfDistillation(), Gap())
    record = last(loop)
    gate, practice = (loop.engine.scores(loop.world, record.state, split, "probe").mean(1)
                      for split in ("gate", "practice"))  # fmt: skip
    assert record.readings["gap/practice_gate"] == pytest.approx((gate - practice).tolist())
    assert "gap/audit" not in record.readings  # lives persist: there is no other family here


def test_the_probe_set_stays_the_same_where_data_are_sampled_too() -> None:
    world = World(Sinusoid(shots=5), Module(lambda: MLP(1, 1, (4,))), SGD(lr=0.0))
    records = list(Loop(world, Functional(), (PLAIN,), (Performance(every=1), Gap(every=1))).run(SEEDS, 3))
    for name in ("performance/own", "performance/process", "gap/practice_gate"):  # nothing learns, so nothing may move
        assert len({tuple(record.readings[name].tolist()) for record in records}) == 1, name
