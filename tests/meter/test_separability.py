"""MI, LSCC, LCD and IOG of a reflective step, against the exact Jacobian and a run by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sandbox.core.protocols import Level, World
from sandbox.core.record import Record
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.probe import LoopProbe
from sandbox.loop.reflect import Loop
from sandbox.measure.cut import loop_cut
from sandbox.measure.integrability import integrability
from sandbox.measure.modes import merge_index
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.none import Nothing
from sandbox.meter.reflection import reflection
from sandbox.meter.separability import Separability
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.rule.sgd import SGD
from sandbox.task.quadratic import Quadratic
from tests.meter.test_meters import MODEL, TASK, plain

SEEDS = range(3)
EDITOR = MetaGradient(edits=("rule",), lr=0.01, optimizer="sgd")


def loop(level: Level, *meters: object) -> Loop:
    world = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.05))
    return Loop(world, Functional(), (level,), meters)  # type: ignore[arg-type]


def last(lived: Loop, steps: int = 1) -> Record:
    return plain(list(lived.run(SEEDS, steps))[-1])


def test_a_carried_life_reads_what_its_exact_jacobian_does() -> None:
    lived = loop(Level(EDITOR, Always(), horizon=2), Separability(cut=5))
    record = last(lived)
    step = reflection(LoopProbe(lived, record.state, record.state, 1))
    assert step is not None
    flat = step.flat
    jacobian = torch.autograd.functional.jacobian(lambda z: step.after(
        {"rule/lr": z[:, 0], "meta/1/lr": z[:, 1], "params/w": z[:, 2:]}), flat).numpy()  # fmt: skip
    for s in SEEDS:
        exact = jacobian[s, :, s]
        assert record.readings["separability/mi"][s] == pytest.approx(merge_index(exact, [0, 1]).value)
        assert record.readings["separability/iog"][s] == pytest.approx(integrability(exact).gap)
        assert record.readings["separability/lscc"][s] == pytest.approx(5 / 6)  # nothing rewrites psi, the editor's lr

        def alone(z: torch.Tensor, s: int = s) -> torch.Tensor:
            return step.step(torch.stack([z if r == s else flat[r] for r in SEEDS]))[s]

        by_hand = loop_cut(alone, flat[s], [0, 1], 5, compared=[0]).divergence[-1]
        assert record.readings["separability/lcd"][s] == pytest.approx(by_hand)
        assert by_hand > 0


def test_a_life_that_starts_anew_is_a_hierarchy() -> None:
    record = last(loop(Level(EDITOR, Always(), horizon=2, lifetime="episodic"), Separability(cut=3)))
    for name in ("mi", "lcd"):
        assert record.readings[f"separability/{name}"] == [0, 0, 0]
    assert record.readings["separability/lscc"] == pytest.approx([4 / 6] * 3)  # the weights alone are the largest part


def test_a_frozen_rule_is_a_hierarchy_too() -> None:
    record = last(loop(Level(Nothing(), Always(), horizon=2), Separability(cut=3)))
    assert record.readings["separability/lcd"] == [0, 0, 0]
    assert record.readings["separability/lscc"] == pytest.approx([4 / 5] * 3)


@pytest.mark.parametrize(("trust", "merged"), [(0.0, False), (0.5, True)])
def test_large_systems_are_read_by_graph_and_cut_alone(trust: float, merged: bool) -> None:
    world = World(TASK, MODEL, SelfDistillation(trust=trust, lr=0.1))
    record = last(Loop(world, Functional(), (Level(Nothing(), Always(), horizon=3),), (Separability(cut=3),)), 3)  # type: ignore[arg-type]
    assert set(record.readings) == {"separability/lscc", "separability/lcd"}
    share = record.readings["separability/lscc"]
    if merged:  # teacher and weights rewrite each other; the age only counts
        assert all(value > 0.99 for value in share)
    else:
        assert share == pytest.approx([0.5] * 3, abs=2e-3)
    # The teacher follows the weights either way; that its age counts the same in both courses does not dilute it.
    assert all(value > 0.05 for value in record.readings["separability/lcd"])


def test_a_seed_that_diverges_reads_nan_and_the_others_go_on() -> None:
    lived = loop(Level(EDITOR, Always(), horizon=2), Separability(cut=3))
    state = last(lived).state
    before = Separability(cut=6).read(LoopProbe(lived, state, state, 1))
    state.params["w"][1] = 1e60
    found = Separability(cut=6).read(LoopProbe(lived, state, state, 1))
    assert np.isnan(found["separability/lcd"].numpy()).tolist() == [False, True, False]
    for name, value in found.items():
        assert value[[0, 2]].tolist() == before[name][[0, 2]].tolist()
