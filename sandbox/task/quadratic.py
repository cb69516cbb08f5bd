"""A diagonal quadratic bowl, where what a learning rule should become is known in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.core.random import normal


@dataclass(frozen=True)
class Quadratic:
    """P = ½ Σ h (w - w*)², with h the `curvature` and each task's w* standard normal. There is no data: every split is
    the one input 1, so that the prediction of the model `vector` is its weights w. Held-out tasks are new draws.

    The best learning rate for one step is 1/h for each weight, or Σ h² / Σ h³ for all.
    """

    curvature: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if not self.curvature or min(self.curvature) <= 0:
            raise ConfigError(explain(expected="positive task.curvature", got=f"{self.curvature}",
                                      do="A bowl has a bottom."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": self.outputs, "train": 0, "practice": 0, "gate": 0, "test": 0}

    @property
    def inputs(self) -> int:
        return 1

    @property
    def outputs(self) -> int:
        return len(self.curvature)

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"target": [outputs]}."""
        return {"target": normal(noise).to(getattr(torch, self.dtype))}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [1, 1]}."""
        return {"x": torch.ones(1, 1, dtype=getattr(torch, self.dtype), device=noise.device)}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        curvature = torch.tensor(self.curvature, dtype=prediction.dtype, device=prediction.device)
        return 0.5 * (curvature * (prediction - task["target"]).square()).sum(dim=-1)
