"""A reflective step in the making: the record that every phase receives and returns further on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.edit import Edit, Tried, covers
from sandbox.core.error import ConfigError, explain
from sandbox.core.needs import Heard, Needs, Seen
from sandbox.core.protocols import Level
from sandbox.core.record import Record, Standing, Verdict
from sandbox.core.state import State, detach, leaves
from sandbox.loop.lived import LoopView, Mode


@dataclass(frozen=True)
class Turn:
    """One reflective step of level `n`, the `step`-th of its kind, on a random `stream`.

    `above` is the tape of the level above (None: nobody above differentiates through this step). `standing` is where
    the run stands so far; `own` [K, L] the own losses of the horizon; `seen` what the meta-learner is served; `edit`
    what it asked for. A seed is `open` [S] while its edit is in play; once closed, `verdict` and `why` say what became
    of it. `rows` is how many rows the meta-learner is asked for: one a seed, or one a lane where it edits lanes.
    `incumbent` is the state that the edit was tried against; `heard` is what the gate measured, `anchor` what
    the frozen second gate would have said; `tried` what the seeds' meta-learners tell of the way to their edits.
    """

    loop: LoopView
    n: int
    step: int
    stream: str
    above: Adjoint | None
    mode: Mode
    held_out: bool
    standing: Standing
    own: Tensor
    rows: int
    open: Tensor
    verdict: tuple[Verdict, ...]
    why: tuple[str, ...]
    anchor: tuple[str, ...]
    seen: Seen | None = None
    edit: Edit = field(default_factory=Edit)
    incumbent: State | None = None
    heard: Heard | None = None
    tried: Mapping[int, Tried] = field(default_factory=dict[int, Tried])
    records: tuple[Record, ...] = ()

    @property
    def level(self) -> Level:
        return self.loop.levels[self.n - 1]

    @property
    def needs(self) -> Needs:
        return self.level.needs

    @property
    def state(self) -> State:
        return self.standing.state

    def at(self, state: State) -> Turn:
        """The same turn standing at another state."""
        return replace(self, standing=replace(self.standing, state=state))

    def close(self, seeds: Tensor, verdict: Verdict, why: str) -> Turn:
        """The turn with those of `seeds` [S] that were open closed under one verdict."""
        closing = (seeds & self.open).tolist()
        return replace(
            self,
            open=self.open & ~seeds,
            verdict=tuple(verdict if now else old for now, old in zip(closing, self.verdict, strict=True)),
            why=tuple(why if now else old for now, old in zip(closing, self.why, strict=True)),
        )


def begin(loop: LoopView, n: int, standing: Standing, step: int, stream: str, above: Adjoint | None, mode: Mode,
          held_out: bool) -> Turn:  # fmt: skip
    """A turn before its first phase."""
    seeds = standing.state.seeds
    return Turn(
        loop, n, step, stream, above, mode, held_out, standing,
        own=torch.zeros(0),
        rows=asked_rows(standing.state, loop.levels[n - 1].needs, n) if loop.levels else seeds,
        open=torch.ones(seeds, dtype=torch.bool),
        verdict=(Verdict.NO_EDIT,) * seeds,
        why=("",) * seeds,
        anchor=("",) * seeds,
    )  # fmt: skip


def asked_rows(state: State, needs: Needs, n: int) -> int:
    """How many rows level `n` is asked for: as many as what it edits has, one a seed where that is nothing but its own.

    Raises `ConfigError` where some of it has a row a seed and some a row a life.
    """
    edits = [path for path in needs.edits if not covers([f"meta/{n}", f"memory/{n}"], path)]
    found = {path: leaf.shape[0] for edit in edits for path, leaf in leaves(state, edit).items()}
    if len(set(found.values())) > 1:
        raise ConfigError(explain(expected="edits that all have a row a seed, or all a row a life", got=f"{found}",
                                  do="Name them all in `per_lane`, or none; or use two levels."))  # fmt: skip
    return next(iter(found.values()), state.seeds)


def off_tape(standing: Standing) -> Standing:
    """The same standing, differentiable no more."""
    return replace(standing, state=detach(standing.state), before=detach(standing.before))
