"""The laws of a reflective step: seeds are independent, rolling back is exact, and what watches never shifts a run."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, LifeError
from sandbox.core.protocols import Level, Needs
from sandbox.core.record import Verdict
from sandbox.core.state import SLOTS, choose_seeds, digest, leaves
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.gate.better import Better
from sandbox.gate.paired_t import PairedT
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.self_adaptive import SelfAdaptive
from sandbox.meter.drift import Drift
from sandbox.rule.sgd import SGD

LR = "rule/lr"


def course(steps: int, seeds: int, *, dtype=torch.float64, **at: float) -> dict[str, Tensor]:
    """A learning rate of .01 everywhere but at `step_seed`, e.g. s2_1=…"""
    values = torch.full((steps, seeds), 0.01, dtype=dtype)
    for place, value in at.items():
        step, seed = map(int, place.removeprefix("s").split("_"))
        values[step - 1, seed] = value
    return {LR: values}


# ---- one seed alone -------------------------------------------------------------------------------------------------


def test_one_bad_seed_never_stops_seven(loop, sines, plays, lived, same):
    bad = lived(loop(sines(), plays(course(4, 8, s2_3=torch.nan, s3_3=torch.inf))), seeds=8)
    good = lived(loop(sines(), plays(course(4, 8))), seeds=8)
    for before, after in zip(good[1:], bad[1:], strict=True):
        others = [seed for seed in range(8) if seed != 3]
        assert [after.verdict[s] for s in others] == [Verdict.ACCEPTED] * 7
        assert [digest(after.state)[s] for s in others] == [digest(before.state)[s] for s in others]
    assert [record.verdict[3] for record in bad[1:]] == [
        Verdict.ACCEPTED,
        Verdict.REFUSED,
        Verdict.REFUSED,
        Verdict.ACCEPTED,
    ]
    assert bad[2].why[3] == "not finite"
    assert same(bad[-1].state, good[-1].state, "params", "rule")  # what was refused was no change


def test_a_deadly_edit_is_rolled_back_for_its_seed_alone(loop, sines, plays, lived):
    world = sines(dtype="float32")
    kept = course(4, 4, dtype=torch.float32)
    deadly = course(4, 4, dtype=torch.float32, s2_1=1e30)
    good, bad = (lived(loop(world, plays(played))) for played in (kept, deadly))
    assert [record.verdict[1] for record in bad[1:]] == [
        Verdict.ACCEPTED,
        Verdict.ACCEPTED,
        Verdict.ROLLED_BACK,
        Verdict.ACCEPTED,
    ]
    assert "non-finite" in bad[3].why[1]
    for before, after in zip(good, bad, strict=True):
        assert [digest(after.state)[s] for s in (0, 2, 3)] == [digest(before.state)[s] for s in (0, 2, 3)]
    back, then = bad[3].state, good[2].state
    for slot in SLOTS:  # as it was at step 2 before that edit, in every bit
        for path, leaf in leaves(back, slot).items():
            assert torch.equal(leaf[1], leaves(then, slot)[path][1])
    assert back.t == 9


def test_rolling_back_keeps_the_old_tensors(loop, sines, plays, lived):
    played = course(3, 1, dtype=torch.float32, s2_0=1e30)
    records = lived(loop(sines(dtype="float32"), plays(played)), seeds=1, steps=3)
    assert records[3].verdict == [Verdict.ROLLED_BACK]
    old, now = records[1].state, records[3].state
    then = records[2].standing.before
    for name, weight in now.params.items():
        assert weight.data_ptr() == then.params[name].data_ptr() != old.params[name].data_ptr()


def test_a_seed_that_its_edits_have_killed_for_good_stays_where_it_last_lived(loop, bowl, plays, lived):
    """A learning rate under which the second life dies: after the first, another edit is taken, so that rolling that
    one back saves nothing. The seed stays what it was before its last edit, and the others go on."""
    played = course(6, 3, dtype=torch.float32)
    played[LR][:, 1] = 1e4
    records = lived(loop(bowl(dtype="float32"), plays(played)), seeds=3, steps=6)
    assert [record.verdict[1] for record in records[1:]] == [Verdict.ACCEPTED] * 2 + [Verdict.ROLLED_BACK] * 4
    assert all(record.verdict[s] == Verdict.ACCEPTED for record in records[1:] for s in (0, 2))
    assert torch.equal(records[-1].state.params["w"][1], records[2].state.params["w"][1])


def test_an_edit_refused_in_between_hides_no_deadly_one(loop, bowl, plays, lived):
    """The edit of step 1 kills in the second life after it; what is asked meanwhile is refused."""
    played = course(4, 2, dtype=torch.float32, s1_1=1e4, s2_1=torch.nan)
    records = lived(loop(bowl(dtype="float32"), plays(played)), seeds=2)
    assert [record.verdict[1] for record in records[1:]] == [
        Verdict.ACCEPTED,
        Verdict.REFUSED,
        Verdict.ROLLED_BACK,
        Verdict.ACCEPTED,
    ]
    assert torch.equal(records[3].state.params["w"][1], records[1].state.params["w"][1])
    assert records[3].state.rule["lr"].tolist() == pytest.approx([0.01, 0.01])


def test_a_rule_that_diverges_by_itself_is_no_edit_s_fault(loop, sines, lived):
    with pytest.raises(LifeError, match=r"seeds \[5, 6\] with no edit to roll back"):
        lived(loop(sines(SGD(lr=1e30), dtype="float32")), seeds=[5, 6])


def test_a_batch_of_seeds_gives_each_what_it_gives_alone(loop, sines, lived):
    made = loop(sines(tasks=2), SelfAdaptive(sigma=0.5), Better())
    together = lived(made, seeds=[3, 4, 5], steps=6)
    verdicts: set[str] = set()
    for s, seed in enumerate([3, 4, 5]):
        alone = lived(made, seeds=[seed], steps=6)
        for batch, single in zip(together, alone, strict=True):
            assert batch.verdict[s] == single.verdict[0]
            verdicts.add(single.verdict[0])
            for slot in SLOTS:
                for path, leaf in leaves(single.state, slot).items():
                    rows = leaves(batch.state, slot)[path].unflatten(0, (3, -1))[s]
                    torch.testing.assert_close(rows, leaf, rtol=1e-12, atol=1e-12)
    assert {Verdict.ACCEPTED, Verdict.REJECTED} <= verdicts


# ---- what watches never shifts a run --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meddling:
    """A meter that draws from every global generator and lives a trial life of its own."""

    every: int = 1

    def read(self, probe) -> Mapping[str, Tensor]:
        random.random()
        np.random.random()
        drawn = torch.rand(probe.state.seeds)
        torch.set_grad_enabled(False)
        _, after = probe.adapted(probe.world)
        scores = probe.engine.scores(probe.world, after, "practice", "probe").mean(dim=1)
        return {"meddling/drawn": drawn, "meddling/process": scores}


def test_a_meter_never_shifts_a_run(loop, sines, lived):
    editor, gate = MetaGradient(edits=(LR,)), PairedT(trials=2)
    plain, read = (lived(loop(sines(), editor, gate, meters=meters)) for meters in ((), (Meddling(), Drift())))
    assert [digest(record.state) for record in plain] == [digest(record.state) for record in read]
    assert all("meddling/process" in record.readings for record in read)


def test_a_run_leaves_nothing_global_behind(loop, sines, lived, outside, monkeypatch):
    update = SGD.update

    def careless(self, phi, params, grads, slots):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        torch.set_num_threads(torch.get_num_threads() + 1)
        return update(self, phi, params, grads, slots)

    before = outside()
    monkeypatch.setattr(SGD, "update", careless)
    monkeypatch.setattr(Functional, "rehearse", lambda *_: None)  # it would be refused there
    lived(loop(sines(), MetaGradient(edits=(LR,)), Better(), meters=(Meddling(),)))
    assert outside() == before


def test_global_generators_and_grad_mode_never_reach_a_run(loop, sines, lived):
    made = loop(sines(), MetaGradient(edits=(LR,)), Better())
    first = lived(made)
    torch.manual_seed(77)
    np.random.seed(77)
    with torch.no_grad():
        assert [digest(record.state) for record in lived(made)] == [digest(record.state) for record in first]


def test_an_anchor_is_logged_at_each_judged_step_and_never_acts(loop, sines, plays, lived, same):
    """`always` takes what its anchor would refuse: a worse learning rate, and one whose trial is not finite."""
    world = sines(dtype="float32")
    played = course(4, 2, dtype=torch.float32, s1_0=0.0, s3_1=1e30)
    free = lived(loop(world, plays(played)), seeds=2)
    watched = lived(loop(world, plays(played), anchor=PairedT(trials=2)), seeds=2)
    assert [record.verdict for record in watched] == [record.verdict for record in free]
    assert same(watched[-1].state, free[-1].state, "params", "slots", "rule")
    assert all(not word for record in free for word in record.anchor)
    assert watched[1].anchor[0].startswith(f"{Verdict.REJECTED}: t ")
    assert watched[3].verdict[1] == Verdict.ACCEPTED
    assert watched[3].anchor[1] == f"{Verdict.REFUSED}: its trial was not finite"
    assert watched[4].verdict[1] == Verdict.ROLLED_BACK
    assert watched[4].anchor[1] == ""


# ---- trials ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [Better(), PairedT(trials=3)])
def test_an_edit_that_changes_nothing_is_a_draw(gate, loop, sines, scripted, lived):
    """Incumbent and candidate live the same batches, so every difference is exactly 0."""
    same = scripted(lambda psi, seen: (Edit({LR: seen.visible[LR]}), psi))
    for record in lived(loop(sines(tasks=2), same, gate))[1:]:
        assert record.verdict == [Verdict.REJECTED] * 4
        for why in record.why:
            if isinstance(gate, PairedT):
                assert why.startswith("t 0.00, p 0.5 ")
            else:
                before, after = why.removesuffix(" before").split(" after, ")
                assert before == after


def test_an_editor_keeps_its_memory_whatever_the_verdict(loop, sines, scripted, lived):
    def counts(psi, seen):
        return Edit({LR: seen.visible[LR] * 100}), {"asked": psi["asked"] + 1}

    editor = scripted(counts, psi={"asked": torch.zeros((), dtype=torch.float64)})
    records = lived(loop(sines(), editor, Better()))
    assert {word for record in records[1:] for word in record.verdict} <= {Verdict.REJECTED, Verdict.REFUSED}
    assert records[-1].state.meta["1"]["asked"].tolist() == [4] * 4
    assert records[-1].state.rule["lr"].tolist() == [0.01] * 4


def test_streams_nest_by_name_so_that_a_trial_within_a_trial_repeats_no_noise(loop, sines, scripted, monkeypatch):
    streams: list[str] = []
    unroll = Functional.unroll

    def listening(self, world, state, steps, stream, adjoint):
        streams.append(stream)
        return unroll(self, world, state, steps, stream, adjoint)

    monkeypatch.setattr(Functional, "unroll", listening)
    same = scripted(lambda psi, seen: (Edit({LR: seen.visible[LR]}), psi))
    list(loop(sines(), same, Better(), above=(Level(same, Better(), 2),)).run([0], 1))
    trial = "life/1/trial/2/0"
    once = {"life": 2, "life/1/trial/1/0": 1, "life/2/trial/1/0": 1}  # incumbent and candidate live side by side
    within = {trial: 2, f"{trial}/3/trial/1/0": 1, f"{trial}/4/trial/1/0": 1}  # the next steps
    assert Counter(stream for stream in streams if stream not in ("rehearse", "examine")) == once | within


# ---- lives ----------------------------------------------------------------------------------------------------------


def test_a_persistent_life_goes_on_and_an_episodic_one_starts_anew(loop, sines, lived, same):
    going, anew = (lived(loop(sines(), lifetime=kind), steps=3) for kind in ("persistent", "episodic"))
    start = going[0].state
    assert all(same(record.state, start, "task", "init") for record in going)
    world, engine = sines(), loop(sines()).engine
    nine, _ = engine.unroll(world, start, 9, "life", None)
    assert same(going[-1].state, nine, "params")
    fresh = engine.born(world, engine.draw(world, replace(start, t=6), "life"))
    three, _ = engine.unroll(world, fresh, 3, "life", None)
    assert same(anew[-1].state, three, "params", "task")
    assert not same(anew[-1].state, anew[-2].state, "task")
    assert [record.t for record in anew] == [0, 3, 6, 9]


@pytest.mark.parametrize("above", [False, True])
def test_no_graph_is_left_on_a_state(above, loop, sines, lived):
    levels = (Level(MetaGradient(edits=("meta/1/lr",), optimizer="sgd"), Always(), 2),) if above else ()
    made = loop(sines(), MetaGradient(edits=(LR,), optimizer="sgd"), above=levels)
    for record in lived(made, steps=2):
        for state in (record.standing.state, record.standing.before):
            assert not [path for slot in SLOTS for path, leaf in leaves(state, slot).items() if leaf.requires_grad]


def test_a_seed_that_asks_for_nothing_is_not_judged(loop, sines, scripted, lived):
    def only_some(psi, seen):
        return Edit({LR: seen.visible[LR]} if seen.noise[0] < 0.5 else {}), psi

    editor = scripted(only_some, Needs(edits=(LR,), reads=(LR,), noise=1, vmapped=False))
    records = lived(loop(sines(), editor, PairedT(trials=2)), steps=3)
    asked = (
        torch.tensor([[word != Verdict.NO_EDIT for word in record.verdict] for record in records[1:]])
        .double()
        .sum(dim=0)
    )
    assert 0 < asked.sum() < 12
    assert torch.equal(records[-1].state.gate["1"]["asked"], asked)


# ---- refused at build -----------------------------------------------------------------------------------------------


def test_an_allow_list_narrower_than_what_is_asked_is_refused(loop, sines):
    with pytest.raises(ConfigError, match=r"`allow`: \['rule/lr'\]; got .*'init'"):
        loop(sines(), MetaGradient(edits=("init", LR)), allow=(LR,))


@pytest.mark.parametrize("path", ["gate/1", "gate/1.anchor", "gate", "task", "seed", "meta/2", "meta"])
@pytest.mark.parametrize("where", ["edits", "allow"])
def test_a_level_reaches_nothing_but_what_lies_below_it(path, where, loop, sines, scripted):
    edits = (LR, path) if where == "edits" else (LR,)
    with pytest.raises(ConfigError, match=rf"a level 1 that edits what lies below it: .*got .*'{path}'"):
        loop(sines(), scripted(lambda psi, seen: (Edit(), psi), Needs(edits=edits)), allow=(LR, path))


def test_an_edit_of_what_was_not_declared_is_refused_even_within_the_allow_list(loop, sines, scripted, lived):
    def reaches(psi, seen):
        return Edit({"rule/lr": seen.visible[LR]}), psi

    made = loop(sines(), scripted(reaches, Needs(edits=("init",), reads=(LR,))), faults="refuse")
    assert {word for record in lived(made)[1:] for word in record.verdict} == {Verdict.REFUSED}


def test_choosing_among_seeds_is_by_row(loop, sines):
    state = loop(sines()).start([0, 1]).state
    other = replace(state, rule={"lr": state.rule["lr"] + 1})
    mixed = choose_seeds(torch.tensor([True, False]), other, state)
    assert mixed.rule["lr"].tolist() == [1.01, 0.01]
