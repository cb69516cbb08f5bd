"""Levels above the first: hypergradients in closed form or by differences, and who may judge what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, EditError
from sandbox.core.protocols import Level, Needs, Params
from sandbox.core.record import Verdict
from sandbox.core.score import Score
from sandbox.gate.always import Always
from sandbox.gate.paired_t import PairedT
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.rule.learned_loss import LearnedLoss
from sandbox.rule.sgd import SGD

LR, META_LR = "rule/lr", "meta/1/lr"
H = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)

hypergradient_descent = partial(MetaGradient, edits=(LR,), optimizer="sgd")


@dataclass(frozen=True)
class Told:
    """A gate that counts its edits in a memory that an editor above may write, and keeps what it was told."""

    accepts: bool = True
    told: list[float] = field(default_factory=list[float])

    @property
    def trials(self) -> int:
        return 0

    @property
    def score(self) -> Score:
        return Score()

    def init(self) -> Params:
        return {"asked": torch.zeros((), dtype=torch.float64)}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        self.told.append(float(memory["asked"]))
        return self.accepts, f"asked {float(memory['asked']):g} before", {"asked": memory["asked"] + 1}


# ---- exactness ------------------------------------------------------------------------------------------------------


def test_height_one_is_baydin_s_hypergradient(loop, bowl, watches):
    """d f(θ_t+1) / d lr = -∇f(θ_t+1) · ∇f(θ_t), for θ_t+1 = θ_t - lr ∇f(θ_t) (Baydin et al. 2018, eq. 5)."""
    watching = watches(LR)
    records = list(loop(bowl(SGD(lr=0.1)), watching, horizon=1).run(range(3), 5))
    for t, (then, now) in enumerate(pairwise(records)):
        for s in range(3):
            gradients = [H * (r.state.params["w"][s] - r.state.task["target"][s]) for r in (then, now)]
            expected = -(gradients[0] * gradients[1]).sum()
            torch.testing.assert_close(watching.found[3 * t + s], expected, rtol=1e-14, atol=0)


def test_hypergradient_descent_lives_baydin_s_course(loop, bowl):
    records = list(loop(bowl(SGD(lr=0.1)), hypergradient_descent(lr=0.01), horizon=1).run([7], 12))
    w, target = records[0].state.params["w"][0], records[0].state.task["target"][0]
    lr = torch.tensor(0.1, dtype=torch.float64)
    for record in records[1:]:
        old = H * (w - target)
        w = w - lr * old
        lr = lr + 0.01 * (H * (w - target)) @ old
        torch.testing.assert_close(record.state.params["w"][0], w, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(record.state.rule["lr"][0], lr, rtol=1e-13, atol=0)
    assert records[-1].state.rule["lr"] > 0.2


@pytest.mark.parametrize("horizon", [2, 3])
def test_the_hypergradient_of_level_two_is_the_central_difference(horizon, loop, bowl, watches):
    """P after some reflective steps, by the learning rate of level 1 at their start. Of three, the second edit depends
    on the first through a hypergradient, so that a graph dropped there shows."""

    def process(meta_lr: float) -> Tensor:
        made = loop(bowl(SGD(lr=0.1)), hypergradient_descent(lr=meta_lr), horizon=1)
        state = list(made.run([3, 4], horizon))[-1].state
        return made.engine.scores(made.world, state, "practice", "life").mean(dim=1)

    watching = watches(META_LR)
    above = (Level(watching, Always(), horizon),)
    records = list(loop(bowl(SGD(lr=0.1)), hypergradient_descent(lr=0.01), horizon=1, above=above).run([3, 4], 1))
    inner = [(1, step, step) for step in range(1, horizon + 1)]
    assert [(record.level, record.step, record.t) for record in records] == [(2, 0, 0), *inner, (2, 1, horizon)]
    difference = (process(0.01 + 1e-6) - process(0.01 - 1e-6)) / 2e-6
    assert difference.abs().min() > 0.01
    torch.testing.assert_close(torch.stack(watching.found), difference, rtol=1e-7, atol=0)


def test_a_tower_edits_the_level_below_from_what_happened(loop, bowl, watches):
    watching = watches(META_LR)
    world = bowl(SGD(lr=0.1))
    above = (Level(MetaGradient(edits=(META_LR,), optimizer="sgd", lr=1e-3), Always(), 2),)
    list(loop(world, hypergradient_descent(lr=0.01), horizon=1, above=(Level(watching, Always(), 2),)).run([3], 1))
    records = list(loop(world, hypergradient_descent(lr=0.01), horizon=1, above=above).run([3], 4))
    values = [record.edit[META_LR].value[0] for record in records if record.level == 2 and record.step]
    assert values[0] == pytest.approx(0.01 - 1e-3 * float(watching.found[0]), rel=1e-14)
    assert len(set(values)) == 4
    assert records[-1].state.meta["1"]["lr"].tolist() == values[-1:]


# ---- who judges -----------------------------------------------------------------------------------------------------


def writes_the_gate_below(scripted, value: float):
    edit = Edit({"gate/1/asked": torch.tensor(value, dtype=torch.float64)})
    return scripted(lambda psi, seen: (edit, psi), Needs(edits=("gate/1/asked",)))


def test_an_edit_is_judged_by_what_stood_before_it(loop, bowl, scripted):
    """Level 2 writes the memory of the gate of level 1: that gate acts by it from the next step on, and the edit itself
    is judged by level 2's own gate, whose memory it cannot reach."""
    below, above = Told(), Told()
    made = loop(bowl(), hypergradient_descent(), below, horizon=1,
                above=(Level(writes_the_gate_below(scripted, 1000), above, 2),))  # fmt: skip
    records = list(made.run([0], 3))
    assert below.told == [0, 1, 1000, 1001, 1000, 1001]
    assert above.told == [0, 1, 2]
    assert [r.why[0] for r in records if r.level == 1] == [f"asked {n} before" for n in (0, 1, 1000, 1001, 1000, 1001)]


def test_a_refused_edit_of_a_gate_changes_nothing(loop, bowl, scripted):
    below = Told()
    made = loop(bowl(), hypergradient_descent(), below, horizon=1,
                above=(Level(writes_the_gate_below(scripted, 1000), Told(accepts=False), 2),))  # fmt: skip
    list(made.run([0], 3))
    assert below.told == [0, 1, 2, 3, 4, 5]


def test_in_a_trial_of_level_two_the_edited_gate_acts_and_leaves_no_mark(loop, bowl, scripted):
    """Its trials live two reflective steps of level 1 each, for incumbent and candidate."""
    below = Told()
    made = loop(bowl(), hypergradient_descent(), below, horizon=1,
                above=(Level(writes_the_gate_below(scripted, 1000), PairedT(trials=2), 2),))  # fmt: skip
    records = list(made.run([0], 1))
    assert below.told == [0, 1] + 2 * [2, 1000, 3, 1001]  # side by side
    assert records[-1].verdict != [Verdict.ACCEPTED]  # it changes no score
    assert records[-1].state.gate["1"]["asked"].tolist() == [2]


@pytest.mark.parametrize("path", ["gate/2", "gate/2/asked", "gate/1.anchor", "meta/3", "gate"])
def test_a_level_two_that_edits_its_own_gate_is_refused_at_build(path, loop, bowl, scripted):
    editor = scripted(lambda psi, seen: (Edit(), psi), Needs(edits=(path,)))
    with pytest.raises(ConfigError, match=rf"a level 2 that edits what lies below it: .*'{path}'"):
        loop(bowl(), above=(Level(editor, Told(), 2),))


# ---- refused, with the reason ---------------------------------------------------------------------------------------


def test_a_horizon_of_one_above_the_first_level_is_refused(loop, bowl):
    with pytest.raises(
        ConfigError, match=r"a horizon of 2 or more at level 2; got 1\. An edit acts only in the step after"
    ):
        loop(bowl(), hypergradient_descent(), above=(Level(MetaGradient(edits=(META_LR,)), Always(), 1),))


def refusal(run: Callable[[], object]) -> str:
    with pytest.raises(EditError) as caught:
        run()
    return str(caught.value)


def test_a_hypergradient_of_what_the_life_does_not_reach_is_told_in_our_words(loop, bowl, watches):
    """A gate's memory takes part in decisions alone, and no decision has a derivative."""
    above = (Level(watches("gate/1/asked"), Always(), 2),)
    made = loop(bowl(), hypergradient_descent(), Told(), horizon=1, above=above)
    said = refusal(lambda: list(made.run([0], 1)))
    assert "a hypergradient of the process objective at ['gate/1/asked']" in said
    assert "An edit acts only in the step after it" in said


def test_a_persistent_life_has_no_hypergradient_at_init(loop, bowl):
    said = refusal(lambda: list(loop(bowl(), MetaGradient(edits=("init",))).run([0], 1)))
    assert "['init/w']" in said
    assert "never starts from `init` again" in said


def test_first_order_leaves_parameters_of_a_loss_without_hypergradient(loop, sines):
    world = sines(LearnedLoss(hidden=3))
    kept = loop(world, MetaGradient(edits=("rule",)))
    assert len(list(kept.run([0], 1))) == 2
    said = refusal(
        lambda: list(loop(world, MetaGradient(edits=("rule",), adjoint=Adjoint(first_order=True))).run([0], 1))
    )
    assert "`first_order` leaves parameters of the loss without a hypergradient" in said


def test_first_order_is_no_obstacle_to_a_learning_rate(loop, bowl):
    """With horizon 1 the hypergradient of a learning rate is of first order anyway."""
    made = [
        loop(bowl(), hypergradient_descent(adjoint=Adjoint(first_order=first)), horizon=1) for first in (False, True)
    ]
    full, first = (list(one.run([0], 3))[-1].digest for one in made)
    assert full == first


# ---- deaths below ---------------------------------------------------------------------------------------------------


def test_a_seed_that_level_one_rolled_back_is_not_lost_again_above(loop, bowl, scripted, plays):
    played = torch.full((4, 2), 0.01, dtype=torch.float32)
    played[0, 1] = 1e30
    above = (Level(scripted(lambda psi, seen: (Edit(), psi), Needs()), Always(), 2),)
    records = list(loop(bowl(dtype="float32"), plays({LR: played}), above=above).run([0, 1], 2))
    assert [r.verdict[1] for r in records if r.level == 1] == [
        Verdict.ACCEPTED,
        Verdict.ROLLED_BACK,
        Verdict.ACCEPTED,
        Verdict.ACCEPTED,
    ]
    assert not [r for r in records if r.level == 2 and Verdict.ROLLED_BACK in r.verdict]


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_a_tower_goes_on_after_a_death_below(seeds, loop, bowl):
    """A level 1 whose steps are far too large kills each life; the hypergradient of level 2 through it is not finite,
    and so refused."""
    above = (Level(MetaGradient(edits=(META_LR,), optimizer="sgd"), Always(), 2),)
    made = loop(bowl(dtype="float32"), hypergradient_descent(lr=1e30), horizon=1, above=above)
    records = list(made.run(seeds, 2))
    assert {Verdict.ROLLED_BACK} <= {word for r in records if r.level == 1 for word in r.verdict}
    assert {word for r in records if r.level == 2 and r.step for word in r.verdict} <= {
        Verdict.REFUSED,
        Verdict.ACCEPTED,
    }
