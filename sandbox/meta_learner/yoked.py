"""The control: it lives by the edits of another life, so it changes as much and as often but never on its own trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from sandbox.core.edit import Edit, covers
from sandbox.core.error import ConfigError, explain
from sandbox.core.journal import Answer, Question
from sandbox.core.protocols import MetaLearner, Needs, Params, Seen


@dataclass(frozen=True)
class Yoked:
    """`of` is the meta-learner that the source run has in this one's place; `source` is that run's label. `by` is
    "other" (seed s lives by seed s + 1, the last by the first) or "mean" (all live by the mean course, taken over phi
    as it is stored, before it is squashed). At each step it is told the other's values in force after that step, and
    asks for them; they stand in the journal like every answer from outside."""

    of: MetaLearner
    source: str
    by: Literal["other", "mean"] = "other"

    @property
    def needs(self) -> Needs:
        edits = tuple(path for path in self.of.needs.edits if not path.startswith("./"))  # it has no psi of its own
        return Needs(edits=edits, answers=True)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        return Edit(seen.answer, note=f"as {self.source} did ({self.by})"), psi

    def origin(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The run that it lives by: its own configuration with the meta-learner that it stands in for. Raises
        `ConfigError` for a run that can't be yoked."""
        edits = self.needs.edits
        by_life = [path for path in edits if covers(config.get("per_lane", ()), path)]
        if config["above"] or config["seeds"] < 2 or not edits or by_life:
            got = f"{1 + len(config['above'])} levels, {config['seeds']} seeds, edits of {list(edits)}"
            raise ConfigError(explain(
                expected="a yoked control of one level, of two seeds or more, of a meta-learner that edits by seed",
                got=f"{got}, a row a life at {by_life}",
                do="Raise seeds, leave out `above`, or name another meta-learner at meta_learner.of."))  # fmt: skip
        return {**config, "meta_learner": config["meta_learner"]["of"], "label": self.source}

    def follow(self, course: Mapping[str, Tensor], seeds: Sequence[int]) -> Yoked:
        """The same control, knowing {path: [steps, S, ...]}, what the source's `seeds` did."""
        return Following(self.of, self.source, self.by, arrange(course, self.by), tuple(seeds))


@dataclass(frozen=True)
class Following(Yoked):
    """A yoked control that knows the arranged `course` {path: [steps, S, ...]} of its `seeds`."""

    course: Mapping[str, Tensor] | None = None
    seeds: tuple[int, ...] = ()

    def consult(self, question: Question, psi: Params, seen: Seen) -> Answer:
        """What stands in the course at the question's step; raises `ConfigError` beyond its end."""
        course = self.course or {}
        if any(question.step > len(values) for values in course.values()):
            raise ConfigError(explain(expected=f"a recorded course of {question.step} steps or more",
                                      got=str(min(map(len, course.values()))),
                                      do="A yoked editor lives by a finished run of the same length."))  # fmt: skip
        return {path: values[question.step - 1, self.seeds.index(question.seed)] for path, values in course.items()}


def arrange(course: Mapping[str, Tensor], by: Literal["other", "mean"]) -> dict[str, Tensor]:
    """What each seed lives by, {path: [steps, S, ...]}, from what the source's seeds did, of the same shape."""
    seeds = next(iter(course.values())).shape[1]
    if seeds < 2:
        raise ConfigError(explain(expected="a source run of two seeds or more", got=f"{seeds}",
                                  do="A seed yoked to itself is no control; raise `seeds`."))  # fmt: skip
    if by == "other":
        return {path: values.roll(-1, dims=1) for path, values in course.items()}
    return {path: values.mean(dim=1, keepdim=True).expand_as(values).clone() for path, values in course.items()}
