"""What living a horizon returns, and the loop as its phases see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.journal import Journal
from sandbox.core.protocols import Engine, Level, World
from sandbox.core.record import Record, Standing
from sandbox.core.score import Score, Split

Mode = Literal["real", "trial", "probe"]
"""real: recorded, rolled back where not finite. trial: judged but unrecorded. probe: edits taken unjudged."""


@dataclass(frozen=True)
class Lived:
    """Where a horizon ends: the standing, the own losses [K, L] of its inner steps, the scores [L, n] that were wanted
    of it, and the records of the reflective steps within."""

    standing: Standing
    own: Tensor
    scores: Mapping[Score, Tensor] = field(default_factory=dict[Score, Tensor])
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is to be scored of a horizon: `scores` on `split`, on the tape if `taped`."""

    scores: tuple[Score, ...]
    split: Split
    taped: bool = False


class LoopView(Protocol):
    """A loop, as its phases and its probes use it."""

    @property
    def world(self) -> World: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def levels(self) -> tuple[Level, ...]: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def probing(self) -> int | None: ...
    @property
    def unpaired(self) -> bool: ...

    def within(self, world: World, now: int) -> LoopView:
        """The same loop in another world, unwatched, after `now` steps of its top level; it reads the journal and asks
        nobody."""
        ...

    def live(self, n: int, standing: Standing, step: int, stream: str, adjoint: Adjoint | None, mode: Mode, *,
             held_out: bool = False, wanted: Wanted | None = None) -> Lived:  # fmt: skip
        """One horizon: inner steps for level 1, reflective steps of the level below for the others."""
        ...

    def reflect(self, n: int, standing: Standing, step: int, stream: str, *, adjoint: Adjoint | None = None,
                mode: Mode = "real", held_out: bool = False) -> Lived:  # fmt: skip
        """One reflective step, on the tape of the level above if there is one."""
        ...
