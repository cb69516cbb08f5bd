"""Adam on the process's objective and on how steeply the prediction depends on some inputs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

import torch
from torch import Tensor
from torch.func import grad

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach
from sandbox.rule import adaptive
from sandbox.rule.adam import Adam


@dataclass(frozen=True)
class InputGradient(Adam):
    """Adam on A = mean P + strength · mean |d f / d x_i|² over the inputs i of `probe` (Ross et al. 2017, right for the
    right reasons), f the sum of the predictions for an example: a process that looks at what an agent goes by, and not
    only at what it does.

    `at` says where it looks: at the examples, or at the origin alone. With `squashed` it looks at the slope of
    sigmoid(f), which also vanishes where f is large. Either can be satisfied by an agent that goes by these inputs
    nevertheless. phi is that of `adam`, with the strength as it is; below 0 the penalty is none.
    """

    probe: tuple[int, ...] = (0,)
    strength: float = 1.0
    at: Literal["examples", "origin"] = "examples"
    squashed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.strength < inf or not self.probe or min(self.probe) < 0:
            raise ConfigError(explain(expected="a finite rule.strength of 0 or more, and rule.probe as indices",
                                      got=f"{self.strength:g}, {self.probe}", do="Count from 0."))  # fmt: skip

    def init(self, params: Params) -> Params:
        phi = super().init(params)
        return {**phi, "strength": torch.full_like(phi["lr"], self.strength)}

    def readable(self, phi: Params) -> Params:
        return {**super().readable(adaptive.without(phi, "strength")), "strength": phi["strength"].clamp(min=0)}

    def place(self, phi: Params) -> Params:
        return super().place(adaptive.without(phi, "strength"))

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        x = torch.zeros_like(batch["x"][:1]) if self.at == "origin" else batch["x"]
        if max(self.probe) >= x[0].numel():
            raise ConfigError(explain(expected=f"rule.probe among {x[0].numel()} inputs", got=f"{self.probe}",
                                      do="Count inputs from 0."))  # fmt: skip

        def seen(x: Tensor) -> Tensor:
            found = reach.predict(params, x)
            return (found.sigmoid() if self.squashed else found).sum()

        slope = grad(seen)(x).flatten(1)[:, list(self.probe)]
        penalty = slope.square().sum(dim=1).mean()
        return adaptive.process(params, batch, reach) + phi["strength"].clamp(min=0) * penalty
