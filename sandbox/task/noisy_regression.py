"""Linear regression of which some training labels are replaced by outliers, so that the loss to learn by is not MSE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.core.random import normal


@dataclass(frozen=True)
class NoisyRegression:
    """y = w · x, with w and x standard normal, w drawn for a task. Each of the `train` labels that a life learns from
    is replaced with probability `rate` by a normal number of mean `mean` and standard deviation `spread`; a life sees
    all of them at every inner step. The labels of all other splits are clean and P is the squared error there, so that
    a loss is judged by what it teaches in spite of the outliers (Gao et al. 2021, EvoMAL: Raymond et al. 2023).

    A `skew` of 1 puts all outliers on the side of the mean, of 0 half of them on the other side. There is no other
    family within: held-out tasks are new draws of this one, and the meter `audit` lives on another.
    """

    features: int = 4
    train: int = 64
    rate: float = 0.3
    mean: float = 8.0
    spread: float = 3.0
    skew: float = 1.0
    points: int = 64
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if min(self.features, self.train, self.points) < 1:
            raise ConfigError(explain(expected="task.features, task.train and task.points of 1 or more",
                                      got=f"{self.features}, {self.train} and {self.points}",
                                      do="Leave them out: 4, 64 and 64."))  # fmt: skip
        if not (0 <= self.rate <= 1 and 0 <= self.skew <= 1 and isfinite(self.mean) and 0 <= self.spread < torch.inf):
            raise ConfigError(explain(
                expected="task.rate and task.skew in [0, 1], a finite task.mean and task.spread of 0 or more",
                got=f"{self.rate}, {self.skew}, {self.mean} and {self.spread}",
                do="Leave them out: .3, 1, 8 and 3."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        points = self.points * self.features
        return {"draw": self.features + self.train * (self.features + 3), "train": 0, "practice": points,
                "gate": points, "test": points}  # fmt: skip

    @property
    def inputs(self) -> int:
        return self.features

    @property
    def outputs(self) -> int:
        return 1

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"w": [features], "x": [train, features], "given": [train] labels}."""
        w, x, rest = noise.split([self.features, self.train * self.features, 3 * self.train])
        w, x = normal(w), normal(x).reshape(self.train, self.features)
        lies, side, outlier = rest.reshape(3, self.train)
        outlier = self.mean + self.spread * normal(outlier)
        outlier = torch.where(side < (1 + self.skew) / 2, outlier, -outlier)
        return {"w": w, "x": x, "given": torch.where(lies < self.rate, outlier, x @ w)}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, features], "y": [n, 1]}."""
        if split == "train":
            x, y = task["x"], task["given"]
        else:
            x = normal(noise).reshape(self.points, self.features)
            y = x @ task["w"]
        dtype = getattr(torch, self.dtype)
        return {"x": x.to(dtype), "y": y[:, None].to(dtype)}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return (prediction - batch["y"]).square().sum(dim=-1)
