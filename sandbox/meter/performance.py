"""The three objectives side by side: the agent's own, the process's (raw and calibrated) and the human's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sandbox.core.error import UndefinedError
from sandbox.core.protocols import KnowsHuman, Split, Tempered, World
from sandbox.core.state import State
from sandbox.core.tree import by_seed
from sandbox.core.watch import Probe, Reading


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
            readings |= {
                f"performance/{name}{suffix}": value for name, value in _objectives(probe, world, state).items()
            }
        return readings


def _objectives(probe: Probe, world: World, state: State) -> dict[str, Tensor]:
    engine, task = probe.engine, world.task
    human = task if isinstance(task, KnowsHuman) else None
    split: Split = human.deployment if human else "test" if "test" in task.noise else "practice"

    def mean(scores: Tensor) -> Tensor:
        return by_seed(scores.double().mean(dim=1), world.tasks).mean(dim=1)

    with torch.no_grad():
        found = {"process": mean(engine.scores(world, state, split, "probe"))}
        with suppress(UndefinedError):  # examples that are normalised by each other have no loss alone
            found["own"] = mean(engine.own_losses(world, state, "train", "probe"))
        if isinstance(task, Tempered) and {"practice", "gate"} <= set(task.noise):
            found["calibrated"] = mean(engine.scores(world, state, split, "probe", "calibrated"))
        if human:
            found["human"] = mean(engine.scores(world, state, split, "probe", "human"))
    return found
