"""A slippery grid with a goal and pits, solved exactly: how well does an agent that acts by these action values do?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split, Table
from sandbox.task.grid import MOVES, neighbours


@dataclass(frozen=True)
class SlipperyGrid:
    """Of `size` · `size` cells one is the goal, which pays 1 on each arrival, and `pits` cost 1 each. The agent begins
    anywhere, and stays or moves by one cell; with probability `slip` its move is drawn anew. Episodes don't end, but
    are discounted away. Goal and pits are drawn for each task.

    There are no examples to learn from: every split is the one input 1, so that the prediction of the model `vector` is
    its weights, which are read as the values of the five moves in each cell; the agent prefers moves by the softmax of
    `sharpness` times them. P is minus its usefulness, which is the expected discounted return on a scale where 0 is
    what random moves earn and 1 the most there is; H is its usefulness. A batch also holds the world itself, for a rule
    that plans: `transitions` [1, S, A, S], and what each cell pays on arrival, `paid` [1, S].
    """

    size: int = 4
    slip: float = 0.1
    pits: int = 2
    discount: float = 0.95
    sharpness: float = 6.0
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if not (0 < self.pits + 1 < self.cells and 0 <= self.slip <= 1 and 0 < self.discount < 1):
            raise ConfigError(explain(expected="task.pits that leave cells to walk on, task.slip in [0, 1] and"
                                      " task.discount in (0, 1)",
                                      got=f"{self.pits} of {self.cells} cells, {self.slip:g} and {self.discount:g}",
                                      do="Leave them out: 2, .1 and .95."))  # fmt: skip

    @property
    def cells(self) -> int:
        return self.size**2

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": self.cells, "train": 0, "practice": 0, "gate": 0, "test": 0}

    @property
    def inputs(self) -> int:
        return 1

    @property
    def outputs(self) -> int:
        return self.cells * len(MOVES)

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"paid" [cells], and the returns of the "best" and of "random" moves}."""
        rank = noise.argsort().argsort()
        paid = torch.where(rank == 0, 1.0, torch.where(rank <= self.pits, -1.0, 0.0)).double()
        value, random = torch.zeros_like(paid), paid.new_full((self.cells, len(MOVES)), 1 / len(MOVES))
        for _ in range(self.sweeps):
            value = (self._transitions().to(paid) @ (paid + self.discount * value)).amax(dim=-1)
        found = {"paid": paid, "best": value.mean(), "random": self._earned(paid, random)}
        return {name: one.to(getattr(torch, self.dtype)) for name, one in found.items()}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """One example, the world."""
        paid = task["paid"]
        return {"x": torch.ones_like(paid[:1, None]), "transitions": self._transitions().to(paid)[None],
                "paid": paid[None]}  # fmt: skip

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return -self.human(task, prediction, batch)

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        earned = self._earned(task["paid"], self.policy(prediction)[0])
        return ((earned - task["random"]) / (task["best"] - task["random"]))[None]

    def policy(self, prediction: Tensor) -> Tensor:
        return torch.softmax(self.sharpness * prediction.unflatten(-1, (self.cells, -1)), dim=-1)

    def tables(self, task: Params, batch: Batch) -> Mapping[str, Table]:
        goes = self._transitions()
        reward = task["paid"].cpu().double().expand_as(goes)
        start = torch.full((1, self.cells), 1 / self.cells, dtype=torch.float64)
        return {"return": Table(goes[None], reward[None], start, self.discount)}

    @property
    def sweeps(self) -> int:
        """Of value iteration, until what is left to come is below a millionth of what was."""
        return ceil(log(1e-6) / log(self.discount))

    def _transitions(self) -> Tensor:
        """[cells, moves, cells]."""
        goes = torch.eye(self.cells, dtype=torch.float64)[neighbours(self.size)]
        return (1 - self.slip) * goes + self.slip * goes.mean(dim=1, keepdim=True)

    def _earned(self, paid: Tensor, policy: Tensor) -> Tensor:
        """The expected discounted return of a policy [cells, moves]."""
        goes = (policy[..., None] * self._transitions().to(policy)).sum(dim=1)
        kernel = torch.eye(self.cells, dtype=policy.dtype, device=policy.device) - self.discount * goes
        return torch.linalg.solve(kernel, goes @ paid).mean()
