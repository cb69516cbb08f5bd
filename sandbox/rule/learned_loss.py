"""A loss that is itself a small network, so that what the agent minimises can be learned from nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach


@dataclass(frozen=True)
class LearnedLoss:
    """θ ← θ - lr · ∇_θ mean M_phi(y, f_θ(x)), the inner update of ML3 for supervised learning (Bechtle et al. 2021).

    M reads one output of one example and its target, has two layers of `hidden` tanh units, and ends in a softplus, so
    that it is positive. Classes count as one-hot targets. phi holds M's weights, drawn from the seed `rng`; `lr` is
    fixed, for M has a scale of its own.
    """

    lr: float = 0.01
    hidden: int = 40
    rng: int = 0

    def init(self, params: Params) -> Params:
        dtype = next(iter(params.values())).dtype
        generator = torch.Generator().manual_seed(self.rng)
        phi: Params = {}
        for layer, (fan_in, fan_out) in enumerate(((2, self.hidden), (self.hidden, self.hidden), (self.hidden, 1))):
            weight = torch.randn(fan_in, fan_out, generator=generator, dtype=torch.float64) / fan_in**0.5
            phi |= {f"{layer}.weight": weight.to(dtype), f"{layer}.bias": torch.zeros(fan_out, dtype=dtype)}
        return phi

    def readable(self, phi: Params) -> Params:
        """The norm of M's weights: no number in a network means anything alone."""
        return {"norm": torch.cat([weight.flatten() for weight in phi.values()]).norm()}

    def slots(self, params: Params) -> Params:
        return {}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        prediction = reach.predict(params, batch["x"])
        pair = torch.stack([prediction, _target(batch, prediction)], dim=-1)
        for layer in (0, 1):
            pair = torch.tanh(pair @ phi[f"{layer}.weight"] + phi[f"{layer}.bias"])
        return softplus(pair @ phi["2.weight"] + phi["2.bias"]).mean()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        return {name: torch.add(weight, grads[name], alpha=-self.lr) for name, weight in params.items()}, slots


def _target(batch: Batch, like: Tensor) -> Tensor:
    """Targets [n, …, outputs]; raises `ConfigError` where a task has none."""
    if "y" not in batch:
        raise ConfigError(explain(expected="batches with targets `y`", got=f"only {sorted(batch)}",
                                  do="Choose a supervised task for a learned loss."))  # fmt: skip
    y = batch["y"]
    return (
        y if y.is_floating_point() else (y[..., None] == torch.arange(like.shape[-1], device=y.device)).to(like.dtype)
    )
