"""The line of lineage that each reflective step yields, and the verdicts that stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sandbox.core.state import State

ACCEPTED = "accepted"  # judged and committed
REJECTED = "rejected"  # judged and not committed
REFUSED = "refused"  # never judged: malformed, not finite, or its trial was not
ROLLED_BACK = "rolled back"  # the life after an earlier edit went non-finite; that edit is undone
NO_EDIT = "no edit"  # nothing was asked for
VERDICTS = (ACCEPTED, REJECTED, REFUSED, ROLLED_BACK, NO_EDIT)


@dataclass(frozen=True)
class Standing:
    """What the loop carries from one commit to the next: the state, the state to roll back to, and which seeds [S]
    have had an edit accepted, so that `before` is a way back for them."""

    state: State
    before: State
    edited: Tensor


@dataclass(frozen=True)
class Record:
    """One reflective step of one level; lists hold one entry a seed.

    `step` counts this level's reflective steps from 1 (0: the record of the start); `own` is A, the mean of the rule's
    own loss over the last five inner steps. `edit` maps each asked path to its size per seed, its digest and, where
    small, its values. `standing` (the states themselves) stays in memory.
    """

    step: int
    level: int
    t: int
    seeds: list[int]
    verdict: list[str]
    why: list[str]
    anchor: list[str]
    own: list[float]
    edit: Mapping[str, Mapping[str, Any]]
    note: str
    digest: list[str]
    readings: Mapping[str, list[float]]
    standing: Standing = field(repr=False, compare=False)

    @property
    def state(self) -> State:
        """The state after the commit."""
        return self.standing.state

    def line(self) -> dict[str, Any]:
        """What is written: every field but the standing."""
        return {name: getattr(self, name) for name in WRITTEN}


WRITTEN = tuple(name for name in Record.__dataclass_fields__ if name != "standing")
