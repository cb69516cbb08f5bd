"""A broken contract has a name: every author's seam, in one line, before the first step."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sandbox.core.edit import Edit
from sandbox.core.error import ContractError, EditError, SandboxError
from sandbox.core.protocols import Level, Needs, Params, Seen, World
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.none import Nothing
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.rule.momentum import Momentum
from sandbox.rule.sgd import SGD
from sandbox.task.noisy_digits import NoisyDigits
from sandbox.task.sinusoid import Sinusoid

TASK, RULE = Sinusoid(), SGD(lr=0.01)
ENGINES = pytest.mark.parametrize("engine", [Functional(), Higher()], ids=["functional", "higher"])


NET = partial(MLP, 1, 1, (4,))


def world(task: Any = TASK, rule: Any = RULE, net: Callable[[], nn.Module] = NET) -> World:
    return World(task, Module(net), rule)


def told(world: World, engine: Any = None) -> str:
    """What is said of a world before its first step, in one line."""
    with pytest.raises(SandboxError) as caught:
        Loop(world, engine or Functional(), ()).start([0, 1])
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ContractError)
    return str(caught.value)


def broken(base: type, **methods: Any) -> Any:
    """A member of which some methods are others."""
    return type(base.__name__, (base,), methods)()


def scalar_objective(self, task, prediction, batch):
    return (prediction - batch["y"]).square().mean()


def no_x(self, task, params, noise, split):
    return {"inputs": noise[:, None].float(), "y": noise[:, None].float()}


def no_dict(self, task, params, noise, split):
    return noise[:, None].float()


def beyond_its_noise(self, task, params, noise, split):
    return {"x": noise[[99]].float()[:, None], "y": noise[:1].float()[:, None]}


def doubles(self, task, params, noise, split):
    return {"x": task["train"][:, None], "y": task["train"][:, None]}


def column(self, task, prediction, batch):
    return (prediction - batch["y"]).square()


def from_torch(self, task, params, noise, split):
    return {"x": torch.randn(10, 1), "y": torch.zeros(10, 1)}


def from_numpy(self, task, params, noise, split):
    return {"x": torch.as_tensor(np.random.rand(10, 1), dtype=torch.float32), "y": torch.zeros(10, 1)}


def from_python(self, task, params, noise, split):
    return {"x": torch.full((10, 1), random.random()), "y": torch.zeros(10, 1)}


@ENGINES
@pytest.mark.parametrize(("methods", "words"), [
    ({"objective": scalar_objective}, r"Sinusoid.objective: one number an example, shape [10]; got torch.float32 []"),
    ({"objective": column}, "Sinusoid.objective: one number an example, shape [10]; got torch.float32 [10, 1]"),
    ({"sample": no_x}, "at least `x` [n, …]; got ['inputs', 'y']"),
    ({"sample": no_dict}, "at least `x` [n, …]; got Tensor"),
    ({"sample": beyond_its_noise}, "from noise [0] (`noise` of the task says how many); got IndexError"),
    ({"sample": doubles}, "inputs `x` of the weights' torch.float32; got torch.float64 [10, 1]"),
    ({"sample": from_torch}, "All randomness is drawn beforehand"),
    ({"sample": from_numpy}, "got a draw from a global generator"),
    ({"sample": from_python}, "got a draw from a global generator"),
], ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else "")  # fmt: skip
def test_a_task_is_told_what_it_promised(methods: Mapping[str, Any], words: str, engine: Any) -> None:
    assert words in told(world(broken(Sinusoid, **methods)), engine)


@ENGINES
def test_a_network_with_other_outputs_is_told(engine: Any) -> None:
    said = told(world(net=partial(MLP, 1, 3, (4,))), engine)
    assert "Module.apply: predictions [10, …, 1] for x [10, 1]; got torch.float32 [10, 3]" in said
    assert "outputs" in said
    said = told(world(net=partial(MLP, 2, 1, (4,))), engine)  # other inputs
    assert "Module.apply: predictions [10, …, 1] for x [10, 1]; got RuntimeError: mat1 and mat2" in said


def loss_per_example(self, phi, params, slots, batch, reach):
    return reach.objective(reach.predict(params, batch["x"]), batch)


def loses_a_weight(self, phi, params, grads, slots):
    return {name: weight for name, weight in params.items() if "bias" not in name}, slots


def halves(self, phi, params, grads, slots):
    return {name: weight.half() for name, weight in params.items()}, slots


def forgets_slots(self, phi, params, grads, slots):
    return params


@ENGINES
@pytest.mark.parametrize(("methods", "words"), [
    ({"loss": loss_per_example}, "SGD.loss: a scalar, shape []; got torch.float32 [10]. Take the mean"),
    ({"update": loses_a_weight}, "'layers.0.bias' missing for torch.float32 [4]"),
    ({"update": halves}, "'layers.0.bias' torch.float16 [4] for torch.float32 [4]"),
    ({"update": forgets_slots}, "SGD.update: (weights, slots), each of the kind that came in; got"),
], ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else "")  # fmt: skip
def test_a_rule_is_told_what_it_promised(methods: Mapping[str, Any], words: str, engine: Any) -> None:
    assert words in told(world(rule=broken(SGD, **methods)), engine)


# ---- nothing is written in place ------------------------------------------------------------------------------------


def writes_weights(self, phi, params, grads, slots):
    for name in params:
        params[name].sub_(phi["lr"] * grads[name])
    return params, slots


def writes_weights_by_another_way(self, phi, params, grads, slots):
    for name in params:
        params[name].detach().sub_(phi["lr"] * grads[name])
    return params, slots


def writes_phi(self, phi, params, grads, slots):
    phi["lr"].mul_(2)
    return params, slots


def writes_slots(self, phi, params, grads, slots):
    for leaf in slots.values():
        leaf.add_(1)
    return params, slots


def loss_writes_its_task(self, phi, params, slots, batch, reach):
    batch["x"].mul_(2)
    for leaf in slots.values():
        leaf.detach().add_(1)
    return reach.objective(reach.predict(params, batch["x"]), batch).mean()


@ENGINES
@pytest.mark.parametrize("methods", [
    {"update": writes_weights}, {"update": writes_weights_by_another_way}, {"update": writes_phi},
    {"update": writes_slots}, {"loss": loss_writes_its_task},
], ids=lambda value: next(iter(value.values())).__name__)  # fmt: skip
def test_a_rule_that_writes_in_place_is_noticed(methods: Mapping[str, Any], engine: Any) -> None:
    said = told(world(rule=broken(Momentum, **methods)), engine)
    assert "a write in place. Build new tensors" in said


@dataclass(frozen=True)
class LateWriter(SGD):
    """Writes in place only where the rehearsal does not look: with the tape on."""

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        if torch.is_grad_enabled():
            return writes_weights(self, phi, params, grads, slots)
        return super().update(phi, params, grads, slots)


def test_a_write_in_place_is_noticed_at_every_step_and_leaves_the_state_alone(examined) -> None:
    from sandbox.meta_learner.meta_gradient import MetaGradient

    levels = (Level(MetaGradient(edits=("rule/lr",)), Always(), 2),)
    with pytest.raises(ContractError, match="a write in place"):
        Loop(world(rule=LateWriter()), Functional(), levels).start([0])
    loop = Loop(world(rule=LateWriter()), Functional(), levels, check=False)
    start = loop.start([0])
    with pytest.raises(ContractError, match="a write in place"):
        loop.reflect(1, start, 1, "life")


def test_data_that_torch_hides_from_its_counter_can_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(self, phi, params, grads, slots):
        params["layers.0.bias"].data.add_(1)
        return params, slots

    assert "accessing `data` under vmap" in told(world(rule=broken(SGD, update=hidden)))


# ---- what meta-learners return --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """Answers what `what` makes of psi and what is seen."""

    what: Callable[[Params, Seen], Any]
    vmapped: bool = True

    @property
    def needs(self) -> Needs:
        return Needs(edits=("rule/lr",), reads=("rule/lr",), vmapped=self.vmapped)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {"count": torch.zeros(())}

    def ask(self, psi: Params, seen: Seen) -> Any:
        return self.what(psi, seen)


def asked(what: Callable[[Params, Seen], Any]) -> str:
    loop = Loop(world(), Functional(), (Level(Answers(what), Always(), 2),))
    with pytest.raises(EditError) as caught:
        list(loop.run([0, 1], 1))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def branches(psi: Params, seen: Seen) -> tuple[Edit, Params]:
    return Edit({"rule/lr": seen.visible["rule/lr"] * 2} if seen.process > 1 else {}), psi


def test_an_answer_that_is_no_pair_is_told() -> None:
    assert "(Edit, psi) from Answers.ask; got NoneType. End it with" in asked(lambda psi, seen: None)
    assert "(Edit, psi) from Answers.ask; got Edit" in asked(lambda psi, seen: Edit())
    assert "got (Edit, NoneType)" in asked(lambda psi, seen: (Edit(), None))
    assert "got (dict, dict)" in asked(lambda psi, seen: ({}, psi))


def test_a_python_if_on_a_tensor_names_the_way_out() -> None:
    said = asked(branches)
    assert "use torch.where, or declare Needs(vmapped=False)" in said
    loop = Loop(world(), Functional(), (Level(Answers(branches, vmapped=False), Always(), 2),))
    assert list(loop.run([0, 1], 1))


def test_shapes_in_a_message_differ_where_the_shapes_do() -> None:
    said = asked(lambda psi, seen: (Edit({"rule/lr": seen.visible["rule/lr"][None]}), psi))
    assert "shape [] at 'rule/lr'; got torch.float32 of shape [1]" in said
    said = asked(lambda psi, seen: (Edit({"rule/lr": seen.visible["rule/lr"]}), {"count": psi["count"][None]}))
    assert "count: torch.float32 []" in said
    assert "count: torch.float32 [1]" in said


def test_what_is_well_formed_is_not_told() -> None:
    digits = NoisyDigits(train=60, practice=20, gate=20, batch=8)
    for task, net in ((TASK, partial(MLP, 1, 1, (4,))), (digits, partial(MLP, 64, 10, (4,)))):
        for engine in (Functional(), Higher()):
            for rule in (SGD(), Momentum()):
                Loop(replace(world(task, rule, net)), engine, (Level(Nothing(), Always(), 1),)).start([0, 1])


def test_the_rehearsal_leaves_no_mark() -> None:
    class Quiet(Functional):
        def rehearse(self, world: World, state: Any) -> None:
            pass

    before = torch.get_rng_state(), random.getstate()
    loud, quiet = (Loop(world(), engine, ()).start([0, 1]).state for engine in (Functional(), Quiet()))
    assert all(torch.equal(loud.params[name], weight) for name, weight in quiet.params.items())
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()


def test_numbers_in_place_of_tensors_are_told() -> None:
    said = told(world(rule=broken(SGD, init=lambda self, params: {"lr": 0.1})))
    assert "SGD.init: a tensor at 'lr'; got 0.1. Wrap it: torch.tensor(0.1)" in said
    loop = Loop(world(), Functional(), (Level(broken(Answers2, init=lambda self, edited: {"s": 1.0}), Always(), 2),))
    with pytest.raises(ContractError, match=r"Answers2.init: a tensor at 's'"):
        loop.start([0])


class Answers2(Nothing):
    """The null, under a name of its own."""


def test_a_float_in_an_edit_is_told() -> None:
    assert "Return tensors alone: torch.tensor(…)" in asked(lambda psi, seen: (Edit({"rule/lr": 0.1}), psi))  # type: ignore[dict-item]
