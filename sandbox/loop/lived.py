"""What living returns, and the loop as those see it that are handed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from sandbox.core.protocols import Engine, Level, Tape, World
from sandbox.core.record import Record, Standing

Mode = Literal["real", "trial", "probe"]
"""real: recorded, rolled back where not finite. trial: judged but unrecorded. probe: edits taken unjudged."""


@dataclass(frozen=True)
class Lived:
    """Where a life stands, its own losses [K, L], and the records of the reflective steps within."""

    standing: Standing
    own: Tensor
    records: tuple[Record, ...] = ()


class Lives(Protocol):
    """A loop: it lives one horizon of level `n`, or one reflective step."""

    @property
    def world(self) -> World: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def levels(self) -> tuple[Level, ...]: ...

    def within(self, world: World) -> Lives:
        """The same loop in another world, unwatched."""
        ...

    def live(self, n: int, standing: Standing, step: int, stream: str, tape: Tape, mode: Mode, *,
             held_out: bool = False) -> Lived:  # fmt: skip
        """One horizon: inner steps for level 1, reflective steps of the level below for the others."""
        ...

    def reflect(self, n: int, standing: Standing, step: int, stream: str, *, tape: Tape = "off", mode: Mode = "real",
                held_out: bool = False) -> Lived:  # fmt: skip
        """One reflective step, on the tape of the level above if there is one."""
        ...
