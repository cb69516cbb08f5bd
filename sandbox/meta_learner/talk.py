"""A conversation with a language model until it has proposed a program that can be tried, and the transcript of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.core.journal import Question
from sandbox.meta_learner.endpoint import Endpoint, OutageError
from sandbox.meta_learner.prompt import Message, again
from sandbox.program.answer import Read, read
from sandbox.program.program import Program, ProgramError

STAGES = ("language", "canonical", "fingerprint", "sign")  # that an answer may end at
ATTEMPTS = 3  # an answer, and two after a fault


@dataclass
class Talk:
    """With `endpoint`, begun by `messages`; `parents` may be changed by name; `check` says of a program that it ends at
    one of `STAGES` and why, or nothing where it is to be tried. `spent` are requests, tokens and seconds so far."""

    endpoint: Endpoint
    messages: list[Message]
    parents: Mapping[str, Program]
    check: Callable[[Program], tuple[str, str]]
    spent: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    faults: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    exchanges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def proposal(self, left: Sequence[float]) -> Read | None:
        """What the model proposes in the end; None where none of its answers can be tried, or the budget that is `left`
        is spent before one can. Raises `OutageError` where no answer can be had."""
        new = self.messages
        for _ in range(ATTEMPTS):
            if self._over(left):
                return None
            try:
                words = self._said(new, left[2] - self.spent[2])
            except OutageError:
                if self._over(left):  # the budget's last seconds were too few
                    return None
                raise
            found, (stage, why) = self._read(words)
            if not why:
                return found
            why = self.endpoint.scrub(why)
            self.faults.append((stage, why))
            self.exchanges[-1] |= {"stage": stage, "fault": why}
            new = again(words, why)
            self.messages = [*self.messages, *new]
        return None

    def transcript(self, question: Question, outcome: str) -> str:
        """All that was said, as JSON without the key: each exchange has the messages that were new in it."""
        told = {"question": asdict(question), "endpoint": self.endpoint.where, "model": self.endpoint.model,
                "request": dict(self.endpoint.request), "outcome": outcome, "exchanges": self.exchanges}  # fmt: skip
        return self.endpoint.scrub(json.dumps(told, indent=1, ensure_ascii=False))

    def _read(self, words: str) -> tuple[Read | None, tuple[str, str]]:
        try:
            found = read(words, self.parents)
            return found, self.check(found.program)
        except ProgramError as error:
            return None, (STAGES[0], str(error))

    def _said(self, new: Sequence[Message], seconds: float) -> str:
        try:
            reply = self.endpoint.say(self.messages, seconds)
        except OutageError as error:
            self._charge(error.requests, 0, error.seconds)
            self.exchanges.append({"messages": list(new), "outage": str(error), "requests": error.requests})
            raise
        self._charge(reply.requests, reply.tokens, reply.seconds)
        self.exchanges.append({"messages": list(new), **asdict(reply), "seconds": round(reply.seconds, 3)})
        return reply.text

    def _over(self, left: Sequence[float]) -> bool:
        return any(used >= most for used, most in zip(self.spent, left, strict=True))

    def _charge(self, *costs: float) -> None:
        self.spent = [used + cost for used, cost in zip(self.spent, costs, strict=True)]
