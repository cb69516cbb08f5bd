"""An actor that is taught by a critic: what is done more often is what went better than the critic thought."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach
from sandbox.rule import acting
from sandbox.rule.adaptive import moments


@dataclass(frozen=True)
class ActorCritic:
    """loss = - mean[g + (box - 1) a] + value · mean ½ (v - g)² - entropy · mean entropy over the steps taken, then
    Adam's step.

    v is the network's own estimate, its last output; v' that of the critic. With the critic's surprise at a step,
    δ_t = r_t + discount · v'_{t+1} - v'_t (v'_{t+1} = 0 where the world has ended the episode), the advantage is
    a_t = Σ_k (discount · trace)^k δ_{t+k} (Schulman et al. 2016, eq. 16), and g = a + v' the mixture of returns of
    every length: trace 0 looks one step on, 1 to the end. Rewards are in units of what a step is paid
    (`acting.earned`), so v is too. The box is as in `policy_gradient`: the loss reads as minus what is earned, and
    pulls as the gradient.

    The critic is the weights as they stand, kept in the slots: so no inner gradient passes it, while a hypergradient
    does (Xu et al. 2018 cut that path). `critic_rate` below 1 lets it trail behind, by a moving average.

    Fields are starting values. phi holds them unconstrained, with s = sigmoid(phi): lr = 1e-5^(1-s), all others s. One
    that starts at exactly 0 or 1 stays there: a sigmoid has no slope at its ends.
    """

    lr: float = 0.01
    discount: float = 0.97
    trace: float = 0.95
    entropy: float = 0.003
    value: float = 0.5
    critic_rate: float = 1.0

    def __post_init__(self) -> None:
        acting.in_range(self, ("discount", "trace", "entropy", "value", "critic_rate"))

    def init(self, params: Params) -> Params:
        return acting.placed(self, ("discount", "trace", "entropy", "value"), params)

    def readable(self, phi: Params) -> Params:
        return acting.readable(phi)

    def place(self, phi: Params) -> Params:
        return acting.place(phi)

    def slots(self, params: Params) -> Params:
        return {**moments(params), **{f"critic.{name}": weight.clone() for name, weight in params.items()}}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        at, now = self.readable(phi), acting.said(reach.predict(params, batch["x"]), batch)
        critic = {name: slots[f"critic.{name}"] for name in params}
        before = acting.said(reach.predict(critic, batch["x"]), batch).value
        if now.value is None or before is None:
            raise ConfigError(explain(
                expected="predictions with an estimate of the value after those of the policy",
                got="the policy's alone", do="Set task.value=true, or rule=policy_gradient."))  # fmt: skip
        next_value = before.roll(-1, dims=1) * (1 - batch["terminal"])
        surprise = acting.earned(batch, at["discount"]) + at["discount"] * next_value - before
        fading = acting.fading(at["discount"] * at["trace"], surprise.shape[1])
        advantage = (surprise * batch["alive"]) @ fading.mT
        g = advantage + before
        error = 0.5 * (now.value - g).square()
        pull = (now.box - 1) * advantage
        return acting.mean(at["value"] * error - g - pull - at["entropy"] * now.entropy, batch)

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        moved, after = acting.adam(self.readable(phi)["lr"], params, grads, slots)
        trail = self.critic_rate
        critic = {name: moved[name] if trail == 1 else slots[f"critic.{name}"].lerp(moved[name], trail)
                  for name in params}  # fmt: skip
        return moved, {**after, **{f"critic.{name}": weight for name, weight in critic.items()}}
