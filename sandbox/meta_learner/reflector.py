"""A small recurrent network that reads its own trace and turns the numbers of its learning rule up or down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Grad, Needs, Params, Seen

SHARED = 4  # features that do not belong to one edited number
BOUND = 4.0  # on each feature
RESIDUAL = 0.7  # the most that the network adds to the hand policy
FAST, SLOW = 0.5, 0.9  # decay of the running means of the log loss
RMS = 0.9  # decay of the running mean square of a hypergradient
TINY = 1e-12


@dataclass(frozen=True)
class Reflector:
    """h ← tanh(A f + W h + b); e = -hand · tanh(kappa · n) + .7 · tanh(O h + c); and each edited number x moves by its
    e: log x += e ("log", for a positive number such as a learning rate) or x += e ("plain").

    n is the signed log of the hypergradient of P over its running root mean square, read before that is updated. The
    features f are, of each edited number, n and its last e; and of all, log P over its fast and its slow running mean,
    the slope of the own loss within the horizon, and log P over the own loss: all clamped to ±4, and constants for any
    hypergradient of a level above, through which edits and memory are differentiable. W, b, O and c start at zero, so
    that it begins as the hand policy.

    psi are the network's weights, {"A", "W", "b", "O", "c"}, which a level above may train (`meta/1`); h, e and the
    running means are a memory that is reborn with every life. With `per_lane=[params, slots, task, rule]` many lives
    share one network, each with a rule and a memory of its own.
    """

    edits: tuple[str, ...] = ("rule/lr",)
    units: int = 16
    hand: float = 0.4
    kappa: float = 1.0
    scale: Literal["log", "plain"] = "log"
    rng: int = 0

    def __post_init__(self) -> None:
        if self.units < 1 or not self.edits:
            raise ConfigError(
                explain(
                    expected="meta_learner.units of 1 or more, and a number to edit",
                    got=f"{self.units} units, edits {list(self.edits)}",
                    do="Usual: 16.",
                )
            )

    @property
    def needs(self) -> Needs:
        grads = tuple(Grad("process", path) for path in self.edits)
        return Needs(edits=self.edits, reads=self.edits, grads=grads)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        many = [path for path, leaf in edited.items() if leaf.numel() != 1]
        if many:
            raise ConfigError(explain(expected="single numbers to edit", got=f"{many}",
                                      do="Name scalar leaves such as rule/lr in meta_learner.edits."))  # fmt: skip
        features, count = SHARED + 2 * len(edited), len(edited)
        generator = torch.Generator().manual_seed(self.rng)
        A = torch.randn(self.units, features, generator=generator, dtype=torch.float64) / features**0.5
        zeros = {"W": (self.units, self.units), "b": (self.units,), "O": (count, self.units), "c": (count,)}
        return {"A": A, **{name: torch.zeros(shape, dtype=A.dtype) for name, shape in zeros.items()}}

    def memory(self, psi: Params) -> Params:
        count, dtype = psi["c"].shape[0], psi["c"].dtype
        blank = {"h": self.units, "e": count, "square": count, "fast": 1, "slow": 1, "age": 1}
        return {name: torch.zeros(size, dtype=dtype) for name, size in blank.items()}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        paths = list(seen.visible)
        n, square = _surprise(torch.stack([seen.grad["process"][path].reshape(()) for path in paths]), psi)
        log_p = torch.log(seen.process.detach().double().abs() + TINY).reshape(1)
        features = torch.cat([n, psi["e"].detach(), *_shared(log_p, seen, psi)]).clamp(-BOUND, BOUND)
        h = torch.tanh(psi["A"] @ features + psi["W"] @ psi["h"] + psi["b"])
        e = -self.hand * torch.tanh(self.kappa * n) + RESIDUAL * torch.tanh(psi["O"] @ h + psi["c"])
        first = psi["age"] == 0
        remembered = {
            "h": h, "e": e, "square": square, "age": psi["age"] + 1,
            "fast": torch.where(first, log_p, FAST * psi["fast"] + (1 - FAST) * log_p),
            "slow": torch.where(first, log_p, SLOW * psi["slow"] + (1 - SLOW) * log_p),
        }  # fmt: skip
        values = {path: self._moved(seen.visible[path], step) for path, step in zip(paths, e, strict=True)}
        return Edit(values, note="by its own trace"), {**psi, **remembered}

    def _moved(self, x: Tensor, step: Tensor) -> Tensor:
        return x * torch.exp(step).to(x.dtype) if self.scale == "log" else x + step.to(x.dtype)


def _surprise(grads: Tensor, psi: Params) -> tuple[Tensor, Tensor]:
    """n [edited], and the running mean square afterwards; at a life's first step g stands over itself: n is ± log 2."""
    g = grads.detach().double()
    before = torch.where(psi["age"] == 0, g.square(), psi["square"].detach())
    ratio = g.abs() / (before + TINY).sqrt()
    return g.sign() * torch.log1p(ratio), RMS * before + (1 - RMS) * g.square()


def _shared(log_p: Tensor, seen: Seen, psi: Params) -> list[Tensor]:
    """The features of all, [1] each."""
    own = torch.log(seen.own.detach().double().abs() + TINY)
    first = psi["age"] == 0
    over_fast, over_slow = (torch.where(first, 0.0, log_p - psi[name].detach()) for name in ("fast", "slow"))
    return [over_fast, over_slow, (own[-1] - own[0]).reshape(1), log_p - own[-1]]
