"""Evolution of programs: pure proposals, honest bookkeeping, and what is never judged twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.needs import Heard, Seen
from sandbox.core.protocols import Level, World
from sandbox.core.random import uniform
from sandbox.core.record import Verdict
from sandbox.core.state import digest
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.gate.always import Always
from sandbox.gate.paired_t import PairedT
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.mutate import Mutate
from sandbox.meta_learner.program_evolution import ProgramEvolution
from sandbox.model.linear import Linear
from sandbox.model.module import Module
from sandbox.program.archive import Fate, is_known, lives, place, score
from sandbox.program.formulas import seen_in
from sandbox.program.library import library
from sandbox.program.tensor import decode
from sandbox.rule.program import Program
from sandbox.task.noisy_regression import NoisyRegression

EDITOR = ProgramEvolution(population=6, proposals=24, again=2, capacity=16)
TASK = NoisyRegression(dtype="float64", train=16, points=16)
WORLD = World(TASK, Module(lambda: Linear(4, 1, "float64")), Program(lr=0.2), tasks=3)


def loop(editor=EDITOR, gate=None, engine=None, **level) -> Loop:
    gate = gate or PairedT(trials=2, alpha=0.4, spending="none")
    return Loop(WORLD, engine or Functional(), (Level(editor, gate, 8, "episodic", **level),), check=False)


@pytest.fixture(scope="module")
def records():
    return list(loop().run([5, 6], 5))


def served(psi=None, scores=None, alive=None, step=0) -> tuple[dict, Seen]:
    visible = {path.removeprefix("rule/"): leaf for path, leaf in WORLD.rule.init({"w": torch.zeros(4, 1).double()}
                                                                                  ).items()}  # fmt: skip
    visible = {f"rule/{name}": visible[name] for name in ("loss", "constants")}
    psi = psi or EDITOR.init(visible)
    seen = Seen(torch.zeros(8), torch.zeros(()), {}, visible, uniform(3, "x", step, (EDITOR.needs.noise,)),
                torch.tensor(step))  # fmt: skip
    scores = torch.arange(6.0) if scores is None else scores
    return psi, replace(seen, candidates=EDITOR.vary(psi, seen), scores=scores,
                        alive=torch.isfinite(scores) if alive is None else alive)  # fmt: skip


def test_a_run_edits_and_tells_of_all_that_it_tried(records):
    verdicts = {verdict for record in records[1:] for verdict in record.verdict}
    assert Verdict.ACCEPTED in verdicts
    tried = [each for record in records[1:] for each in record.tried[0]]
    assert {each["stage"] for each in tried} >= {"canonical", "sign", "practice", "gate"}
    ids = [each["id"] for each in tried if each["move"] != "again"]
    assert ids == list(range(1, 1 + len(ids)))
    assert all(each["parent"] == -1 or each["parent"] in {0, *ids} for each in tried)
    assert all((each["score"] is not None) <= (each["price"] == 8) for each in tried)
    assert all(bool(each["why"]) == (each["score"] is None) for each in tried)


def test_the_archive_says_what_is_in_force(records):
    state = records[-1].state
    for s in range(2):
        psi = {name: leaf[s] for name, leaf in state.meta["1"].items()}
        at = place(psi, int(psi["current"]))
        held = decode(state.rule["loss"][s], state.rule["constants"][s, 0])
        assert decode(psi["code"][at, 0].long(), psi["constants"][at, 0]) == held


def test_resumed_halfway_and_alone_it_is_the_same_run(records):
    made = loop()
    rest = list(made.run([5, 6], 5, resume=(records[3].standing, 3)))
    assert digest(rest[-1].state) == digest(records[-1].state)
    alone = list(loop().run([6], 5))
    assert [record.verdict[0] for record in alone] == [record.verdict[1] for record in records]
    assert torch.equal(alone[-1].state.rule["loss"][0], records[-1].state.rule["loss"][1])


def test_the_engine_that_goes_life_by_life_finds_the_same():
    both = [list(loop(engine=engine).run([5], 2))[-1].state for engine in (Functional(), Higher())]
    assert torch.equal(both[0].rule["loss"], both[1].rule["loss"])
    assert torch.equal(both[0].meta["1"]["text"], both[1].meta["1"]["text"])


def test_proposals_are_a_function_of_what_is_handed():
    psi, seen = served()
    first, again = EDITOR.vary(psi, seen), EDITOR.vary(psi, seen)
    assert all(torch.equal(first[path], again[path]) for path in first)
    assert torch.equal(first["rule/loss"][0], seen.visible["rule/loss"])  # what is in force lives, too
    assert len({row.numpy().tobytes() for row in first["rule/loss"]}) == 6


def test_nothing_is_asked_for_before_its_second_life_nor_unless_it_is_ahead_in_both():
    psi, seen = served(scores=torch.tensor([3.0, 2.0, 5.0, 1.0, 4.0, torch.inf]))
    edit, psi = EDITOR.ask(psi, seen)
    assert not edit.set
    found = {int(number): lives(psi, int(number)) for number in psi["id"] if number >= 0}
    assert sorted(found.values()) == [0, 1, 1, 1, 1, 1]  # the dead has none
    psi, seen = served(psi, torch.tensor([3.0, 4.0, 2.5, 9.0, 9.0, 9.0]), step=1)
    best, second = (int(number) for number in psi["id"] if number >= 0 and score(psi, int(number)) in (1.0, 2.0))
    edit, after = EDITOR.ask(psi, seen)
    ids = {score(psi, number): number for number in (best, second)}
    assert int(after["asked"]) == ids[2.0]  # the one that scored 1 scores 4 now, behind 3: a lucky score
    assert score(after, ids[1.0]) == 2.5
    assert seen_in(seen.visible | edit.set) != seen_in(seen.visible)


def test_a_verdict_is_final_and_what_was_tried_stays_tried():
    psi, seen = served(scores=torch.tensor([3.0, 1.0, 2.0, 4.0, 4.0, 4.0]))
    _, psi = EDITOR.ask(psi, seen)
    psi, seen = served(psi, torch.tensor([3.0, 1.0, 2.0, 4.0, 4.0, 4.0]), step=1)
    _, psi = EDITOR.ask(psi, seen)
    asked = int(psi["asked"])
    told = EDITOR.tell(psi, Heard(*torch.tensor([0.0, 1.5, 2.5])))
    assert told["fate"][place(told, asked)] == Fate.REJECTED
    assert told["gate"][place(told, asked)].tolist() == [1.5, 2.5]
    psi, seen = served(told, torch.tensor([3.0, 1.0, 4.0, 4.0, 4.0, 4.0]), step=2)
    _, psi = EDITOR.ask(psi, seen)
    assert int(psi["asked"]) not in (asked, -1)
    unheard = EDITOR.tell(psi, Heard(torch.tensor(0.0), torch.tensor(torch.nan), torch.tensor(torch.nan)))
    assert unheard["fate"][place(unheard, int(psi["asked"]))] == Fate.REFUSED  # never judged is not rejected
    assert all(is_known(unheard, int(key)) for key in unheard["text"] if key)


def test_random_search_differs_by_its_moves_alone():
    control = replace(EDITOR, moves="random")
    psi, seen = served()
    tried = control.ask(psi, replace(seen, candidates=control.vary(psi, seen)))[0].tried
    assert {each["move"] for each in tried} == {"random"}
    assert control.needs == EDITOR.needs


@pytest.mark.parametrize(
    ("how", "retention"), [("best", "better"), ("score_child", "cells"), ("confidence", "all"), ("clade", "cells")]
)
def test_every_way_to_choose_and_to_stay_lives(how, retention):
    editor = replace(EDITOR, parents=how, retention=retention, lives=1, capacity=8)
    last = list(loop(editor, Always()).run([5], 3))[-1].state
    assert int((last.meta["1"]["id"] >= 0).sum()) >= 1
    psi = {name: leaf[0] for name, leaf in last.meta["1"].items()}
    assert all(is_known(psi, int(key)) for key in psi["text"][psi["id"] >= 0])  # however short the ring


def test_mutate_asks_for_one_change_that_can_teach():
    records = list(loop(Mutate(), Always()).run([5, 6], 4))
    for record in records[1:]:
        assert [tried[-1]["stage"] for tried in record.tried] == ["gate", "gate"]
    assert decode(records[1].state.rule["loss"][0], records[1].state.rule["constants"][0, 0]) != library()[
        "squared_error"]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"edits": ("rule/lr",)}, "edits among"), ({"population": 1}, "population of 2"),
     ({"parents": "worst"}, "parents"), ({"lives": 2, "again": 0}, "room for a new candidate"),
         ({"population": 4}, "again=1"), ({"fresh": 2.0}, "fresh")],
)  # fmt: skip
def test_what_can_not_be_is_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        ProgramEvolution(**fields)
