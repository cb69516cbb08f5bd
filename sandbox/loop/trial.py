"""A trial as data: who lives how far on which stream, so that any process could live it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.record import Standing
from sandbox.core.score import Score
from sandbox.core.state import State, below, detach
from sandbox.loop.lived import LoopView, Wanted


@dataclass(frozen=True)
class Trial:
    """One horizon of level `n` from `state` [rows of seeds], on `stream`, off the tape; `scores` are taken of the split
    "gate". It can be pickled where its world can; `outcome` depends on nothing else."""

    loop: LoopView
    n: int
    state: State
    step: int
    stream: str
    scores: tuple[Score, ...]

    def outcome(self) -> Mapping[Score, Tensor]:
        """{score: [L, n]} of every lane and example, lower is better."""
        begun = below(detach(self.state), self.n)
        standing = Standing(begun, begun, torch.zeros(begun.seeds, dtype=torch.bool))
        wanted = Wanted(self.scores, "gate")
        return self.loop.live(self.n, standing, self.step, self.stream, None, "trial", wanted=wanted).scores
