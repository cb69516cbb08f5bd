"""A loss that is itself a small network, so that what the agent minimises can be learned from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach


@dataclass(frozen=True)
class LearnedLoss:
    """θ ← θ - lr · ∇_θ mean M_phi(y, f_θ(x)), the inner update of ML3 for supervised learning (Bechtle et al. 2021).

    M reads one output of one example and its target, has two layers of `hidden` units, with or without `biases`, and
    ends in a softplus, so that it is positive. Classes count as one-hot targets. With "relu" and no biases, as in the
    code of its authors, twice the error pulls as hard or harder, so that M speaks of targets beyond those that it was
    trained on; "tanh" falls silent there, and did not teach (docs/results.md). phi holds M's weights, uniform as in
    Glorot & Bengio 2010, eq. 16, drawn in each seed anew, or in all of them from `rng`. `lr` is fixed, for M has a
    scale of its own.
    """

    lr: float = 0.001
    hidden: int = 50
    activation: Literal["relu", "tanh"] = "relu"
    biases: bool = False
    rng: int | None = None

    def init(self, params: Params) -> Params:
        generator = torch.Generator().manual_seed(self.rng or 0)
        return self.drawn(params, torch.rand(self._numbers, generator=generator, dtype=torch.float64))

    def draws(self, params: Params) -> int:
        return self._numbers if self.rng is None else 0

    def drawn(self, params: Params, noise: Tensor) -> Params:
        like, phi = next(iter(params.values())), dict[str, Tensor]()
        for layer, u in enumerate(noise.split([fan_in * fan_out for fan_in, fan_out in self._layers])):
            fan_in, fan_out = self._layers[layer]
            most = (6 / (fan_in + fan_out)) ** 0.5
            phi[f"{layer}.weight"] = (most * (2 * u - 1)).reshape(fan_in, fan_out).to(like.dtype)
            if self.biases:
                phi[f"{layer}.bias"] = like.new_zeros(fan_out)
        return phi

    def readable(self, phi: Params) -> Params:
        """The norm of M's weights: no number in a network means anything alone."""
        return {"norm": torch.cat([weight.flatten() for weight in phi.values()]).norm()}

    def slots(self, params: Params) -> Params:
        return {}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        prediction = reach.predict(params, batch["x"])
        pair = torch.stack([prediction, _target(batch, prediction)], dim=-1)
        act = torch.relu if self.activation == "relu" else torch.tanh
        for layer in (0, 1):
            pair = act(_affine(phi, layer, pair))
        return softplus(_affine(phi, 2, pair)).mean()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        return {name: torch.add(weight, grads[name], alpha=-self.lr) for name, weight in params.items()}, slots

    @property
    def _layers(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of each layer of M."""
        return (2, self.hidden), (self.hidden, self.hidden), (self.hidden, 1)

    @property
    def _numbers(self) -> int:
        return sum(fan_in * fan_out for fan_in, fan_out in self._layers)


def _affine(phi: Params, layer: int, x: Tensor) -> Tensor:
    through = x @ phi[f"{layer}.weight"]
    return through + phi[f"{layer}.bias"] if f"{layer}.bias" in phi else through


def _target(batch: Batch, like: Tensor) -> Tensor:
    """Targets [n, …, outputs]; raises `ConfigError` where a task has none."""
    if "y" not in batch:
        raise ConfigError(explain(expected="batches with targets `y`", got=f"only {sorted(batch)}",
                                  do="Choose a supervised task for a learned loss."))  # fmt: skip
    y = batch["y"]
    return (
        y if y.is_floating_point() else (y[..., None] == torch.arange(like.shape[-1], device=y.device)).to(like.dtype)
    )
