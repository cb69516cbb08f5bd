"""rule=program: on both engines, on every task that it fits, with a program of its own in each life."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import FULL
from sandbox.core.error import ConfigError, SandboxError
from sandbox.core.protocols import Engine, Level, World
from sandbox.core.record import Verdict
from sandbox.core.state import State, repeat_seeds
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.es import ES
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.reflective import Reflective
from sandbox.meta_learner.self_adaptive import SelfAdaptive
from sandbox.model.linear import Linear
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.program.library import library, named
from sandbox.program.tensor import encode
from sandbox.rule.program import Program
from sandbox.rule.sgd import SGD
from sandbox.task.data import Data
from sandbox.task.few_shot_digits import FewShotDigits
from sandbox.task.noisy_digits import NoisyDigits
from sandbox.task.noisy_regression import NoisyRegression
from sandbox.task.quadratic import Quadratic
from sandbox.task.sinusoid import Sinusoid

HUBER_AT_A_CONSTANT = "loss amounts\n d = sub p y\n size = abs d\n c = min 1.5 size\n loss = mul c size\n return loss"


def regression(rule: Any, tasks: int = 1, **more: Any) -> World:
    task = NoisyRegression(train=16, points=8, dtype="float64")
    return World(task, Module(lambda: Linear(4, 1, "float64")), rule, tasks, **more)


def begun(world: World, seeds: int = 2, engine: Engine | None = None) -> State:
    return Loop(world, engine or Functional(), (), check=False).start(range(seeds)).state


def lived(world: World, state: State, engine: Engine | None = None) -> State:
    return (engine or Functional()).unroll(world, state, 4, "life", None)[0]


@pytest.mark.parametrize("update", ["sgd", "adam", "lion"])
def test_both_engines_live_the_same_life(update: str) -> None:
    world = regression(Program("huber", update, lr=0.05))
    one, other = (lived(world, begun(world), engine) for engine in (Functional(), Higher()))
    torch.testing.assert_close(one.params, other.params, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one.slots, other.slots, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("task", [NoisyDigits(train=64), FewShotDigits(), Data("load_iris")])
def test_classes_are_learned_by_every_loss_of_classes(task: Any) -> None:
    model = Module(lambda: MLP(task.inputs, task.outputs, (4,)))
    for name, one in library().items():
        if one.signature == "loss classes":
            world = World(task, model, Program(name, lr=0.01))
            state = begun(world, 1)
            assert not torch.equal(_flat(lived(world, state)), _flat(state)), name
            assert torch.isfinite(Functional().own_losses(world, state, "practice", "own")).all()


@pytest.mark.parametrize("task", [Sinusoid(), Data("load_diabetes", scale="standard")])
def test_amounts_are_learned_by_every_loss_of_amounts(task: Any) -> None:
    model = Module(lambda: MLP(task.inputs, 1, (4,)))
    for name, one in library().items():
        if one.signature == "loss amounts":
            world = World(task, model, Program(name, lr=0.01))
            state = begun(world, 1)
            assert not torch.equal(_flat(lived(world, state)), _flat(state)), name


def test_without_a_loss_program_the_objective_is_the_tasks_own() -> None:
    def bowl(rule: Any) -> State:
        world = World(Quadratic(), Module(lambda: Vector(4)), rule)
        return lived(world, begun(world))

    assert torch.equal(_flat(bowl(Program(None, lr=0.1))), _flat(bowl(SGD(lr=0.1))))
    phi = Program(None).init({"w": torch.zeros(4)})
    assert {*phi} == {"update", "constants", "lr"}
    assert {*Program(None).written(phi)} == {"update"}
    assert Program(None).fault(phi) == ""


def test_own_losses_are_those_of_each_example_alone() -> None:
    world = regression(Program("cauchy"))
    state = begun(world)
    own = Functional().own_losses(world, state, "train", "life")
    _, seen = Functional().unroll(world, state, 1, "life", None)
    torch.testing.assert_close(own.mean(dim=1), seen[0], rtol=1e-12, atol=1e-12)


def test_lives_with_programs_of_their_own_are_each_as_it_is_alone() -> None:
    """A batch of unlike programs, of example and of output losses, against each in a batch of its own."""
    world = regression(Program("squared_error", "momentum", lr=0.01))
    state = repeat_seeds(begun(world, 1), 4)
    losses, updates = ("huber", "absolute_error", "cauchy", "huber"), ("adam", "sgd", "adam", "lion")
    rule = {name: leaf.clone() for name, leaf in state.rule.items()}
    for row, names in enumerate(zip(losses, updates, strict=True)):
        for place, (kind, name) in enumerate(zip(("loss", "update"), names, strict=True)):
            rule[kind][row], rule["constants"][row, place] = encode(named(name))
    together = lived(world, replace(state, rule=rule))
    for row, (loss, update) in enumerate(zip(losses, updates, strict=True)):
        alone = regression(Program(loss, update, lr=0.01))
        torch.testing.assert_close(
            _flat(lived(alone, begun(alone, 1)))[0], _flat(together)[row], rtol=1e-12, atol=1e-12
        )


def test_every_life_may_have_a_rule_of_its_own() -> None:
    lanes = frozenset({"params", "slots", "task", "rule"})
    one, shared = (regression(Program("huber", "adam"), 3, **more) for more in ({"per_lane": lanes}, {}))
    torch.testing.assert_close(lived(one, begun(one)).params, lived(shared, begun(shared)).params)
    assert begun(one).rule["loss"].shape[0] == 6


@pytest.mark.parametrize(("loss", "update"), [(HUBER_AT_A_CONSTANT, "momentum"), ("huber", "adamw"), (None, "rmsprop")])
def test_hypergradients_of_constants_are_central_differences(loss: str | None, update: str) -> None:
    """Through update programs too, at each constant that is used."""
    world = regression(Program(loss, update, lr=0.02))
    state = begun(world, 1)

    def outcome(constants: Tensor, taped: bool) -> Tensor:
        now = replace(state, rule=state.rule | {"constants": constants})
        after, _ = Functional().unroll(world, now, 4, "life", FULL if taped else None)
        return Functional().scores(world, after, "practice", "life").mean()

    constants = state.rule["constants"].clone().requires_grad_()
    (slope,) = torch.autograd.grad(outcome(constants, True), constants)
    at = constants.detach()
    for place in map(tuple, at.nonzero().tolist()):
        if float(at[place]) == 1e-8:
            continue  # beside which a nudge is no small one
        nudge = torch.zeros_like(at)
        nudge[place] = 1e-6
        there, back = (outcome(at + sign * nudge, False) for sign in (1, -1))
        assert float(slope[place]) == pytest.approx(float((there - back) / 2e-6), rel=2e-4, abs=1e-7), place


def test_a_program_without_constants_has_derivative_zero_in_them() -> None:
    level = Level(MetaGradient(edits=("rule/constants",), lr=0.1), Always(), 3)
    loop = Loop(regression(Program()), Functional(), (level,), check=False)
    *_, record = loop.run([0], 2)
    assert record.verdict == [Verdict.ACCEPTED]
    assert float(record.state.rule["constants"].abs().sum()) == 0


EDITORS = (MetaGradient(edits=("rule",)), Reflective(edits=("rule/loss", "rule/lr")), ES(edits=("rule",), most=999),
           SelfAdaptive(edits=("rule/update",), most=999))  # fmt: skip


@pytest.mark.parametrize("editor", EDITORS)
def test_programs_have_no_slope_and_take_no_noise(editor: Any) -> None:
    loop = Loop(regression(Program()), Functional(), (Level(editor, Always(), 2),), check=False)
    with pytest.raises(ConfigError, match=r"whole ones at .*Name real ones"):
        loop.start([0])


@pytest.mark.parametrize(("rule", "task", "says"), [
    ({"loss_program": "cross_entropy"}, Sinusoid(), "loss amounts"),
    ({"loss_program": "squared_error"}, NoisyDigits(), "loss classes"),
    ({"loss_program": "squared_error"}, Quadratic(), "null for the task's own"),
    ({"loss_program": "dpo"}, NoisyDigits(), "no task has preferences"),
])  # fmt: skip
def test_a_loss_that_the_task_has_nothing_for_is_refused(rule: dict[str, Any], task: Any, says: str) -> None:
    model = Module(lambda: MLP(task.inputs, task.outputs, (4,)))
    with pytest.raises(SandboxError, match=says):
        begun(World(task, model, Program(**rule)), 1)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("loss_program", "sgd"),
        ("update_program", "huber"),
        ("loss_program", "hubr"),
        ("update_program", "update\n return m"),
    ],
)
def test_what_is_no_program_of_its_kind_is_refused_with_its_place(field: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"rule\.{field}"):
        Program(**{field: words})


@pytest.mark.parametrize("number", ["1e300", "1e-60"])
def test_a_constant_that_the_weights_dtype_cannot_hold_is_refused(number: str) -> None:
    rule = Program(f"loss amounts; d = sub p y; e = mul {number} d; f = abs e; return f")
    assert rule.fault(rule.init({"w": torch.zeros(1, dtype=torch.float64)})) == ""
    with pytest.raises(ConfigError, match=r"rule\.loss_program that torch\.float32 can hold"):
        rule.init({"w": torch.zeros(1)})


def test_a_fault_of_phi_is_told_and_an_edit_of_the_other_kind_is_one() -> None:
    rule = Program("huber", "adam")
    phi = rule.init({"w": torch.zeros(3)})
    assert rule.fault(phi) == ""
    broken = phi["loss"].clone()
    broken[2, 1] = 23  # the first instruction uses what stands behind it
    assert "instruction 1" in rule.fault(phi | {"loss": broken})
    other, _ = encode(named("cross_entropy"))
    assert "loss classes" in rule.fault(phi | {"loss": other})


def _flat(state: State) -> Tensor:
    return torch.cat([leaf.flatten(1) for leaf in state.params.values()], dim=1)
