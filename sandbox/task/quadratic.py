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

LEAST = 1e-30  # what a loss counts as at least in log10


@dataclass(frozen=True)
class Quadratic:
    """P = ½ Σ h (w - w*)², with h the `curvature` and each task's w* standard normal. There is no data: every split is
    the one input 1, so that the prediction of the model `vector` is its weights w. Held-out tasks are new draws.

    The best learning rate for one step is 1/h for each weight, or Σ h² / Σ h³ for all. With `optimum` "zero" every w*
    is 0, a symmetry that a search can exploit: weights that shrink whatever the gradient says reach it too; then
    `model.spread` has to begin them elsewhere. With `log` all splits but the one that is trained on score log10 P, of
    1e-30 at least, so that what counts is by how many times a rule lowers the loss.
    """

    curvature: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    optimum: Literal["drawn", "zero"] = "drawn"
    log: bool = False
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
        target = normal(noise).to(getattr(torch, self.dtype))
        return {"target": target if self.optimum == "drawn" else torch.zeros_like(target)}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [1, 1]}; where log10 P is scored, with {"log": [1]}."""
        batch = {"x": torch.ones(1, 1, dtype=getattr(torch, self.dtype), device=noise.device)}
        return batch | {"log": torch.ones_like(batch["x"][0])} if self.log and split != "train" else batch

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        curvature = torch.tensor(self.curvature, dtype=prediction.dtype, device=prediction.device)
        loss = 0.5 * (curvature * (prediction - task["target"]).square()).sum(dim=-1)
        return loss.clamp(min=LEAST).log10() if "log" in batch else loss
