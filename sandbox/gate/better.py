"""The bad baseline: one trial, and whoever happens to score lower wins."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sandbox.core.protocols import Params, Score

SCORE = Score()


@dataclass(frozen=True)
class Better:
    """Accepts a candidate whose mean on one trial is below the incumbent's. Of edits that change nothing but luck it
    accepts half: here for comparison, and where selection itself is meant to be noisy."""

    score: Score = SCORE

    @property
    def trials(self) -> int:
        return 1

    def init(self) -> Params:
        return {}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        before, after = float(incumbent.double().mean()), float(candidate.double().mean())
        return after < before, f"{after:.4g} after, {before:.4g} before", memory
