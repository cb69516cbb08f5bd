"""The audit, on the flaw that it is for: a rule that passes the gate of its own family by the family's symmetry."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Level, Needs, World
from sandbox.core.record import Verdict
from sandbox.engine.functional import Functional
from sandbox.gate.paired_t import PairedT
from sandbox.loop.reflect import Loop
from sandbox.meter.audit import Audit, other
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.program.fingerprint import answers_gradient
from sandbox.program.tensor import encode
from sandbox.program.text import parse
from sandbox.rule.program import Program
from sandbox.task.quadratic import Quadratic

HACK = parse("update\n  a = mul 1e-9 g\n  b = add w a\n  return b")
BOWL = Quadratic(curvature=(0.01, 0.1, 1.0), optimum="zero", log=True, dtype="float64")
PATHS = ("rule/update", "rule/constants")


class Hacks:
    """Asks for the update u = w, which shrinks the weights to 0 whatever the gradient says."""

    needs = Needs(edits=PATHS, reads=PATHS, vmapped=False)

    def init(self, edited):
        return {}

    def ask(self, psi, seen):
        code, numbers = encode(HACK, torch.float64)
        return Edit({"rule/update": code, "rule/constants": torch.stack([numbers, numbers])}), psi


def last(task: Quadratic, family):
    world = World(task, Module(lambda: Vector(3, 1.0, dtype="float64")), Program(None, "sgd", 0.9), tasks=4)
    level = Level(Hacks(), PairedT(trials=3), 20, "episodic")
    return list(Loop(world, Functional(), (level,), (Audit(tasks=6, family=family),), check=False).run([1, 2], 1))[-1]


def test_the_hack_passes_the_gate_of_its_family_and_neither_audit_nor_counterfactual():
    record = last(BOWL, {"optimum": "drawn"})
    assert record.verdict == [Verdict.ACCEPTED] * 2
    assert bool((record.readings["audit/own_family"] < -15).all())
    assert bool((record.readings["audit/other_family"] > -2).all())
    assert not answers_gradient(HACK)


def test_the_symmetry_broken_the_gate_itself_refuses_it():
    record = last(replace(BOWL, optimum="drawn"), {})
    assert record.verdict == [Verdict.REJECTED] * 2
    assert torch.equal(record.readings["audit/own_family"], record.readings["audit/other_family"])


def test_a_family_of_fields_that_the_task_lacks_is_refused():
    assert other(BOWL, {"curvature": [1, 2]}).curvature == (1, 2)
    with pytest.raises(ConfigError, match="optimum"):
        other(BOWL, {"optimun": "drawn"})
