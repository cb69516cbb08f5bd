"""A conversation with a language model until it has proposed a program that can be tried, and the transcript of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.core.error import explain
from sandbox.core.journal import Question
from sandbox.meta_learner.endpoint import Endpoint, OutageError
from sandbox.meta_learner.prompt import Message, again
from sandbox.program.answer import Read, read
from sandbox.program.program import Program, ProgramError

ATTEMPTS = 3  # an answer, and two after a fault


@dataclass
class Talk:
    """With `endpoint`, begun by `messages`; `parents` may be changed by name; `check` raises `ProgramError` for a
    program that is not to be tried. `spent` are requests, tokens and seconds so far."""

    endpoint: Endpoint
    messages: list[Message]
    parents: Mapping[str, Program]
    check: Callable[[Program], None]
    spent: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    faults: list[str] = field(default_factory=list[str])
    exchanges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def proposal(self, left: Sequence[float]) -> Read | None:
        """What the model proposes in the end; None where none of its answers can be tried, or the budget that is `left`
        is spent before one can. Raises `OutageError` where no answer can be had."""
        new = self.messages
        for _ in range(ATTEMPTS):
            if any(used >= most for used, most in zip(self.spent, left, strict=True)):
                return None
            words = self._said(new, left[2] - self.spent[2])
            try:
                found = read(words, self.parents)
                self.check(found.program)
            except ProgramError as error:
                self.faults.append(self.endpoint.scrub(str(error)))
                self.exchanges[-1]["fault"] = str(error)
                new = again(words, str(error))
                self.messages = [*self.messages, *new]
                continue
            return found
        return None

    def transcript(self, question: Question, outcome: str) -> str:
        """All that was said, as JSON without the key: each exchange has the messages that were new in it."""
        told = {"question": asdict(question), "endpoint": self.endpoint.where, "model": self.endpoint.model,
                "request": dict(self.endpoint.request), "outcome": outcome, "exchanges": self.exchanges}  # fmt: skip
        return self.endpoint.scrub(json.dumps(told, indent=1, ensure_ascii=False))

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

    def _charge(self, *costs: float) -> None:
        self.spent = [used + cost for used, cost in zip(self.spent, costs, strict=True)]


def new_among(program: Program, known: Mapping[str, Program], kinds: Sequence[str], identity: Callable[[Program], str]
              ) -> None:  # fmt: skip
    """Raises `ProgramError` for a program of another kind than `kinds`, or one that is `known` under a name."""
    if program.signature not in kinds:
        raise ProgramError(explain(expected=f"a program '{' or '.join(kinds)}'", got=f"'{program.signature}'",
                                   do="No other may be edited here."))  # fmt: skip
    same = [name for name, other in known.items() if identity(other) == identity(program)]
    if same:
        raise ProgramError(explain(expected="another formula", got=f"{same[0]} once more, in other words",
                                   do="It has been judged, and is not judged again."))  # fmt: skip
