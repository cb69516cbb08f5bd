"""A loss that the agent can bend: how far it trusts its own teacher, how much it minds outliers, how loud it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach

NEVER = 1000.0  # sigmoid(±1000) is exactly 0 or 1 in float32 and float64


@dataclass(frozen=True)
class SelfDistillation:
    """loss = scale · mean[(1 - trust)(1 - p_y^q) / q - trust · Σ_c teacher_c ln p_c], then an SGD step.

    The first part is generalised cross-entropy (Zhang & Sabuncu 2018, eq. 6): cross-entropy as q → 0, mean absolute
    error at q = 1. Predictions are logits [n, …, classes], y [n, …] classes; the mean is over examples and over the
    tokens of each. The teacher is a moving average of the agent's own weights (Tarvainen & Valpola 2017, eq. 1), moved
    by `teacher_rate` an inner step; no inner gradient passes through it. In the first `warm_up` inner steps of a life
    trust counts as 0, for a teacher that knows nothing teaches nothing.

    Fields are starting values. phi holds them unconstrained, with s = sigmoid(phi): lr = .02^(1-s), trust = s,
    q = max(.01, s), scale = exp(-6 + 9 s).
    """

    lr: float = 0.3
    trust: float = 0.1
    q: float = 0.05
    scale: float = 1.0
    teacher_rate: float = 0.035
    warm_up: int = 0

    def __post_init__(self) -> None:
        bounds = {"lr": (0.02, 1), "trust": (0, 1), "q": (0, 1), "scale": (exp(-6), exp(3)), "teacher_rate": (0, 1)}
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(explain(expected=f"rule.{name} between {low:g} and {high:g}", got=f"{value:g}",
                                          do="Start inside the range that the rule can reach."))  # fmt: skip

    def init(self, params: Params) -> Params:
        like = next(iter(params.values()))
        squashed = {
            "lr": 1 - log(self.lr) / log(0.02),
            "trust": self.trust,
            "q": self.q,
            "scale": (log(self.scale) + 6) / 9,
        }
        return {name: torch.tensor(_logit(s), dtype=like.dtype) for name, s in squashed.items()}

    def readable(self, phi: Params) -> Params:
        s = self.place(phi)
        return {
            "lr": 0.02 ** (1 - s["lr"]),
            "trust": s["trust"],
            "q": s["q"].clamp(min=0.01),
            "scale": torch.exp(-6 + 9 * s["scale"]),
        }

    def place(self, phi: Params) -> Params:
        return {name: torch.sigmoid(value) for name, value in phi.items()}

    def slots(self, params: Params) -> Params:
        age = torch.zeros_like(next(iter(params.values())).reshape(-1)[0])
        return {"age": age, **{f"teacher.{name}": weight.clone() for name, weight in params.items()}}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        at = self.readable(phi)
        trust = torch.where(slots["age"] < self.warm_up, 0.0, at["trust"]) if self.warm_up else at["trust"]
        teacher = {name: slots[f"teacher.{name}"] for name in params}
        # Classes come first: over a last dimension of few entries torch's softmax takes ten times as long. The tokens
        # of sequences stand in one row, each an example.
        taught = torch.softmax(reach.predict(teacher, batch["x"]).flatten(0, -2).mT, dim=0)
        logits = reach.predict(params, batch["x"])
        log_p = torch.log_softmax(logits.flatten(0, -2).mT, dim=0)
        given = log_p.gather(0, _classes(batch, logits).flatten()[None])[0]
        outlier_shy = -torch.expm1(at["q"] * given) / at["q"]
        own_teacher = -(taught * log_p).sum(dim=0)
        return at["scale"] * ((1 - trust) * outlier_shy + trust * own_teacher).mean()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        lr = 0.02 ** (1 - torch.sigmoid(phi["lr"]))
        moved = {name: torch.addcmul(weight, grads[name], -lr) for name, weight in params.items()}
        rate = self.teacher_rate
        teacher = {f"teacher.{name}": torch.lerp(slots[f"teacher.{name}"], moved[name], rate) for name in params}
        return moved, {"age": slots["age"] + 1, **teacher}


def _classes(batch: Batch, logits: Tensor) -> Tensor:
    """Classes [n, …] of logits [n, …, classes]; raises `ConfigError` where a task has none."""
    y = batch.get("y")
    if y is None or y.is_floating_point() or y.shape != logits.shape[:-1]:
        got = f"only {sorted(batch)}" if y is None else f"{y.dtype} {list(y.shape)}"
        raise ConfigError(explain(expected=f"classes `y` {list(logits.shape[:-1])} in a batch", got=got,
                                  do="Choose a task of classes, or rule=sgd for amounts."))  # fmt: skip
    return y


def _logit(s: float) -> float:
    if s in (0, 1):
        return NEVER if s else -NEVER
    return log(s / (1 - s))
