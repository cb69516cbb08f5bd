"""Gradient descent on the task's own objective, with one learning rate or one for each weight."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Batch, Params, Reach


@dataclass(frozen=True)
class SGD:
    """θ ← θ - lr · ∇A with A = mean P on the batch. phi is {"lr": scalar}, or with `per_parameter`
    {"lr.<weight>": like the weight} (Meta-SGD, Li et al. 2017), raw: a learning rate may turn negative."""

    lr: float = 0.01
    per_parameter: bool = False

    def init(self, params: Params) -> Params:
        if self.per_parameter:
            return {f"lr.{name}": torch.full_like(weight, self.lr) for name, weight in params.items()}
        return {"lr": torch.tensor(self.lr, dtype=next(iter(params.values())).dtype)}

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
