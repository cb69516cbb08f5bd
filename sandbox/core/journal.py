"""The journal of answers: what a level was told by something that is not a function of the state.

Another run's course, a slow search and a language model are such sources. An answer is written before it is used, so
replay and resumption read it and need no source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from torch import Tensor

Answer = Mapping[str, Tensor]


@dataclass(frozen=True)
class Told:
    """An answer, and word for word how it came about, which is kept beside the journal and which no run reads."""

    answer: Answer
    transcript: str = ""


@dataclass(frozen=True)
class Question:
    """Who asks: the `level`, its reflective `step` (from 1), the random `stream` that the life is on, the seed, and
    which row of that seed: lives of one seed, or candidates on one stream, may be told different things."""

    level: int
    step: int
    stream: str
    seed: int
    row: int = 0


class Journal(Protocol):
    """Answers under their questions. A `sealed` journal takes no more: a replay may ask nobody."""

    @property
    def sealed(self) -> bool: ...

    def recall(self, question: Question) -> Answer | None:
        """What was answered to this very question; None if it was never asked."""
        ...

    def latest(self, question: Question) -> Answer | None:
        """What this level and seed were last told on the stream, before the question's step: what a probe is served,
        for a probe never asks. (A replay knows later answers too, and must not read more than the run did.)"""
        ...

    def note(self, answers: Mapping[Question, Told]) -> None:
        """Keep the answers of one reflective step; they are safe when this returns."""
        ...


@dataclass(frozen=True)
class Notebook:
    """A journal in memory."""

    answers: dict[Question, Answer] = field(default_factory=dict[Question, Answer])
    sealed: bool = False

    def recall(self, question: Question) -> Answer | None:
        return self.answers.get(question)

    def latest(self, question: Question) -> Answer | None:
        return newest(self.answers, question)

    def note(self, answers: Mapping[Question, Told]) -> None:
        self.answers.update({question: told.answer for question, told in answers.items()})


def newest(answers: Mapping[Question, Answer], question: Question) -> Answer | None:
    """The last answer to the same level, stream, seed and row before the question's step."""
    known = [each for each in answers if each.step < question.step and replace(each, step=question.step) == question]
    return answers[max(known, key=lambda each: each.step)] if known else None
