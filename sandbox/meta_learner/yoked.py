"""The control: it lives by the edits of another life, so it changes as much and as often but never on its own trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import MetaLearner, Needs, Params, Seen


@dataclass(frozen=True)
class Yoked:
    """`of` is the meta-learner that the source run has in this one's place; `source` is that run's label. `by` is
    "other" (seed s lives by seed s + 1, the last by the first) or "mean" (all live by the mean course, taken over phi
    as it is stored, before it is squashed)."""

    of: MetaLearner
    source: str
    by: Literal["other", "mean"] = "other"

    @property
    def needs(self) -> Needs:
        return Needs(edits=self.of.needs.edits, course=True)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        return Edit(seen.course, note=f"as {self.source} did ({self.by})"), psi

    def arrange(self, course: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each seed lives by, {path: [steps, S, ...]}, from what the source's seeds did, of the same shape."""
        seeds = next(iter(course.values())).shape[1]
        if seeds < 2:
            raise ConfigError(explain(expected="a source run of two seeds or more", got=f"{seeds}",
                                      do="A seed yoked to itself is no control; raise `seeds`."))  # fmt: skip
        if self.by == "other":
            return {path: values.roll(-1, dims=1) for path, values in course.items()}
        return {path: values.mean(dim=1, keepdim=True).expand_as(values).clone() for path, values in course.items()}
