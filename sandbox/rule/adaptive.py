"""What rules share that scale each weight's step by the gradients it has had: decays, roots, numbers in phi, Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, log, log10
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach

NEVER = 1000.0  # sigmoid(±2000) is exactly 0 or 1 in float32 and float64


@dataclass(frozen=True)
class Decay:
    """A running mean, which goes the share `take` of the way to what comes and keeps the share `keep` = 1 - take.
    `heard(age)` is what the weights of `age` values sum to, 1 - keep^age."""

    keep: Tensor | float
    take: Tensor | float
    heard: Callable[[Tensor], Tensor]

    def after(self, mean: Tensor, value: Tensor) -> Tensor:
        return mean + self.take * (value - mean)  # in float32 two rounded shares don't add up to 1


def constant(keep: float) -> Decay:
    """A decay that nobody edits."""
    return Decay(keep, 1 - keep, lambda age: 1 - keep**age)


def learned(x: Tensor) -> Decay:
    """The decay keep = (1 + tanh x) / 2, the form of Chandra et al. 2022. Near 1 it loses no digits: 1 - keep is
    computed as such."""
    return Decay(torch.sigmoid(2 * x), torch.sigmoid(-2 * x), lambda age: -torch.expm1(age * logsigmoid(2 * x)))


# ---- phi ------------------------------------------------------------------------------------------------------------


def without(phi: Params, *names: str) -> Params:
    """phi without what a rule has besides, for the rule that it stands on."""
    return {name: leaf for name, leaf in phi.items() if name not in names}


def in_range(rule: Any, decays: tuple[str, ...]) -> None:
    """Raises `ConfigError` where a field starts where no edit can bring it: what torch.optim refuses, and eps of 0."""
    bounds: dict[str, tuple[str, Callable[[float], bool]]] = {
        "lr": ("of 0 or more, and finite", lambda value: 0 <= value < inf),
        "eps": ("above 0", lambda value: value > 0),
        "weight_decay": ("of 0 or more", lambda value: value >= 0),
        **dict.fromkeys(decays, ("from 0 to below 1", lambda value: 0 <= value < 1)),
    }
    for name, (said, holds) in bounds.items():
        if not holds(value := getattr(rule, name)):
            raise ConfigError(explain(expected=f"rule.{name} {said}", got=f"{value:g}",
                                      do="Leave it out for torch's default."))  # fmt: skip


def placed(rule: Any, decays: tuple[str, ...], params: Params) -> Params:
    """phi: `lr` as it is, the fields `decays` as x of keep = (1 + tanh x) / 2, `eps` as its decadic logarithm."""
    dtype = next(iter(params.values())).dtype
    numbers = {"lr": rule.lr, **{name: _unsquashed(getattr(rule, name)) for name in decays}, "eps": log10(rule.eps)}
    return {name: torch.tensor(number, dtype=dtype) for name, number in numbers.items()}


def readable(phi: Params) -> Params:
    """phi in its units: a learning rate, decays, and eps."""
    return {**place(phi), "lr": phi["lr"], "eps": 10 ** phi["eps"]}


def place(phi: Params) -> Params:
    """Where each decay stands in its range, 0 to 1."""
    return {name: torch.sigmoid(2 * x) for name, x in phi.items() if name not in ("lr", "eps")}


def rate(phi: Params) -> Tensor:
    """The learning rate, and NaN below 0: an edit that turns descent into ascent is refused or rolled back like any
    other that a life doesn't survive."""
    return torch.where(phi["lr"] >= 0, phi["lr"], torch.nan)


def _unsquashed(keep: float) -> float:
    return -NEVER if keep == 0 else log(keep / (1 - keep)) / 2


# ---- the step -------------------------------------------------------------------------------------------------------


def process(params: Params, batch: Batch, reach: Reach) -> Tensor:
    """Mean P on the batch."""
    return reach.objective(reach.predict(params, batch["x"]), batch).mean()


def moments(params: Params) -> Params:
    """The memory of Adam at birth."""
    age = torch.zeros_like(next(iter(params.values())).reshape(-1)[0])
    return {"age": age, **{f"{kind}.{name}": torch.zeros_like(leaf) for name, leaf in params.items() for kind in "mv"}}


def adam(
    lr: Tensor, first: Decay, second: Decay, eps: Tensor | float, params: Params, grads: Mapping[str, Tensor],
    slots: Params,
) -> tuple[Params, Params]:  # fmt: skip
    """Weights and moments after a step of Adam (Kingma & Ba 2015, algorithm 1), whose moments decay by `first` and
    `second`."""
    moved, age = dict[str, Tensor](), slots["age"] + 1
    after: Params = {"age": age}
    for name, weight in params.items():
        m = first.after(slots[f"m.{name}"], grads[name])
        v = second.after(slots[f"v.{name}"], grads[name].square())
        step = (m / first.heard(age)) / (root(v / second.heard(age)) + eps)
        moved[name] = weight - lr * step
        after |= {f"m.{name}": m, f"v.{name}": v}
    return moved, after


def weighed(weight_decay: float, params: Params, grads: Params) -> Params:
    """The gradients with that of ½ · weight_decay · |weight|² added."""
    if not weight_decay:
        return grads
    return {name: grad + weight_decay * params[name] for name, grad in grads.items()}


def root(x: Tensor) -> Tensor:
    """√x with derivative 0 at 0, where autograd's is infinite."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1).sqrt(), 0)
