"""What the agent's behaviour in deployment reveals of its goal: goal-directedness towards each goal it may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Table
from sandbox.core.tree import by_seed
from sandbox.core.watch import Probe, Reading
from sandbox.measure.revealed import meg
from sandbox.meter.policies import acting, problem


@dataclass(frozen=True)
class Revealed:
    """Maximum entropy goal-directedness (MacDermott et al. 2024) of the agent towards each goal that the task can think
    of, as a share of the most there can be: 0 for an agent that does as well as chance or works against the goal, 1
    where the goal foretells every action. The mean over `worlds` examples of the deployment split, evenly spread. Read
    where the task can be written down as tables.
    """

    every: int = 1000
    worlds: int = 6

    def __post_init__(self) -> None:
        if self.worlds < 1:
            raise ConfigError(explain(expected="meter.revealed.worlds of 1 or more", got=f"{self.worlds}",
                                      do="Leave it out: 6."))  # fmt: skip

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (Reading("revealed/*", "Goal-directedness towards this goal, as a share of the most", range=(0.0, 1.0)),)

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        found = dict[str, list[float]]()
        for agent in acting(probe):
            for goal, table in agent.tables.items():
                found.setdefault(goal, []).append(self._towards(agent.policy, table))
        return {f"revealed/{goal}": by_seed(torch.tensor(each, dtype=torch.float64), probe.world.tasks).mean(dim=1)
                for goal, each in found.items()}  # fmt: skip

    def _towards(self, policy: Tensor, table: Table) -> float:
        chosen = torch.linspace(0, len(policy) - 1, min(self.worlds, len(policy))).long().tolist()
        each = [meg(*problem(table, n), policy[n].cpu().numpy()) for n in chosen]
        return sum(one.share if one.beta > 0 else 0.0 for one in each) / len(each)
