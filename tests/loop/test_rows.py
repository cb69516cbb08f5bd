"""Rows and memory by path: who has a row a seed, who a row a life, and what is reborn with a life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, EditError
from sandbox.core.protocols import Level, Needs, Params, Seen
from sandbox.core.state import leaves, put
from sandbox.gate.always import Always
from sandbox.gate.better import Better
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.reflector import Reflector
from sandbox.meta_learner.self_adaptive import SelfAdaptive

LR = "rule/lr"
BY_LIFE = frozenset({"params", "slots", "task", "rule"})


@dataclass(frozen=True)
class Remembering:
    """Counts its steps in a memory and its lives nowhere; psi is a factor that all lives of a seed share."""

    spoils: bool = False
    needs: Needs = field(default=Needs(edits=(LR,), reads=(LR,)))

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {"factor": torch.tensor(0.9, dtype=torch.float64)}

    def memory(self, psi: Params) -> Params:
        return {"steps": torch.zeros((), dtype=torch.float64)}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        after = {**psi, "steps": psi["steps"] + 1}
        if self.spoils:
            after["factor"] = psi["factor"] * 2
        return Edit({LR: seen.visible[LR] * psi["factor"]}), after


def shapes(state) -> dict[str, int]:
    return {path: leaf.shape[0] for slot in ("rule", "meta", "memory") for path, leaf in leaves(state, slot).items()}


def test_each_leaf_has_the_rows_that_are_declared(loop, sines):
    by_seed = loop(sines(tasks=3), Remembering()).start([0, 1]).state
    assert shapes(by_seed) == {LR: 2, "meta/1/factor": 2, "memory/1/steps": 2}
    by_life = loop(replace(sines(tasks=3), per_lane=BY_LIFE), Remembering()).start([0, 1]).state
    assert shapes(by_life) == {LR: 6, "meta/1/factor": 2, "memory/1/steps": 6}
    own = loop(replace(sines(tasks=3), per_lane=BY_LIFE | {"meta/1"}), Remembering()).start([0, 1]).state
    assert shapes(own) == {LR: 6, "meta/1/factor": 6, "memory/1/steps": 6}


def test_a_memory_is_reborn_with_an_episodic_life_and_goes_on_in_a_persistent_one(loop, sines, lived):
    going, anew = (lived(loop(sines(), Remembering(), lifetime=life)) for life in ("persistent", "episodic"))
    assert [record.state.memory["1"]["steps"].tolist() for record in going] == [[k] * 4 for k in range(5)]
    assert [record.state.memory["1"]["steps"].tolist() for record in anew] == [[0] * 4] + [[1] * 4] * 4
    # and with the life that a level above spans
    above = (Level(MetaGradient(edits=("meta/1",)), Always(), 3, "episodic"),)
    made = loop(replace(sines(tasks=2), per_lane=BY_LIFE), Remembering(), above=above)
    steps = [record.state.memory["1"]["steps"].tolist() for record in made.run([0], 2) if record.level == 1]
    assert steps == [[1] * 2, [2] * 2, [3] * 2] * 2


def test_phi_with_a_row_a_life_begins_anew_with_the_life(loop, sines):
    above = (Level(MetaGradient(edits=("meta/1",)), Always(), 3, "episodic"),)
    made = loop(replace(sines(tasks=2), per_lane=BY_LIFE), Remembering(), above=above)
    rates = [float(record.state.rule["lr"][0]) for record in made.run([0], 2) if record.level == 1]
    assert rates[0] == pytest.approx(0.01 * 0.9)
    assert rates[3] == pytest.approx(0.01 * float(list(made.run([0], 1))[-1].state.meta["1"]["factor"]), rel=1e-9)


def test_a_life_may_not_change_what_all_lives_share(loop, sines, lived):
    with pytest.raises(EditError, match=r"psi \['factor'\] as it came.*per_lane=\[…, meta/1\]"):
        lived(loop(replace(sines(tasks=2), per_lane=BY_LIFE), Remembering(spoils=True)))
    own = loop(replace(sines(tasks=2), per_lane=BY_LIFE | {"meta/1"}), Remembering(spoils=True))
    assert lived(own, steps=1)[-1].state.meta["1"]["factor"].tolist() == [1.8] * 8


def test_a_relative_path_is_one_s_own_wherever_one_stands(loop, sines, lived):
    first = lived(loop(sines(), SelfAdaptive(edits=(LR,), sigma=1e-4, most=1), Better()), steps=3)
    assert "meta/1/sigma" in first[-1].edit
    above = (Level(SelfAdaptive(edits=("meta/1/lr",), sigma=1e-4, most=1), Better(), 2),)
    made = loop(sines(), MetaGradient(edits=(LR,), optimizer="sgd"), horizon=1, above=above)
    second = [record for record in made.run([0], 2) if record.level == 2][-1]
    assert set(second.edit) == {"meta/1/lr", "meta/2/sigma"}


def test_what_may_be_read_is_a_list_too(loop, sines, scripted):
    for path in ("task", "task/phase", "gate/1", "gate"):
        with pytest.raises(ConfigError, match=rf"a level 1 that reads what lies below it.*'{path}'"):
            loop(sines(), scripted(lambda psi, seen: (Edit(), psi), Needs(reads=(path,))))
    with pytest.raises(ConfigError, match=r"reads within the level's `reads`: \['rule'\]; got .*'params'"):
        loop(sines(), scripted(lambda psi, seen: (Edit(), psi), Needs(reads=("params",))), reads=("rule",))


def test_needs_that_grow_after_the_start_are_not_heard(loop, sines, lived):
    @dataclass(frozen=True)
    class Grows:
        asked: list[int] = field(default_factory=list[int])

        @property
        def needs(self) -> Needs:
            self.asked.append(1)
            return Needs(edits=(LR,)) if len(self.asked) < 2 else Needs(edits=(LR, "init", "rule"), reads=("params",))

        def init(self, edited: Mapping[str, Tensor]) -> Params:
            return {}

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            assert not seen.visible
            return Edit({"init/layers.0.bias": torch.zeros(8, dtype=torch.float64)}), psi

    with pytest.raises(EditError, match=r"an edit within \['rule/lr'\]; got 'init/layers.0.bias'"):
        lived(loop(sines(), Grows()))


# ---- the proving member ---------------------------------------------------------------------------------------------


def tower(loop, sines, horizon: int = 3, **settings):
    above = (Level(MetaGradient(edits=("meta/1",), lr=0.01, over="life", **settings), Always(), horizon, "episodic"),)
    return loop(replace(sines(tasks=2), per_lane=BY_LIFE), Reflector(units=3), horizon=2, above=above)


def test_a_reflector_begins_as_the_hand_policy(loop, sines):
    made = loop(replace(sines(tasks=2), per_lane=BY_LIFE), Reflector(units=3, hand=0.5, kappa=2.0), horizon=2)
    record = list(made.run([0], 1))[-1]
    n = torch.log1p(torch.ones(()))  # at the first step the hypergradient stands over itself
    by_hand = {float(0.01 * torch.exp(sign * 0.5 * torch.tanh(2 * n))) for sign in (-1, 1)}
    assert all(any(rate == pytest.approx(hand) for hand in by_hand) for rate in record.state.rule["lr"].tolist())


def test_a_level_above_trains_its_weights_by_the_slope_of_whole_lives(loop, sines, watches):
    """The hypergradient of a weight through the whole life, features held, is the slope by central differences where
    the features do not depend on the weight: at c, in a life of two steps."""
    watching = watches("meta/1/c")
    made = loop(replace(sines(tasks=2), per_lane=BY_LIFE), Reflector(units=3), horizon=2,
                above=(Level(watching, Always(), 2, "episodic"),))  # fmt: skip
    start = made.start([0])
    made.reflect(2, start, 1, "life")

    def p(c: float) -> float:
        state = put(start.state, {"meta/1/c": torch.full((1, 1), c, dtype=torch.float64)})
        lived = made.live(2, replace(start, state=state), 1, "life", None, "real").standing.state
        with torch.no_grad():
            return float(made.engine.scores(made.world, lived, "practice", "life").mean())

    assert float(watching.found[0]) == pytest.approx((p(1e-6) - p(-1e-6)) / 2e-6, rel=1e-4)


def test_it_learns_in_every_weight_and_remembers_within_a_life(loop, sines):
    made = tower(loop, sines)
    records = list(made.run([0, 1], 4))
    start, end = records[0].state.meta["1"], records[-1].state.meta["1"]
    assert all(not torch.equal(end[name], start[name]) for name in ("A", "b", "O", "c", "W"))
    assert bool((records[-1].state.memory["1"]["age"] == 3).all())


def test_features_are_clamped_and_constants_for_the_level_above() -> None:
    reflector = Reflector(units=2)
    psi = reflector.init({LR: torch.zeros(())})
    grad = torch.tensor(1e6, dtype=torch.float64, requires_grad=True)
    seen = Seen(
        own=torch.tensor([1e9, 1e-9], dtype=torch.float64), process=torch.tensor(1e30, dtype=torch.float64),
        grad={"process": {LR: grad}}, visible={LR: torch.tensor(0.1, dtype=torch.float64)}, noise=torch.zeros(0),
        step=torch.tensor(0),
    )  # fmt: skip
    edit, after = reflector.ask({**psi, **reflector.memory(psi)}, seen)
    assert not edit.set[LR].requires_grad
    assert after["h"].abs().max() <= torch.tanh(4 * psi["A"].abs().sum(dim=1)).max()
    assert set(after) == {*psi, *reflector.memory(psi)}


def test_levels_that_both_differentiate_must_agree_on_what_they_leave_out(loop, sines):
    with pytest.raises(ConfigError, match="one adjoint for all levels"):
        tower(loop, sines, adjoint=Adjoint(first_order=True))
