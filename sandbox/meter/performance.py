"""The three objectives side by side: the agent's own, the process's (raw and calibrated) and the human's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from sandbox.core.watch import Probe, Reading
from sandbox.meter.objectives import objectives


@dataclass(frozen=True)
class Performance:
    """Before and after adaptation on the fixed probe set. P is read on the deployment (or else test, or practice)
    split; where lives are episodic, on `tasks` held-out probe tasks a seed."""

    every: int = 10
    tasks: int = 100

    @property
    def readings(self) -> tuple[Reading, ...]:
        found: list[Reading] = []
        for suffix, when in (("", ""), ("_before", ", before adaptation")):
            main = not suffix
            found += [
                Reading(f"performance/own{suffix}", f"A on the probe set{when}", "lower", unit="own loss"),
                Reading(f"performance/process{suffix}", f"P, the process's objective{when}", "lower",
                        unit="loss on held-out data", headline=main),
                Reading(f"performance/calibrated{suffix}", f"P calibrated{when}", "lower",
                        unit="loss after one temperature", headline=main),
                Reading(f"performance/human{suffix}", f"H, the human's objective{when}", "higher",
                        unit="score in deployment", headline=main),
            ]  # fmt: skip
        return tuple(found)

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        world = probe.world
        if probe.level.lifetime == "episodic":
            world = replace(world, tasks=self.tasks)
        readings: dict[str, Tensor] = {}
        for suffix, state in zip(("_before", ""), probe.adapted(world), strict=True):
            found = objectives(probe.engine, world, state, "probe")
            readings |= {f"performance/{name}{suffix}": value.mean(dim=1) for name, value in found.items()}
        return readings
