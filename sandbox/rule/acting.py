"""What rules that learn from acting share: batches of episodes, discounting, numbers kept in a range, the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.policy import entropy, log_p
from sandbox.core.protocols import Batch, Params
from sandbox.rule import adaptive

FIELDS = ("action", "reward", "alive", "terminal", "policy")
NEVER = 1000.0  # sigmoid(±1000) is exactly 0 or 1 in float32 and float64
SLOWEST = 1e-5  # the lowest learning rate; the highest is 1
FIRST, SECOND, EPSILON = adaptive.constant(0.9), adaptive.constant(0.999), 1e-8


@dataclass(frozen=True)
class Said:
    """What a prediction says of a batch of episodes, [n, T + 1] each: `box` is 1 with the derivative of the action's
    log-probability, `entropy` in nats; `value` is None where the task asked for no estimate."""

    box: Tensor
    entropy: Tensor
    value: Tensor | None


def said(prediction: Tensor, batch: Batch) -> Said:
    """Raises `ConfigError` for a batch that is no episodes."""
    missing = [name for name in FIELDS if name not in batch]
    if missing:
        raise ConfigError(explain(
            expected=f"batches of episodes (core/policy.py) with {', '.join(FIELDS)}",
            got=f"one without {', '.join(missing)}: {sorted(batch)}",
            do="Choose a task in which one acts, such as task=gymnasium, coin_grid or bandit."))  # fmt: skip
    size = batch["policy"].shape[-1]
    policy, action = prediction[..., :size], batch["action"]
    taken = log_p(policy, action)
    value = prediction[..., size] if prediction.shape[-1] > size else None
    return Said(torch.exp(taken - taken.detach()), entropy(policy, action), value)


def fading(rate: Tensor, rows: int) -> Tensor:
    """[rows, rows]: rate^(k - t) at row t and column k ≥ t, 0 before: what is earned at k counts for at t."""
    step = torch.arange(rows, device=rate.device)
    ahead = step - step[:, None]
    return torch.where(ahead >= 0, rate ** ahead.clamp(min=0), 0)


def earned(batch: Batch, discount: Tensor) -> Tensor:
    """[n, T + 1]: what each step is paid, over Σ_{k < T} discount^k. Sums of these, discounted, are then means of what
    is paid a step: in its units whatever the discount, so that an edit of it does not change how loud the loss is."""
    steps = batch["reward"].shape[1] - 1
    return batch["reward"] / (discount ** torch.arange(steps, device=discount.device)).sum()


def mean(rows: Tensor, batch: Batch) -> Tensor:
    """The mean of [n, T + 1] over the steps that were taken."""
    return (rows * batch["alive"]).sum() / batch["alive"].sum()


# ---- phi ------------------------------------------------------------------------------------------------------------


def in_range(rule: Any, shares: Sequence[str]) -> None:
    """Raises `ConfigError` where a learning rate or a share starts where the rule can't reach."""
    for name, low in (("lr", SLOWEST), *((name, 0.0) for name in shares)):
        value = getattr(rule, name)
        if not low <= value <= 1:
            raise ConfigError(explain(expected=f"rule.{name} between {low:g} and 1", got=f"{value:g}",
                                      do="Start inside the range that the rule can reach."))  # fmt: skip


def placed(rule: Any, shares: Sequence[str], params: Params) -> Params:
    """phi, as logits: where the rule's `lr` stands on its logarithmic range, and `shares`, fields between 0 and 1."""
    dtype = next(iter(params.values())).dtype
    places = {"lr": 1 - log(rule.lr) / log(SLOWEST), **{name: getattr(rule, name) for name in shares}}
    return {name: torch.tensor(_logit(s), dtype=dtype) for name, s in places.items()}


def place(phi: Params) -> Params:
    """Where each number of phi stands in its range, 0 to 1."""
    return {name: torch.sigmoid(value) for name, value in phi.items()}


def readable(phi: Params) -> Params:
    """phi in its units: a learning rate, and shares."""
    s = place(phi)
    return {**s, "lr": SLOWEST ** (1 - s["lr"])}


def _logit(s: float) -> float:
    if s in (0, 1):
        return NEVER if s else -NEVER
    return log(s / (1 - s))


# ---- the step -------------------------------------------------------------------------------------------------------


def adam(lr: Tensor, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
    """Weights and moments after a step of Adam as it is usually set (Kingma & Ba 2015, algorithm 1)."""
    return adaptive.adam(lr, FIRST, SECOND, EPSILON, params, grads, slots)
