"""How far the process's objective on the data that drives edits is from data that does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sandbox.core.protocols import Split
from sandbox.core.state import State
from sandbox.core.tree import by_seed
from sandbox.core.watch import Probe, Reading


@dataclass(frozen=True)
class Gap:
    """P on the gate's data minus P on practice, on the live tasks; P on the held-out probe tasks minus P on practice,
    where lives are episodic (the audit)."""

    every: int = 10

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (
            Reading("gap/practice_gate", "Gap of the gate", "lower", unit="P on gate − P on practice"),
            Reading("gap/audit", "Gap of the audit", "lower", unit="P on audit − P on practice"),
        )

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        world, splits = probe.world, probe.world.task.noise
        if "practice" not in splits:
            return {}

        def mean(state: State, split: Split) -> Tensor:
            with torch.no_grad():
                scores = probe.engine.scores(world, replace(state, t=0), split, "probe").double().mean(dim=1)
            return by_seed(scores, world.tasks).mean(dim=1)

        practice = mean(probe.state, "practice")
        readings = {"gap/practice_gate": mean(probe.state, "gate") - practice} if "gate" in splits else {}
        if probe.level.lifetime == "episodic":
            readings["gap/audit"] = mean(probe.adapted(world)[1], "practice") - practice
        return readings
