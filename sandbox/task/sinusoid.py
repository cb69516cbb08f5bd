"""Regression onto sine waves, the standard first family of meta-learning (Finn et al. 2017, section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, pi
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split

Range = tuple[float, float]  # the lowest and the highest, or one value twice


@dataclass(frozen=True)
class Sinusoid:
    """y = amplitude · sin(frequency · x - phase). Each of the four is uniform in its range: the first three are drawn
    for a task, x for a point; a range of one value twice fixes it. The phase is in radians.

    A task is `shots`-shot: its training points are drawn with it and stay the same through the whole life, however many
    inner steps that has. The points that it is scored on are drawn afresh each time that a split is read, for they
    estimate the error on the whole wave and nobody trains on them: as many as the shots for `practice` and `gate`, and
    `test` of them for the test split. There is no other family: held-out tasks are new draws of this one. P is the
    squared error. Meta-SGD (Li et al. 2017, section 4.1) has frequency [.8, 1.2].
    """

    shots: int = 10
    amplitude: Range = (0.1, 5.0)
    phase: Range = (0.0, pi)
    frequency: Range = (1.0, 1.0)
    x: Range = (-5.0, 5.0)
    test: int = 100
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if min(self.shots, self.test) < 1:
            raise ConfigError(explain(expected="task.shots and task.test of 1 or more",
                                      got=f"{self.shots} and {self.test}", do="A batch needs a point."))  # fmt: skip
        for name in ("amplitude", "phase", "frequency", "x"):
            low, high = getattr(self, name)
            if not (isfinite(low) and isfinite(high) and low <= high):
                raise ConfigError(explain(expected=f"task.{name} as [lowest, highest], both finite",
                                          got=f"[{low}, {high}]",
                                          do="Name one value twice to fix it, as in [1, 1]."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": 3 + self.shots, "train": 0, "practice": self.shots, "gate": self.shots, "test": self.test}

    @property
    def inputs(self) -> int:
        return 1

    @property
    def outputs(self) -> int:
        return 1

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"amplitude": scalar, "phase": scalar in radians, "frequency": scalar, "train": [shots] the training x}."""
        wave = {"amplitude": self.amplitude, "phase": self.phase, "frequency": self.frequency}
        numbers = {name: _within(bounds, noise[place]) for place, (name, bounds) in enumerate(wave.items())}
        return {**numbers, "train": _within(self.x, noise[3:])}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, 1], "y": [n, 1]}."""
        x = (task["train"] if split == "train" else _within(self.x, noise))[:, None]
        y = task["amplitude"] * torch.sin(task["frequency"] * x - task["phase"])
        dtype = getattr(torch, self.dtype)
        return {"x": x.to(dtype), "y": y.to(dtype)}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return (prediction - batch["y"]).square().sum(dim=-1)


def _within(bounds: Range, u: Tensor) -> Tensor:
    """Uniforms in [0, 1) stretched over a range."""
    low, high = bounds
    return low + (high - low) * u
