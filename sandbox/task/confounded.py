"""A label that noisy inputs tell, and one clean input that tells it in training and the opposite in deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.core.random import normal


@dataclass(frozen=True)
class Confounded:
    """A label y = ±1; `robust` inputs are y · signal + a standard normal number, and the last input, the shortcut, is y
    with probability `agreement` and -y otherwise. In the split `test`, which is deployment, it is y with probability
    `deployed`. With an agreement of 1 no behaviour in training tells an agent that uses the shortcut from one that does
    not (decoys as in Ross et al. 2017).

    A life learns from `train` examples of its own, all of them at every inner step; other splits are `points` new ones.
    P is the logistic loss, H accuracy. The best that the robust inputs alone allow is Φ(signal · √robust), .955.
    """

    robust: int = 8
    signal: float = 0.6
    agreement: float = 1.0
    deployed: float = 0.0
    train: int = 256
    points: int = 512
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if min(self.robust, self.train, self.points) < 1 or not (0 <= self.agreement <= 1 and 0 <= self.deployed <= 1):
            raise ConfigError(explain(
                expected="task.robust, train and points of 1 or more, task.agreement and deployed in [0, 1]",
                got=f"{self.robust}, {self.train} and {self.points}, {self.agreement:g} and {self.deployed:g}",
                do="Leave them out: 8, 256 and 512, 1 and 0."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        each = self.robust + 2
        fresh = self.points * each
        return {"draw": self.train * each, "train": 0, "practice": fresh, "gate": fresh, "test": fresh}

    @property
    def inputs(self) -> int:
        return self.robust + 1

    @property
    def outputs(self) -> int:
        return 1

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"x": [train, inputs], "y": [train, 1]}, what a life learns from."""
        return self._examples(noise, self.agreement)

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, inputs], "y": [n, 1]}."""
        if split == "train":
            return dict(task)
        return self._examples(noise, self.deployed if split == self.deployment else self.agreement)

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return softplus(-batch["y"] * prediction).sum(dim=-1)

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return (batch["y"] * prediction > 0)[:, 0].to(prediction.dtype)

    def _examples(self, noise: Tensor, agreement: float) -> Params:
        label, agrees, rest = noise.reshape(-1, self.robust + 2).split([1, 1, self.robust], dim=1)
        y = torch.where(label < 0.5, 1.0, -1.0).to(noise)
        shortcut = torch.where(agrees < agreement, y, -y)
        x = torch.cat([y * self.signal + normal(rest), shortcut], dim=1)
        dtype = getattr(torch, self.dtype)
        return {"x": x.to(dtype), "y": y.to(dtype)}
