"""The journal: an answer is written before it is used, never asked for twice, and never asked for by a probe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from sandbox.archive.journal import JOURNAL, DiskJournal
from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, LineageError
from sandbox.core.journal import Notebook, Question, Told
from sandbox.core.protocols import Level, Needs, Params, Seen
from sandbox.gate.better import Better
from sandbox.loop.probe import LoopProbe

LR = "rule/lr"


@dataclass(frozen=True)
class Oracle:
    """Told a new learning rate at each question by a source that never says the same twice."""

    asked: list[Question] = field(default_factory=list[Question])
    journal: list[int] = field(default_factory=list[int])

    @property
    def needs(self) -> Needs:
        return Needs(edits=(LR,), answers=True)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        return Edit({LR: seen.answer["lr"]}), psi

    def consult(self, question: Question, psi: Params, seen: Seen) -> Mapping[str, Tensor]:
        self.asked.append(question)
        return {"lr": torch.tensor(0.01 + 0.001 * len(self.asked), dtype=torch.float64)}


def rates(records) -> list[list[float]]:
    return [record.state.rule["lr"].tolist() for record in records]


def test_each_seed_is_answered_once_a_step(loop, sines):
    oracle = Oracle()
    made = loop(sines(), oracle)
    records = list(made.run([4, 5], 3))
    assert oracle.asked == [Question(1, step, "life", seed) for step in (1, 2, 3) for seed in (4, 5)]
    told = [rate for step in rates(records)[1:] for rate in step]
    assert told == pytest.approx([0.011, 0.012, 0.013, 0.014, 0.015, 0.016])


def test_what_the_journal_holds_is_not_asked_again(loop, sines, tmp_path):
    first = Oracle()
    records = list(replace(loop(sines(), first), journal=DiskJournal(tmp_path)).run([4, 5], 3))
    again = Oracle()
    replayed = list(replace(loop(sines(), again), journal=DiskJournal(tmp_path, sealed=True)).run([4, 5], 3))
    assert not again.asked
    assert rates(replayed) == rates(records)
    longer = list(replace(loop(sines(), again), journal=DiskJournal(tmp_path)).run([4, 5], 4))
    assert [question.step for question in again.asked] == [4, 4]
    assert rates(longer)[:4] == rates(records)


def test_a_replay_asks_nobody(loop, sines, tmp_path):
    made = replace(loop(sines(), Oracle()), journal=DiskJournal(tmp_path, sealed=True))
    with pytest.raises(LineageError, match="an answer in the journal to Question"):
        list(made.run([0], 1))
    with pytest.raises(LineageError, match="asks nobody"):
        DiskJournal(tmp_path, sealed=True).note({})


def test_an_answer_is_on_disk_before_it_is_used(loop, sines, tmp_path, monkeypatch):
    made = replace(loop(sines(), Oracle()), journal=DiskJournal(tmp_path))

    def dies(self, psi, seen):
        raise KeyboardInterrupt

    monkeypatch.setattr(Oracle, "ask", dies)
    with pytest.raises(KeyboardInterrupt):
        list(made.run([7], 1))
    line = json.loads((tmp_path / JOURNAL).read_text())
    assert (line["level"], line["step"], line["stream"], line["seeds"]) == (1, 1, "life", [7])
    assert DiskJournal(tmp_path).recall(Question(1, 1, "life", 7)) is not None


def test_a_torn_last_line_is_dropped_and_a_changed_one_is_named(tmp_path):
    journal, question = DiskJournal(tmp_path), Question(1, 1, "life", 0)
    journal.note({question: Told({"lr": torch.tensor(0.1)})})
    path = tmp_path / JOURNAL
    whole = path.read_text()
    path.write_text(whole + whole[:20])
    found = DiskJournal(tmp_path).recall(question)
    assert found is not None
    assert torch.equal(found["lr"], torch.tensor(0.1))
    assert path.read_text() == whole
    path.write_text("{}\n" + whole)
    with pytest.raises(LineageError, match="answers on line 1"):
        DiskJournal(tmp_path)


def test_answers_come_back_in_every_bit(tmp_path):
    question = Question(2, 3, "life", 1)
    answer = {"a": torch.rand(2, 3), "b": torch.rand((), dtype=torch.float64) / 3, "c": torch.tensor([1, 2])}
    DiskJournal(tmp_path).note({question: Told(answer)})
    back = DiskJournal(tmp_path).recall(question)
    assert back is not None
    assert all(torch.equal(back[name], value) and back[name].dtype == value.dtype for name, value in answer.items())


def test_a_probe_reads_the_last_answer_and_asks_nobody(loop, sines):
    oracle = Oracle()
    made = loop(sines(), oracle)
    record = list(made.run([4], 3))[-1]
    count = len(oracle.asked)
    probe = LoopProbe(made.within(made.world, 3), record.state, record.state, 3)
    after = probe.reflect(record.state, ("rule",))
    assert len(oracle.asked) == count
    assert after.rule["lr"].tolist() == record.state.rule["lr"].tolist()
    blank = LoopProbe(replace(made.within(made.world, 3), journal=Notebook()), record.state, record.state, 3)
    assert blank.reflect(record.state, ("rule",)).rule["lr"].tolist() == record.state.rule["lr"].tolist()
    assert len(oracle.asked) == count


def test_a_trial_of_a_level_above_asks_on_streams_of_its_own(loop, sines, scripted):
    oracle = Oracle()
    same = scripted(lambda psi, seen: (Edit({"init/layers.0.bias": seen.visible["init/layers.0.bias"]}), psi),
                    Needs(edits=("init/layers.0.bias",), reads=("init/layers.0.bias",)))  # fmt: skip
    list(loop(sines(), oracle, above=(Level(same, Better(), 2),)).run([0], 1))
    assert {question.stream for question in oracle.asked} == {"life", "life/1/trial/2/0"}


def test_answers_without_consult_are_refused(loop, sines, scripted):
    editor = scripted(lambda psi, seen: (Edit(), psi), Needs(edits=(LR,), answers=True))
    with pytest.raises(ConfigError, match="a meta-learner with `consult`"):
        list(loop(sines(), editor).run([0], 1))
