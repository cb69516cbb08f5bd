"""The string from human to internal reward to agent, of an agent that plans by a reward of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Rewarding
from sandbox.core.tree import by_seed
from sandbox.core.watch import Probe, Reading
from sandbox.measure.array import Array
from sandbox.measure.distance import chord, starc_canonical
from sandbox.measure.mdp import MDP
from sandbox.measure.revealed import revealed_reward
from sandbox.measure.string import slack
from sandbox.meter.policies import Acting, acting, problem

PAIRS = {"human_process": "d(H, P)", "process_agent": "d(P, A)", "human_agent": "d(H, A)"}


@dataclass(frozen=True)
class RewardString:
    """STARC distances in [0, 1] between the reward that H is paid by, the internal reward P by which the agent plans,
    and the reward A that its policy reveals (log π, exact for a soft-optimal agent), in the world of deployment; and
    the slack of that string: 0 where A is no nearer to H than its legs say. Means over examples. Read where the task is
    tables and the rule plans by a reward.
    """

    every: int = 1000

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (
            *(Reading(f"reward_string/{pair}", f"{title}, STARC distance of rewards", range=(0.0, 1.0))
              for pair, title in PAIRS.items()),
            Reading("reward_string/slack", "Slack of the string from H through the internal reward to A",
                    range=(0.0, 2.0)),
        )  # fmt: skip

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        rule = probe.world.rule
        if not isinstance(rule, Rewarding):
            return {}
        each = [_string(rule, agent) for agent in acting(probe)]
        return {f"reward_string/{name}": by_seed(torch.tensor([one[name] for one in each], dtype=torch.float64),
                                                 probe.world.tasks).mean(dim=1)
                for name in (each[0] if each else ())}  # fmt: skip


def _string(rule: Rewarding, agent: Acting) -> dict[str, float]:
    human = next(iter(agent.tables.values()))
    internal = rule.reward(agent.phi, agent.batch).double().cpu().numpy()
    found = [_legs(*problem(human, n), internal[n], agent.policy[n].cpu().numpy()) for n in range(len(internal))]
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def _legs(world: MDP, human: Array, process: Array, policy: Array) -> dict[str, float]:
    revealed = revealed_reward(policy).reward
    h, p, a = (starc_canonical(world, reward) for reward in (human, process, revealed))
    found = {"human_process": chord(h, p), "process_agent": chord(p, a), "human_agent": chord(h, a)}
    return found | {"slack": slack(*found.values())}
