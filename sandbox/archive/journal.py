"""The journal of answers on disk: one flushed line a reflective step, read whole when a run goes on or is replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sandbox.core.error import LineageError, explain
from sandbox.core.journal import Answer, Question, Told, newest
from sandbox.lines.whole import write_whole

JOURNAL = "journal.jsonl"
TRANSCRIPTS = "transcripts"


@dataclass(frozen=True)
class DiskJournal:
    """Answers in `journal.jsonl` of a run folder; `sealed` for a replay, which may ask nobody. A line holds the answers
    of one step and stream: {"level", "step", "stream", "seeds": […], "rows": […], "answers": {name: [dtype, [a value a
    row]]}}. Where answers have transcripts, these are files in `transcripts`, named by their digests, which the line
    holds as "transcripts"."""

    folder: Path
    sealed: bool = False
    answers: dict[Question, Answer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", _read(self.folder / JOURNAL, repair=not self.sealed))

    def recall(self, question: Question) -> Answer | None:
        return self.answers.get(question)

    def latest(self, question: Question) -> Answer | None:
        return newest(self.answers, question)

    def note(self, answers: Mapping[Question, Told]) -> None:
        if self.sealed:
            raise LineageError(explain(expected="a replay that asks nobody", got="an answer to note",
                                       do="Continue the run itself instead."))  # fmt: skip
        with (self.folder / JOURNAL).open("a") as file:
            for (level, step, stream), asked in _by_step(answers).items():
                told = [answers[question].answer for question in asked]
                columns = {name: _column([answer[name] for answer in told]) for name in told[0]}
                line = {"level": level, "step": step, "stream": stream, "seeds": [q.seed for q in asked],
                        "rows": [q.row for q in asked]}  # fmt: skip
                said = [_kept(self.folder / TRANSCRIPTS, answers[question].transcript) for question in asked]
                line |= {"answers": columns, **({"transcripts": said} if any(said) else {})}
                file.write(json.dumps(line) + "\n")
        self.answers.update({question: told.answer for question, told in answers.items()})


def _kept(folder: Path, transcript: str) -> str:
    """The digest that a transcript is kept under; empty where there is none."""
    if not transcript:
        return ""
    digest = blake2b(transcript.encode(), digest_size=8).hexdigest()
    folder.mkdir(exist_ok=True)
    write_whole(folder / f"{digest}.json", transcript.encode())
    return digest


def _by_step(answers: Mapping[Question, Told]) -> dict[tuple[int, int, str], list[Question]]:
    found: dict[tuple[int, int, str], list[Question]] = {}
    for question in answers:
        found.setdefault((question.level, question.step, question.stream), []).append(question)
    return found


def _column(values: Sequence[Tensor]) -> list[Any]:
    """Exact: the decimal form of a float64 gives back every float32 and float64."""
    return [str(values[0].dtype).removeprefix("torch."), [value.tolist() for value in values]]


def _read(path: Path, *, repair: bool) -> dict[Question, Answer]:
    """Every answer; a torn last line (the writer was killed) is dropped, and cut off if `repair`."""
    if not path.exists():
        return {}
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if repair and whole != text:
        path.write_text(whole)
    found: dict[Question, Answer] = {}
    for number, row in enumerate(whole.splitlines(), start=1):
        try:
            line = json.loads(row)
            columns = {name: [torch.tensor(value, dtype=getattr(torch, dtype)) for value in values]
                       for name, (dtype, values) in line["answers"].items()}  # fmt: skip
            for i, (seed, which) in enumerate(zip(line["seeds"], line["rows"], strict=True)):
                question = Question(line["level"], line["step"], line["stream"], seed, which)
                found[question] = {name: values[i] for name, values in columns.items()}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise LineageError(explain(expected=f"answers on line {number} of {path}", got=str(error),
                                       do="The file was changed by hand, or its disk failed."))  from error  # fmt: skip
    return found
