"""REINFORCE: what is done more often is what earned more than the other episodes did."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sandbox.core.protocols import Batch, Params, Reach
from sandbox.rule import acting
from sandbox.rule.adaptive import moments


@dataclass(frozen=True)
class PolicyGradient:
    """loss = - mean[g + (box - 1)(g - baseline · b)] - entropy · mean entropy over the steps taken, then Adam's step.

    g is what is earned from a step on, discounted, in units of what a step is paid (`acting.earned`); b the mean of g
    at the same step over the *other* episodes of the batch (0 of one that had ended, or where there is no other), which
    no action of this one changes, so that the gradient stays unbiased at any share of it (Williams 1992, section 4;
    Kool et al. 2019). The box is 1 and carries the derivative of the log-probability of the action taken (Foerster et
    al. 2018; a step at a time as in Rothfuss et al. 2019, section 5). So the loss *reads* as minus what the agent earns
    by its own discount, and *pulls* as the policy gradient; derivatives through several inner steps look at expected
    steps, but for terms in which the chance of one action multiplies the pull of another.

    Fields are starting values. phi holds them unconstrained, with s = sigmoid(phi): lr = 1e-5^(1-s), discount, baseline
    and entropy = s. One that starts at exactly 0 or 1 stays there: a sigmoid has no slope at its ends.
    """

    lr: float = 0.01
    discount: float = 0.97
    baseline: float = 0.95
    entropy: float = 0.003

    def __post_init__(self) -> None:
        acting.in_range(self, ("discount", "baseline", "entropy"))

    def init(self, params: Params) -> Params:
        return acting.placed(self, ("discount", "baseline", "entropy"), params)

    def readable(self, phi: Params) -> Params:
        return acting.readable(phi)

    def place(self, phi: Params) -> Params:
        return acting.place(phi)

    def slots(self, params: Params) -> Params:
        return moments(params)

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        at, now = self.readable(phi), acting.said(reach.predict(params, batch["x"]), batch)
        paid = acting.earned(batch, at["discount"])
        g = paid @ acting.fading(at["discount"], paid.shape[1]).mT
        others = (g.sum(dim=0) - g) / max(1, len(g) - 1)
        pull = (now.box - 1) * (g - at["baseline"] * others)
        return -acting.mean(g + pull + at["entropy"] * now.entropy, batch)

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        return acting.adam(self.readable(phi)["lr"], params, grads, slots)
