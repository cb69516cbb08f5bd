"""Two bits that foretell a label, of which one does so in every environment and the other changes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split

BITS = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))  # x · y


@dataclass(frozen=True)
class TwoBits:
    """A label y = ±1 and two bits. The first is y, wrong with probability `invariant`, everywhere; the second is y,
    wrong with a probability that is the environment's: those of `training`, of `validation` (the splits practice and
    gate; null: those of training), and of `test`, which is deployment. The second bit foretells more in training and
    misleads at test: coloured digits (Arjovsky et al. 2019) without the digits.

    Every batch is the whole population, its 8 cases in each environment, weighted: P is the logistic loss of the
    prediction, H is accuracy, and means over a batch are exact. With `spread` each environment's error is uniform
    within so much of what is said, another one in each task. With `mixed` every environment of training is the mixture
    of them all, so that there is nothing to compare.
    """

    training: tuple[float, ...] = (0.1, 0.2)
    validation: tuple[float, ...] | None = None
    test: tuple[float, ...] = (0.9,)
    invariant: float = 0.25
    spread: float = 0.0
    mixed: bool = False
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        errors = (*self.training, *self.test, *(self.validation or self.training), self.invariant)
        if not self.test or not self.training or not all(0 <= error <= 1 for error in errors):
            raise ConfigError(explain(expected="shares in [0, 1] at task.training, validation, test and invariant",
                                      got=f"{errors}", do="Say one for training and one for test."))  # fmt: skip
        if not 0 <= self.spread <= min(min(error, 1 - error) for error in errors[:-1]):
            raise ConfigError(explain(expected="a task.spread with which every error stays in [0, 1]",
                                      got=f"{self.spread:g} around {errors[:-1]}", do="Lower it."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        size = len(self.training) + len(self.validation or ()) + len(self.test)
        return {"draw": size, "train": 0, "practice": 0, "gate": 0, "test": 0}

    @property
    def inputs(self) -> int:
        return 2

    @property
    def outputs(self) -> int:
        return 1

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"training", "validation", "test"}: the errors of the second bit, one an environment."""
        said = noise.new_tensor((*self.training, *(self.validation or ()), *self.test))
        drawn = said + self.spread * (2 * noise - 1)
        training, validation, test = drawn.split([len(self.training), len(self.validation or ()), len(self.test)])
        return {"training": training, "validation": validation if self.validation else training, "test": test}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, 2], "y": [n, 1], "weight": [n], of mean 1 in each environment, "environment": [n, environments]},
        the last a one-hot."""
        errors = task[{"train": "training", "test": "test"}.get(split, "validation")]
        if self.mixed and split == "train":
            errors = errors.mean().expand_as(errors)
        dtype, count = getattr(torch, self.dtype), len(errors)
        bits = torch.tensor(BITS, dtype=torch.float64, device=errors.device)
        first = torch.where(bits[:, 0] > 0, 1 - self.invariant, self.invariant)
        second = torch.where(bits[:, 1] > 0, 1 - errors[:, None], errors[:, None])  # [environments, 4]
        weight = (4 * first * second).repeat(1, 2).flatten()
        y = torch.tensor([1.0, -1.0], dtype=torch.float64, device=errors.device).repeat_interleave(4)
        x = bits.repeat(2, 1) * y[:, None]
        member = torch.eye(count, dtype=dtype, device=errors.device).repeat_interleave(8, dim=0)
        return {"x": x.repeat(count, 1).to(dtype), "y": y.repeat(count)[:, None].to(dtype), "weight": weight.to(dtype),
                "environment": member}  # fmt: skip

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return batch["weight"] * softplus(-batch["y"] * prediction).sum(dim=-1)

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return batch["weight"] * (batch["y"] * prediction > 0)[:, 0]
