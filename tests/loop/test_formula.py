"""Programs in the loop: faulty ones are refused and say why, what is asked for is told in words, what is tried kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from sandbox.archive import lineage
from sandbox.archive.journal import TRANSCRIPTS, DiskJournal
from sandbox.core.edit import Edit
from sandbox.core.error import EditError
from sandbox.core.journal import Answer, Question, Told
from sandbox.core.protocols import Needs, Params, Seen
from sandbox.core.record import Verdict
from sandbox.lines.line import Reader, Writer
from sandbox.program.library import library
from sandbox.program.tensor import encode
from sandbox.rule.program import Program

RULE = Program(loss_program="squared_error")
ABSOLUTE = encode(library()["absolute_error"])[0]
PATHS = ("rule/loss",)


def broken() -> Tensor:
    """A program whose first instruction names a value that stands after it."""
    code = ABSOLUTE.clone()
    code[2, 1] = 30
    return code


@dataclass(frozen=True)
class Rewrites:
    """Asks in seed 0 for `first`, in all others for the absolute error, and tells of it."""

    first: Tensor
    needs = Needs(edits=PATHS, answers=True, vmapped=False)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def consult(self, question: Question, psi: Params, seen: Seen) -> Answer:
        return {"loss": ABSOLUTE if question.seed else self.first}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        tried = [{"id": 1, "parent": None, "stage": "practice", "score": 0.5}]
        return Edit({"rule/loss": seen.answer["loss"]}, tried=tried), psi


def test_a_faulty_program_stops_the_run_and_points_at_the_instruction(sines, loop) -> None:
    with pytest.raises(EditError, match=r"rule/loss: instruction 1, 'x1 = sub x15 y'"):
        list(loop(sines(RULE), Rewrites(broken())).run([0, 1], 1))


def test_a_faulty_program_is_refused_for_its_own_seed_alone(sines, loop) -> None:
    record = list(loop(sines(RULE), Rewrites(broken()), faults="refuse").run([0, 1], 1))[-1]
    assert record.verdict == [Verdict.REFUSED, Verdict.ACCEPTED]
    assert "instruction 1" in record.why[0]
    assert record.state.rule["loss"][0].equal(encode(library()["squared_error"])[0])
    assert record.state.rule["loss"][1].equal(ABSOLUTE)


def test_a_faulty_program_of_a_wrong_kind_is_refused(sines, loop) -> None:
    with pytest.raises(EditError, match="'loss amounts'; got 'loss classes'"):
        list(loop(sines(RULE), Rewrites(encode(library()["cross_entropy"])[0])).run([0], 1))


def test_a_faulty_candidate_is_dead_where_faults_are_refused(sines, loop) -> None:
    @dataclass(frozen=True)
    class Two:
        needs = Needs(edits=PATHS, population=2, vmapped=False)

        def init(self, edited: Mapping[str, Tensor]) -> Params:
            return {}

        def vary(self, psi: Params, seen: Seen) -> dict[str, Tensor]:
            return {"rule/loss": torch.stack([ABSOLUTE, broken()])}

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            assert seen.alive.tolist() == [True, False]
            assert seen.scores[1] == torch.inf
            return Edit({"rule/loss": seen.candidates["rule/loss"][seen.scores.argmin()]}), psi

    record = list(loop(sines(RULE), Two(), faults="refuse").run([0, 1], 1))[-1]
    assert record.verdict == [Verdict.ACCEPTED] * 2
    with pytest.raises(EditError, match="instruction 1"):
        list(loop(sines(RULE), Two()).run([0], 1))


def test_the_record_says_programs_in_words_and_what_was_tried(sines, loop) -> None:
    start, record = loop(sines(RULE), Rewrites(ABSOLUTE)).run([0, 1], 1)
    assert [said[0].splitlines()[-1].strip() for said in start.text.values()] == ["return x2", "return g"]
    assert {path: said[0].splitlines()[2].strip() for path, said in record.text.items()} == {"rule/loss": "x2 = abs x1"}
    assert record.tried == [[{"id": 1, "parent": None, "stage": "practice", "score": 0.5}]] * 2
    writer, reader = Writer(), Reader()
    lines = [reader.read(writer.write(lineage.step(each))) for each in (start, record)]
    assert lines == [json.loads(lineage.as_json(each)) for each in (start, record)]


def test_what_was_not_changed_is_not_told_again(sines, loop) -> None:
    *_, second = loop(sines(RULE), Rewrites(ABSOLUTE)).run([0, 1], 2)
    assert second.text == {}


def test_a_transcript_is_kept_beside_the_journal_under_its_digest(sines, loop, tmp_path) -> None:
    @dataclass(frozen=True)
    class Says:
        needs = Needs(edits=("rule/lr",), answers=True)

        def init(self, edited: Mapping[str, Tensor]) -> Params:
            return {}

        def consult(self, question: Question, psi: Params, seen: Seen) -> Answer | Told:
            rate = {"lr": torch.tensor(0.02, dtype=torch.float64)}
            return Told(rate, transcript=f"seed {question.seed} says .02") if question.seed else rate

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            return Edit({"rule/lr": seen.answer["lr"]}), psi

    made = replace(loop(sines(RULE), Says()), journal=DiskJournal(tmp_path))
    first = list(made.run([0, 1], 2))[-1]
    line = json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[0])
    assert line["transcripts"][0] == ""
    assert (tmp_path / TRANSCRIPTS / f"{line['transcripts'][1]}.json").read_text() == "seed 1 says .02"
    again = list(replace(made, journal=DiskJournal(tmp_path, sealed=True)).run([0, 1], 2))[-1]
    assert again.digest == first.digest


def test_a_program_with_numbers_brings_them(sines, loop) -> None:
    cauchy, numbers = encode(library()["cauchy"])
    with pytest.raises(
        EditError, match=r"expected rule/constants beside rule/loss, .* has 2 numbers; got rule/loss alone"
    ):
        list(loop(sines(RULE), Rewrites(cauchy)).run([0], 1))
    assert numbers[:2].tolist() == [0.5, 1.0]
