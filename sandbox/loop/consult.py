"""Consult: what a level is told by a source outside the state comes from the journal, and is written there first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod

import torch

from sandbox.core.error import ConfigError, LineageError, explain
from sandbox.core.journal import Answer, Question, Told
from sandbox.core.needs import Seen
from sandbox.core.protocols import Consults, Reaches
from sandbox.core.record import Verdict
from sandbox.core.tree import stack
from sandbox.loop.author import call, handed, row, seen_of
from sandbox.loop.lived import LoopView
from sandbox.loop.turn import Turn


def consult(turn: Turn) -> Turn:
    """The turn with an answer in `seen` for each row that is asked: from the journal, or asked of the source and noted
    there first.

    A probe is served what the live run was last told, and asks for no edit where that is nothing. Raises `LineageError`
    where a replay finds no answer.
    """
    if not turn.needs.answers:
        return turn
    if not turn.needs.vmapped and not bool(turn.open.any()):
        return turn  # nobody will be asked for an edit
    found = _answers(turn, _questions(turn)) if turn.loop.probing is None else _last_answers(turn)
    if not found:
        return turn.close(turn.open, Verdict.NO_EDIT, "")
    device = turn.loop.world.device
    answers = stack([{name: value.to(device) for name, value in answer.items()} for answer in found])
    return replace(turn, seen=replace(seen_of(turn), answer=answers))


def reachable(loop: LoopView, seeds: Sequence[int], steps: int) -> None:
    """Raises `ConfigError` where a level will be told things by somebody who can't be asked. A run whose journal holds
    the last answer of the top level asks nobody more."""
    for n, level in enumerate(loop.levels, start=1):
        source, last = level.meta_learner, [Question(n, steps, "life", seed) for seed in seeds]
        known = n == len(loop.levels) and all(loop.journal.recall(question) is not None for question in last)
        if level.needs.answers and isinstance(source, Reaches) and not (loop.journal.sealed or known):
            source.ready()


def _questions(turn: Turn) -> list[Question]:
    """One for each row that is asked; rows of one seed are counted."""
    each, met = turn.rows // turn.state.seeds, Counter[int]()
    found: list[Question] = []
    for seed in [int(seed) for seed in turn.state.seed for _ in range(each)]:
        found.append(Question(turn.n, turn.step, turn.stream, seed, met[seed]))
        met[seed] += 1
    return found


def _answers(turn: Turn, questions: list[Question]) -> list[Answer]:
    """One for each row. Where authors are asked row by row, a closed seed's would never be seen: it is not asked for,
    and another's stands in its place."""
    journal, closed = turn.loop.journal, torch.zeros(turn.rows, dtype=torch.bool)
    if not turn.needs.vmapped:
        closed = ~turn.open.repeat_interleave(turn.rows // turn.state.seeds)
    wanted = [question for question, no in zip(questions, closed.tolist(), strict=True) if not no]
    known = {question: journal.recall(question) for question in wanted}
    missing = [question for question in wanted if known[question] is None]
    if missing:
        known |= _asked(turn, [(r, question) for r, question in enumerate(questions) if question in missing])
    stand_in = next((known[question] for question in wanted), None)
    found = [known.get(question, stand_in) for question in questions]
    return [answer for answer in found if answer is not None]


def _asked(turn: Turn, missing: list[tuple[int, Question]]) -> dict[Question, Answer]:
    """The source's own answers to the questions of some rows, in the journal when this returns. One with a transcript
    is noted as soon as it comes, for it was not cheap."""
    journal, source = turn.loop.journal, turn.level.meta_learner
    if journal.sealed:
        raise LineageError(explain(
            expected=f"an answer in the journal to {missing[0][1]}", got="none",
            do="A replay asks nobody: the journal was changed, or belongs to another run."))  # fmt: skip
    if not isinstance(source, Consults):
        raise ConfigError(explain(
            expected="a meta-learner with `consult`, since `needs.answers` is set", got=type(source).__name__,
            do="Give it consult(question, psi, seen)."))  # fmt: skip
    psi, seen = handed(turn), vars(seen_of(turn))
    found: dict[Question, Told] = {}
    waiting: dict[Question, Told] = {}
    for r, question in missing:
        answer = partial(source.consult, question, row(psi, r), Seen(**row(seen, r)))
        said = call(turn, "consult", answer, pure=False)
        found[question] = waiting[question] = said if isinstance(said, Told) else Told(said)
        if found[question].transcript:
            journal.note(waiting)
            waiting = {}
    if waiting:
        journal.note(waiting)
    return {question: told.answer for question, told in found.items()}


def _last_answers(turn: Turn) -> list[Answer]:
    """What each row was last told on the live stream; nothing where one of them was never told anything."""
    steps = (turn.loop.probing or 0) * prod(level.horizon for level in turn.loop.levels[turn.n :])
    asked = [replace(question, stream="life", step=steps + 1) for question in _questions(turn)]
    found = [turn.loop.journal.latest(question) for question in asked]
    return [] if None in found else [answer for answer in found if answer is not None]
