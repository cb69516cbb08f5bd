"""Adam with weights that shrink beside its step, not through it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sandbox.core.protocols import Batch, Params, Reach
from sandbox.rule import adaptive


@dataclass(frozen=True)
class AdamW:
    """θ ← (1 - lr · weight_decay) θ, then Adam's step (Loshchilov & Hutter 2019, algorithm 2), on A = mean P on the
    batch; step by step torch.optim.AdamW. `weight_decay` stays as it is; phi and slots are those of `adam`."""

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        adaptive.in_range(self, ("beta1", "beta2"))

    def init(self, params: Params) -> Params:
        return adaptive.placed(self, ("beta1", "beta2"), params)

    def readable(self, phi: Params) -> Params:
        return adaptive.readable(phi)

    def place(self, phi: Params) -> Params:
        return adaptive.place(phi)

    def slots(self, params: Params) -> Params:
        return adaptive.moments(params)

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        return adaptive.process(params, batch, reach)

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        lr = adaptive.rate(phi)
        shrunk = {name: weight * (1 - lr * self.weight_decay) for name, weight in params.items()}
        return adaptive.adam(
            lr, adaptive.learned(phi["beta1"]), adaptive.learned(phi["beta2"]), 10 ** phi["eps"],
            shrunk, grads, slots,
        )  # fmt: skip
