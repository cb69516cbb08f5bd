"""Adam on losses that compare environments: the mean, the worst, one that is invariant, one that extrapolates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log
from typing import Literal

import torch
from torch import Tensor
from torch.func import grad

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach
from sandbox.rule import adaptive
from sandbox.rule.adam import Adam


@dataclass(frozen=True)
class Environments(Adam):
    """Adam on a loss A of the risks R_e, the mean P of a batch in each environment e. Its batches say by a one-hot
    "environment" [n, environments] where an example is from. `kind` says which loss:

    - erm: the mean risk, whatever the strength.
    - group_dro: log mean exp(strength · R_e) / strength, the worst risk for a large strength (Sagawa et al. 2020).
    - v_rex: mean risk + strength · variance of the risks (Krueger et al. 2021).
    - irm: mean risk + strength · mean squared slope of R_e in a factor of the prediction, at 1 (IRMv1 of Arjovsky et
      al. 2019).
    - mldg: for each e, R_e + the mean risk elsewhere after a gradient step of size `strength` on R_e (Li et al. 2018).

    In the first `warmup` inner steps of a life the strength grows from 1, evenly in its logarithm: at full strength
    from the start irm may settle where it predicts nothing. phi is that of `adam` with the logarithm of the strength.
    """

    kind: Literal["erm", "group_dro", "v_rex", "irm", "mldg"] = "erm"
    strength: float = 1.0
    warmup: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength < inf:
            raise ConfigError(explain(expected="rule.strength above 0, and finite", got=f"{self.strength:g}",
                                      do="Take rule.kind=erm for the mean risk alone."))  # fmt: skip
        if self.warmup < 0:
            raise ConfigError(explain(expected="rule.warmup of 0 or more inner steps", got=f"{self.warmup}",
                                      do="Leave it out: 0."))  # fmt: skip

    def init(self, params: Params) -> Params:
        phi = super().init(params)
        return {**phi, "strength": torch.full_like(phi["lr"], log(self.strength))}

    def readable(self, phi: Params) -> Params:
        return {**super().readable(adaptive.without(phi, "strength")), "strength": phi["strength"].exp()}

    def place(self, phi: Params) -> Params:
        return super().place(adaptive.without(phi, "strength"))

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        grown = (slots["age"] / self.warmup).clamp(max=1) if self.warmup else 1.0
        member, strength = _member(batch), (grown * phi["strength"]).exp()
        share = member / member.sum(dim=0).clamp(min=1)
        there = (member.sum(dim=0) > 0).to(share.dtype)  # a batch may be without some environments

        def risks(params: Params) -> Tensor:
            return share.mT @ reach.objective(reach.predict(params, batch["x"]), batch)

        risk = risks(params)
        mean = _mean(risk, there)
        if self.kind == "group_dro":
            worst = torch.where(there > 0, strength * risk, -inf).logsumexp(dim=0)
            return (worst - there.sum().log()) / strength
        if self.kind == "v_rex":
            return mean + strength * _mean((risk - mean).square(), there)
        if self.kind == "irm":
            return mean + strength * _mean((share.mT @ _slopes(params, batch, reach)).square(), there)
        return _episodic(risks, params, there, strength) if self.kind == "mldg" else mean


def _member(batch: Batch) -> Tensor:
    if "environment" not in batch:
        raise ConfigError(explain(expected='batches that say with "environment" where an example is from',
                                  got=", ".join(batch), do="Take such a task, as in task=two_bits."))  # fmt: skip
    return batch["environment"]


def _mean(each: Tensor, there: Tensor) -> Tensor:
    return (each * there).sum() / there.sum().clamp(min=1)


def _slopes(params: Params, batch: Batch, reach: Reach) -> Tensor:
    """[n]: d/ds of each example's P of s · prediction, at s = 1."""
    prediction = reach.predict(params, batch["x"])
    slope = grad(lambda given: reach.objective(given, batch).sum())(prediction)
    return (slope * prediction).flatten(1).sum(dim=1)


def _episodic(risks: Callable[[Params], Tensor], params: Params, there: Tensor, step: Tensor) -> Tensor:
    found = list[Tensor]()
    for here in range(len(there)):
        slope = grad(lambda weights, here=here: risks(weights)[here])(params)
        after = risks({name: weight - step * slope[name] for name, weight in params.items()})
        elsewhere = there * (torch.arange(len(there), device=there.device) != here)
        found.append(_mean(after, elsewhere))
    return _mean(risks(params) + torch.stack(found), there)
