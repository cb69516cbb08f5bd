"""Gradient descent with a velocity, on the task's own objective."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Batch, Params, Reach


@dataclass(frozen=True)
class Momentum:
    """v ← momentum · v + ∇A, then θ ← θ - lr · v, with A = mean P on the batch: heavy ball (Polyak 1964) in the form
    of torch.optim.SGD. phi is {"lr", "momentum"}, raw; the slots are {"velocity.<weight>"}, zero at birth."""

    lr: float = 0.01
    momentum: float = 0.9

    def init(self, params: Params) -> Params:
        dtype = next(iter(params.values())).dtype
        return {"lr": torch.tensor(self.lr, dtype=dtype), "momentum": torch.tensor(self.momentum, dtype=dtype)}

    def readable(self, phi: Params) -> Params:
        return phi

    def slots(self, params: Params) -> Params:
        return {f"velocity.{name}": torch.zeros_like(weight) for name, weight in params.items()}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        return reach.objective(reach.predict(params, batch["x"]), batch).mean()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        velocity = {name: phi["momentum"] * slots[f"velocity.{name}"] + grads[name] for name in params}
        moved = {name: torch.addcmul(weight, velocity[name], -phi["lr"]) for name, weight in params.items()}
        return moved, {f"velocity.{name}": v for name, v in velocity.items()}
