"""Regression onto sine waves, the standard first family of meta-learning (Finn et al. 2017, section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split

TEST = 100  # points of the test split


@dataclass(frozen=True)
class Sinusoid:
    """y = amplitude · sin(x - phase), with amplitude in [.1, 5], phase in [0, π] and x in [-5, 5], all uniform.

    Every split but `test` has `shots` points, drawn afresh each time. There is no other family: held-out tasks are new
    draws of this one. P is the squared error.
    """

    shots: int = 10
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if self.shots < 1:
            raise ConfigError(explain(expected="task.shots of 1 or more", got=f"{self.shots}",
                                      do="A batch needs a point."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": 2, "train": self.shots, "practice": self.shots, "gate": self.shots, "test": TEST}

    @property
    def inputs(self) -> int:
        return 1

    @property
    def outputs(self) -> int:
        return 1

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"amplitude": scalar, "phase": scalar in radians}."""
        return {"amplitude": 0.1 + 4.9 * noise[0], "phase": pi * noise[1]}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, 1], "y": [n, 1]}."""
        x = 10 * noise[:, None] - 5
        y = task["amplitude"] * torch.sin(x - task["phase"])
        dtype = getattr(torch, self.dtype)
        return {"x": x.to(dtype), "y": y.to(dtype)}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return (prediction - batch["y"]).square().sum(dim=-1)
