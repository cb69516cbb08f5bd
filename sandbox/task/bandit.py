"""A bandit with many arms: the smallest world in which one acts, where everything is known in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.policy import choose
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.core.random import normal
from sandbox.task.episodes import minus_return, noise_of, padded


@dataclass(frozen=True)
class Bandit:
    """`arms` arms, each worth a standard normal number that a task draws; a pull pays that, plus normal noise of
    standard deviation `spread`. A batch is `pulls` episodes of one step (`core/policy.py`). There is nothing to see: x
    is 1, so that the prediction of the model `vector` is its weights.

    H is what the pulled arm is worth. P pays the last arm `bonus` more than it is worth, so that the two differ where
    that is not 0. `exact`: P is read in closed form, minus Σ_a p_a · (what P pays arm a), and differentiated so; else
    it is minus what each pull paid, with the derivatives of the expectation. Rules see pulls either way.
    """

    arms: int = 4
    pulls: int = 32
    spread: float = 0.5
    bonus: float = 0.0
    exact: bool = True
    value: bool = True
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if self.arms < 2 or self.pulls < 1 or self.spread < 0:
            raise ConfigError(explain(expected="task.arms of 2 or more, a pull or more and a spread of 0 or more",
                                      got=f"{self.arms}, {self.pulls} and {self.spread}",
                                      do="There must be something to choose."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        return noise_of(self.arms, 2 * self.pulls)

    @property
    def inputs(self) -> int:
        return 1

    @property
    def outputs(self) -> int:
        return self.arms + self.value

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"worth": [arms]}."""
        return {"worth": normal(noise).to(getattr(torch, self.dtype))}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """A batch of episodes of one step."""
        u, luck = noise.split(self.pulls)
        x = torch.ones(self.pulls, 1, 1, dtype=getattr(torch, self.dtype), device=noise.device)
        with torch.no_grad():
            policy = act(x)[..., : self.arms]
            action = choose(policy, u[:, None])
        paid = self._paid(task)[action] + (self.spread * normal(luck[:, None])).to(policy.dtype)
        alive = torch.ones_like(paid)
        rows = {"action": action, "reward": paid, "alive": alive, "terminal": alive, "policy": policy}
        return {"x": torch.cat([x, x], dim=1), **{name: padded(leaf) for name, leaf in rows.items()}}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        if not self.exact:
            return minus_return(prediction, batch)
        return -(torch.softmax(prediction[:, 0, : self.arms], dim=-1) * self._paid(task)).sum(dim=-1)

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return task["worth"][batch["action"][:, 0]]

    def _paid(self, task: Params) -> Tensor:
        """[arms]: what P pays on the mean."""
        last = torch.arange(self.arms, device=task["worth"].device) == self.arms - 1
        return task["worth"] + self.bonus * last
