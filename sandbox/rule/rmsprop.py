"""RMSprop on the task's own objective, with its rate, decays and eps where they can be edited."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Batch, Params, Reach
from sandbox.rule import adaptive


@dataclass(frozen=True)
class RMSprop:
    """Gradients over the root of their mean square (Hinton 2012), on A = mean P on the batch; step by step
    torch.optim.RMSprop. With `centered` the square of their mean is taken off first (Graves 2013, eq. 38 to 45); with a
    `momentum` above 0 what results is gathered in a velocity.

    Fields are starting values but for `weight_decay` and `centered`, which stay. phi is {"lr", "alpha", "eps"}, and
    "momentum" where there is one, in the space of `adam`: lr raw, alpha and momentum as (1 + tanh phi) / 2, eps as
    10^phi. The slots are "square.<weight>", "mean.<weight>" and "velocity.<weight>", zero at birth. Where rounding
    leaves a centered square below 0, as under gradients that hardly change, the step is NaN, as torch's is: the life
    goes non-finite and is rolled back.
    """

    lr: float = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        adaptive.in_range(self, ("alpha", "momentum"))

    @property
    def decays(self) -> tuple[str, ...]:
        return ("alpha", "momentum") if self.momentum else ("alpha",)

    def init(self, params: Params) -> Params:
        return adaptive.placed(self, self.decays, params)

    def readable(self, phi: Params) -> Params:
        return adaptive.readable(phi)

    def place(self, phi: Params) -> Params:
        return adaptive.place(phi)

    def slots(self, params: Params) -> Params:
        kinds = ["square", *["mean"] * self.centered, *["velocity"] * bool(self.momentum)]
        return {f"{kind}.{name}": torch.zeros_like(weight) for kind in kinds for name, weight in params.items()}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        return adaptive.process(params, batch, reach)

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        lr, alpha, eps = adaptive.rate(phi), adaptive.learned(phi["alpha"]), 10 ** phi["eps"]
        moved, after = dict[str, Tensor](), dict[str, Tensor]()
        for name, grad in adaptive.weighed(self.weight_decay, params, grads).items():
            spread = after[f"square.{name}"] = alpha.after(slots[f"square.{name}"], grad.square())
            size = adaptive.root(spread)
            if self.centered:
                mean = after[f"mean.{name}"] = alpha.after(slots[f"mean.{name}"], grad)
                size = torch.where(spread < mean.square(), torch.nan, adaptive.root(spread - mean.square()))
            step = grad / (size + eps)
            if self.momentum:
                keep = adaptive.learned(phi["momentum"]).keep
                step = after[f"velocity.{name}"] = keep * slots[f"velocity.{name}"] + step
            moved[name] = params[name] - lr * step
        return moved, after
