"""An agent that looks a few steps ahead, by a reward of its own: what is learned is what it thinks each move worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach

FIELDS = ("transitions", "paid")


@dataclass(frozen=True)
class Planning:
    """In one inner step the predictions, read as action values [S, A] row by row, become those of a planner that looks
    `depth` moves ahead from nothing: `depth` backups of q(s, a) = E [r + discount · max q(s')], the maximum rounded off
    over a `temperature`, so that it has a slope where moves tie. It knows the world from the batch (`transitions`
    [1, S, A, S], and what is `paid` on arrival [1, S]). A = ½ Σ (q - planned)², of which gradient descent at rate 1 is
    that step where the predictions are the weights (model=vector).

    phi is the agent's internal reward, so that whoever edits it solves an optimal reward problem (Sorg, Singh and Lewis
    2010): r = paid + bonus, {"bonus": [states]} for arriving in each state; or with `internal` "shaping" r = paid +
    discount · potential(s') - potential(s), {"potential": [states]}, which changes what is best for no planner that
    looks far enough (Ng, Harada and Russell 1999). Both begin at 0, where the agent plans by what the process pays.
    """

    depth: int = 3
    states: int = 16
    discount: float = 0.95
    temperature: float = 0.001
    internal: Literal["bonus", "shaping"] = "bonus"

    def __post_init__(self) -> None:
        if min(self.depth, self.states) < 1 or not 0 < self.discount <= 1 or self.temperature <= 0:
            raise ConfigError(explain(expected="rule.depth and rule.states of 1 or more, rule.discount above 0, at most"
                                      " 1, and rule.temperature above 0",
                                      got=f"{self.depth}, {self.states}, {self.discount:g} and {self.temperature:g}",
                                      do="Set depth=1 for an agent that sees one move ahead."))  # fmt: skip

    def init(self, params: Params) -> Params:
        name = "bonus" if self.internal == "bonus" else "potential"
        return {name: next(iter(params.values())).new_zeros(self.states)}

    def readable(self, phi: Params) -> Params:
        return phi

    def slots(self, params: Params) -> Params:
        return {}

    def reward(self, phi: Params, batch: Batch) -> Tensor:
        """[1, S, A, S]: what it plans by."""
        paid = batch["paid"][:, None, None]
        if self.internal == "bonus":
            internal = paid + phi["bonus"]
        else:
            internal = paid + self.discount * phi["potential"] - phi["potential"][:, None, None]
        return internal.expand_as(batch["transitions"])

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        said = reach.predict(params, batch["x"])
        missing = [name for name in FIELDS if name not in batch]
        if missing or said.shape[-1] != self.states * batch["transitions"].shape[-2]:
            raise ConfigError(explain(expected=f"a world of {self.states} states to plan in, in batches with"
                                      f" {', '.join(FIELDS)}", got=f"{sorted(batch)}",
                                      do="Set task=slippery_grid, and rule.states to its cells."))  # fmt: skip
        return 0.5 * (said - self.planned(phi, batch).reshape(said.shape)).square().sum()

    def planned(self, phi: Params, batch: Batch) -> Tensor:
        """[1, S, A]: what each move is worth to one who looks `depth` moves ahead."""
        goes = batch["transitions"]
        q = now = (goes * self.reward(phi, batch)).sum(dim=-1)
        for _ in range(self.depth - 1):
            value = self.temperature * torch.logsumexp(q / self.temperature, dim=-1)
            q = now + self.discount * (goes * value[:, None, None]).sum(dim=-1)
        return q

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        return {name: weight - grads[name] for name, weight in params.items()}, slots
