"""Gradient descent on the task's own objective, with one learning rate or one for each weight."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach


@dataclass(frozen=True)
class SGD:
    """θ ← θ - lr · ∇A with A = mean P on the batch. phi is {"lr": scalar}, or with `per_parameter`
    {"lr.<weight>": like the weight} (Meta-SGD, Li et al. 2017), raw: a learning rate may turn negative.

    With a `lr_range` [lowest, highest] each rate begins uniform in it, each weight's by itself, and otherwise in each
    seed; `lr` then says nothing. Meta-SGD begins in [.005, .1].
    """

    lr: float = 0.01
    per_parameter: bool = False
    lr_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        low, high = self.lr_range or (0.0, 0.0)
        if not (isfinite(low) and isfinite(high) and low <= high):
            raise ConfigError(explain(expected="rule.lr_range as [lowest, highest], both finite",
                                      got=f"[{low}, {high}]",
                                      do="Leave it at null to begin all rates at rule.lr."))  # fmt: skip

    def init(self, params: Params) -> Params:
        if self.per_parameter:
            return {f"lr.{name}": torch.full_like(weight, self.lr) for name, weight in params.items()}
        return {"lr": torch.tensor(self.lr, dtype=next(iter(params.values())).dtype)}

    def draws(self, params: Params) -> int:
        return sum(leaf.numel() for leaf in self.init(params).values()) if self.lr_range else 0

    def drawn(self, params: Params, noise: Tensor) -> Params:
        (low, high), rates = self.lr_range or (self.lr, self.lr), self.init(params)
        parts = (low + (high - low) * noise).split([leaf.numel() for leaf in rates.values()])
        return {name: part.reshape(leaf.shape).to(leaf.dtype)
                for (name, leaf), part in zip(rates.items(), parts, strict=True)}  # fmt: skip

    def readable(self, phi: Params) -> Params:
        return phi

    def slots(self, params: Params) -> Params:
        return {}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        return reach.objective(reach.predict(params, batch["x"]), batch).mean()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        lr = {name: phi[f"lr.{name}" if self.per_parameter else "lr"] for name in params}
        # addcmul is bitwise torch.optim.SGD and differentiable in lr; weight - lr * grad is not bitwise.
        return {name: torch.addcmul(weight, grads[name], -lr[name]) for name, weight in params.items()}, slots
