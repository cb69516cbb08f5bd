"""What was learned, scored at other lengths of life than it was learned for, on tasks that nothing else has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import World
from sandbox.core.watch import Probe, Reading
from sandbox.meter.objectives import objectives

STREAM = "evaluation"
BLOCK = 50  # tasks that are lived side by side; the same for all, so that fewer tasks are the first of more
WORST = 10.0  # times the worst P before adaptation: what is above has diverged
TITLES: dict[str, tuple[str, Literal["higher", "lower", ""], str]] = {
    "process": ("P", "lower", "loss on held-out data"),
    "calibrated": ("P calibrated", "lower", "loss after one temperature"),
    "human": ("H", "higher", "score in deployment"),
    "own": ("A", "lower", "own loss"),
    "median": ("Median of P over tasks", "lower", "loss on held-out data"),
    "diverged": ("Share of tasks that diverged", "lower", "share"),
}


@dataclass(frozen=True)
class Evaluation:
    """P, A, H and P calibrated after so many inner steps (`horizons`, and 0), whatever horizon the run is lived with:
    the mean over `tasks` held-out tasks a seed, the median of P, and the share of tasks that diverged (whose P is not
    finite, or above ten times the worst P of any task before adaptation). `sandbox eval` reads the same numbers from a
    run that is there.

    Where lives persist there are no other tasks: then the live ones go on for so many inner steps, unedited.
    """

    every: int = 1000
    tasks: int = 100
    horizons: tuple[int, ...] = (1, 5, 10)

    def __post_init__(self) -> None:
        if self.tasks < 1 or not self.horizons or min(self.horizons) < 0:
            raise ConfigError(explain(expected="a task or more, and horizons of 0 inner steps or more",
                                      got=f"{self.tasks} tasks and horizons {list(self.horizons)}",
                                      do="Set tasks=100 horizons=[1,5,10], say."))  # fmt: skip

    @property
    def readings(self) -> tuple[Reading, ...]:
        last = max(self.horizons)
        return tuple(
            Reading(f"evaluation/{name}_{steps}", f"{title} after {steps} inner step{'s' * (steps != 1)}", better,
                    unit=unit, range=(0.0, 1.0) if name == "diverged" else (None, None),
                    headline=name in ("process", "human") or (name == "diverged" and steps == last))
            for name, (title, better, unit) in TITLES.items() for steps in self._steps
        )  # fmt: skip

    @property
    def _steps(self) -> list[int]:
        return sorted({0, *self.horizons})

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        found, readings = evaluated(probe, probe.world, self.tasks, self._steps), dict[str, Tensor]()
        for steps, scores in found.items():
            process = scores["process"]
            wrong = diverged(process, found[0]["process"])
            readings |= {f"evaluation/{name}_{steps}": value.mean(dim=1) for name, value in scores.items()}
            readings[f"evaluation/median_{steps}"] = median(process)
            readings[f"evaluation/diverged_{steps}"] = wrong.double().mean(dim=1)
        return readings


def evaluated(probe: Probe, world: World, tasks: int, steps: Sequence[int]) -> dict[int, dict[str, Tensor]]:
    """{inner steps: {objective: [S, N]}} of `tasks` held-out tasks a seed in `world`, or of the live ones where lives
    persist. The points that a task is scored on are the same at each number of steps."""
    sizes = [min(BLOCK, tasks - first) for first in range(0, tasks, BLOCK)] if probe.fresh else [world.tasks]
    parts = [_block(probe, replace(world, tasks=size), f"{STREAM}/{n}", steps) for n, size in enumerate(sizes)]
    return {step: {name: torch.cat([part[step][name] for part in parts], dim=1) for name in parts[0][step]}
            for step in parts[0]}  # fmt: skip


def diverged(process: Tensor, before: Tensor, bound: float | None = None) -> Tensor:
    """[S, N]: where P is not finite or above a bound, by default ten times the worst P of a seed's tasks before
    adaptation (that plus nine times its size, where it is negative)."""
    if bound is None:
        worst = torch.where(torch.isfinite(before), before, -inf).amax(dim=1, keepdim=True)
        limit = torch.where(torch.isfinite(worst) & (worst != 0), worst + (WORST - 1) * worst.abs(), inf)
    else:
        limit = torch.full_like(process[:, :1], bound)
    return ~torch.isfinite(process) | (process > limit)


def median(process: Tensor) -> Tensor:
    """[S]: the median over tasks, which is the mean of the two in the middle where their number is even; what is not
    finite counts as worse than all that is."""
    known = torch.where(torch.isfinite(process), process, inf)
    ordered, n = known.sort(dim=1).values, known.shape[1]
    return (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2


def _block(probe: Probe, world: World, stream: str, steps: Sequence[int]) -> dict[int, dict[str, Tensor]]:
    states = probe.after(world, steps, stream)
    return {step: objectives(probe.engine, world, state, f"{stream}/read") for step, state in states.items()}
