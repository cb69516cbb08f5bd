"""Static leaves: whole numbers of phi that shape a rule's computation, lives that share them run as one group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.protocols import Batch, Engine, Level, Needs, Params, Reach, Seen
from sandbox.core.state import put
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.engine.plan import plan_of
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.meta_gradient import MetaGradient

LOSSES = (lambda p: p, lambda p: p.sqrt(), lambda p: torch.log1p(p))


@dataclass(frozen=True)
class Programmed:
    """Its loss is one of three formulas, chosen in Python by a whole number of phi; it counts its calls."""

    calls: list[int] = field(default_factory=list[int])

    @property
    def static(self) -> tuple[str, ...]:
        return ("program",)

    def init(self, params: Params) -> Params:
        return {"program": torch.tensor([1, 0]), "lr": torch.tensor(0.1, dtype=torch.float64)}

    def readable(self, phi: Params) -> Params:
        return {"lr": phi["lr"]}

    def slots(self, params: Params) -> Params:
        return {}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        self.calls.append(1)
        formula = LOSSES[int(phi["program"][0])]
        return formula(reach.objective(reach.predict(params, batch["x"]), batch)).mean()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        sign = -1 if int(phi["program"][1]) == 0 else -2
        return {name: weight + sign * phi["lr"] * grads[name] for name, weight in params.items()}, slots


@pytest.fixture
def programs() -> Tensor:
    return torch.tensor([[0, 0], [1, 0], [0, 0], [2, 1]])  # of four seeds


@pytest.mark.parametrize("engine", [Functional(), Higher()], ids=["functional", "higher"])
def test_each_life_runs_its_own_program(engine: Engine, programs: Tensor, make, begin) -> None:
    world = make(Programmed(), tasks=2)
    state = put(begin(world, range(4)), {"rule/program": programs})
    together, own = engine.unroll(world, state, 3, "life", None)
    for s in range(4):
        alone = put(begin(world, [s]), {"rule/program": programs[s : s + 1]})
        after, its = engine.unroll(world, alone, 3, "life", None)
        torch.testing.assert_close(own[:, 2 * s : 2 * s + 2], its, rtol=1e-12, atol=0)
        for name, weight in after.params.items():
            torch.testing.assert_close(together.params[name][2 * s : 2 * s + 2], weight, rtol=1e-12, atol=1e-14)


def test_lives_with_the_same_program_run_as_one_group(programs: Tensor, make, begin) -> None:
    world = make(Programmed(), tasks=2)
    state = put(begin(world, range(4)), {"rule/program": programs})
    plan_of(world)  # it tries the rule, once
    world.rule.calls.clear()
    Functional().unroll(world, state, 1, "life", None)
    assert len(world.rule.calls) == 3  # programs, not seeds nor lanes


def test_own_losses_are_those_of_each_program(programs: Tensor, make, begin) -> None:
    world = make(Programmed())
    state = put(begin(world, range(4)), {"rule/program": programs})
    p, own = (Functional().scores(world, state, "gate", "x"), Functional().own_losses(world, state, "gate", "x"))
    for s, (formula, _) in enumerate(programs.tolist()):
        torch.testing.assert_close(own[s], LOSSES[formula](p[s]), rtol=1e-10, atol=0)


def test_hypergradients_reach_the_constants_beside_a_program(programs: Tensor, make, begin) -> None:
    world = make(Programmed())
    level = Level(MetaGradient(edits=("rule/lr",), optimizer="sgd", lr=1.0), Always(), 3)
    loop = Loop(world, Functional(), (level,))
    start = loop.start(range(4))
    start = replace(start, state=put(start.state, {"rule/program": programs}))
    together = loop.reflect(1, start, 1, "life").standing.state.rule["lr"]
    for s in range(4):
        one = loop.start([s])
        one = replace(one, state=put(one.state, {"rule/program": programs[s : s + 1]}))
        torch.testing.assert_close(loop.reflect(1, one, 1, "life").standing.state.rule["lr"], together[s : s + 1])


def test_a_program_can_be_edited(make) -> None:
    @dataclass(frozen=True)
    class Rewrites:
        needs: Needs = field(default=Needs(edits=("rule/program",), reads=("rule/program",)))

        def init(self, edited: Mapping[str, Tensor]) -> Params:
            return {}

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            return Edit({"rule/program": torch.stack([seen.step % 3, seen.step * 0])}), psi

    loop = Loop(make(Programmed()), Functional(), (Level(Rewrites(), Always(), 2),))
    records = list(loop.run([0, 1], 3))
    assert [record.state.rule["program"][0].tolist() for record in records] == [[1, 0], [0, 0], [1, 0], [2, 0]]
    assert [record.edit["rule/program"].value.tolist() for record in records[1:]][2] == [[2, 0]] * 2
