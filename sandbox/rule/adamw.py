"""Adam with weights that shrink beside its step, not through it."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.core.protocols import Params
from sandbox.rule import adaptive
from sandbox.rule.adam import Adam


@dataclass(frozen=True)
class AdamW(Adam):
    """θ ← (1 - lr · weight_decay) θ, then Adam's step (Loshchilov & Hutter 2019, algorithm 2), on A = mean P on the
    batch; step by step torch.optim.AdamW. `weight_decay` stays as it is; phi and slots are those of `adam`."""

    weight_decay: float = 0.01

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        keep = 1 - adaptive.rate(phi) * self.weight_decay
        return self.stepped(phi, {name: weight * keep for name, weight in params.items()}, grads, slots)
