"""Adam on the task's own objective, with its rate, decays and eps where they can be edited."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sandbox.core.protocols import Batch, Params, Reach
from sandbox.rule import adaptive


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1) on A = mean P on the batch, step by step torch.optim.Adam (to 1e-12 in
    float64; in float32 to what its numbers round to).

    Fields are starting values but for `weight_decay`, which stays: the weight of ½ |θ|², added to the gradient. phi is
    {"lr", "beta1", "beta2", "eps"}, unconstrained as in Chandra et al. 2022: lr raw, beta = (1 + tanh phi) / 2, eps =
    10^phi. A beta that starts at 0 stays there. Below a rate of 0 there is no step: the life goes non-finite, and the
    edit is refused or rolled back. The slots are the moments "m.<weight>" and "v.<weight>" and their "age", zero at
    birth. Derivatives stay finite where a gradient has always been exactly 0.
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

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
        return self.stepped(phi, params, adaptive.weighed(self.weight_decay, params, grads), slots)

    def stepped(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        """Weights and slots after a step that leaves `weight_decay` out."""
        first, second = adaptive.learned(phi["beta1"]), adaptive.learned(phi["beta2"])
        return adaptive.adam(adaptive.rate(phi), first, second, 10 ** phi["eps"], params, grads, slots)
