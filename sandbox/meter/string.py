"""How far the agent hangs through between human and process: slack and indirectness of the three distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.watch import Probe, Reading
from sandbox.measure.string import indirectness, slack
from sandbox.meter.behaviours import distances


@dataclass(frozen=True)
class String:
    """Of x = d(H, P), y = d(P, A), w = d(H, A) over `agents` agents (see `distance`): slack x + y - w ≥ 0, and that as
    a share of x + y. 0: the agent is as far from the human as its legs say; 1: it is the human's although the process
    is not. Read where the task knows H."""

    every: int = 30
    agents: int = 256

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (
            Reading("string/slack", "Slack of the string from H through P to A", range=(0.0, 2.0)),
            Reading("string/indirectness", "Slack as a share of the two legs", range=(0.0, 1.0)),
        )

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        found = distances(probe, self.agents)
        if "human_process" not in found:
            return {}
        legs = [found[pair].tolist() for pair in ("human_process", "process_agent", "human_agent")]

        def each(figure: Callable[[float, float, float], float]) -> Tensor:
            return torch.tensor([figure(*triple) for triple in zip(*legs, strict=True)], dtype=torch.float64)

        return {"string/slack": each(slack), "string/indirectness": each(indirectness)}
