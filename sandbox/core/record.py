"""The record that each reflective step yields, and the verdicts that stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from torch import Tensor

from sandbox.core.state import State


class Verdict(StrEnum):
    """What became of a seed's edit in one reflective step."""

    NO_EDIT = "no edit"  # nothing was asked for
    REFUSED = "refused"  # never judged: malformed, not finite, or its trial was not
    REJECTED = "rejected"  # judged and not committed
    ACCEPTED = "accepted"  # judged and committed
    ROLLED_BACK = "rolled back"  # the life after an earlier edit went non-finite; that edit is undone


@dataclass(frozen=True)
class Standing:
    """What the loop carries from one commit to the next: the state, the state to roll back to, and which seeds [S]
    have had an edit accepted, so that `before` is a way back for them."""

    state: State
    before: State
    edited: Tensor


@dataclass(frozen=True)
class Change:
    """One edited path. `size` [S]: the Euclidean distance between what was asked for and what stood there; `value`
    [S, ...]: what was asked for, None where it is large (over a kilobyte a seed); `digest`: then its fingerprint, one a
    seed, else empty."""

    size: Tensor
    value: Tensor | None
    digest: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """One reflective step of one level; lists and tensors hold one entry a seed.

    `step` counts this level's reflective steps from 1 (0: the record of the start), `t` inner steps; `own` [S] is A,
    the mean of the rule's own loss over the last five inner steps. `edit` maps each asked path to its `Change`;
    `readings` to what the meters read [S]. `digest` fingerprints the state every few steps and at the end; it is empty
    in between. `text` maps each asked path that a rule can tell in words to its text [S], at step 0 all such paths;
    `tried` [S] lists what each meta-learner tried on the way to its edit (`Edit.tried`). `standing` (the states
    themselves) stays in memory.
    """

    step: int
    level: int
    t: int
    seeds: list[int]
    verdict: list[Verdict]
    why: list[str]
    anchor: list[str]
    own: Tensor
    edit: Mapping[str, Change]
    note: str
    digest: list[str]
    readings: Mapping[str, Tensor]
    text: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    tried: list[list[Mapping[str, Any]]] = field(default_factory=list[list[Mapping[str, Any]]])
    standing: Standing = field(repr=False, compare=False, kw_only=True)

    @property
    def state(self) -> State:
        """The state after the commit."""
        return self.standing.state
