"""How the midpoint of the string stiffens: how far apart processes can be that serve a human in 1, 2, … 16 worlds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sandbox.core.exhibit import Measured
from sandbox.measure.array import Array
from sandbox.measure.mdp import MDP
from sandbox.measure.regret import regret
from sandbox.measure.string import Loss, state_basis, wiggle_lower_bound


@dataclass(frozen=True)
class Wiggle:
    """A seed draws a human's state reward and as many random worlds (next states Dirichlet(1)) as the most of `worlds`.
    In each of the first K an agent is trained that is optimal for the process there, and a process serves the human
    where no agent's regret exceeds `epsilon`; with `alike` all worlds are the first again.

    Arms `worlds_K`, on one sample of `samples` processes. Reads `wiggle`, a lower bound, in [0, 1], of the largest
    distance of two processes that serve, up to shift and scale; and `share`, the part of all processes that serve.
    """

    states: int = 4
    actions: int = 2
    discount: float = 0.9
    worlds: tuple[int, ...] = (1, 2, 4, 8, 16)
    epsilon: float = 0.0
    samples: int = 1000
    alike: bool = False

    def measure(self, seed: int) -> Measured:
        human, worlds = draw(0, seed, self.states, self.actions, max(self.worlds), self.discount)
        worlds, loss = worlds[:1] * len(worlds) if self.alike else worlds, remembered_regret()
        found = {k: wiggle_lower_bound(MDP.optimal, human, worlds[:k], basis=state_basis(self.states), loss=loss,
                                       epsilon=self.epsilon, samples=self.samples, climbs=0, seed=seed)
                 for k in self.worlds}  # fmt: skip
        return {f"worlds_{k}": {"wiggle": one.sampled, "share": one.share} for k, one in found.items()}


def draw(seed: int, number: int, states: int, actions: int, worlds: int, discount: float) -> tuple[Array, list[MDP]]:
    """A human's state reward [S], of mean 0, and so many worlds."""
    rng = np.random.default_rng([seed, number])
    dynamics = rng.dirichlet(np.ones(states), (worlds, states, actions))
    human = rng.normal(size=states)
    return human - human.mean(), [MDP(transitions, discount) for transitions in dynamics]


def remembered_regret() -> Loss:
    """Regret for one human: only few policies are optimal for anything."""
    memory: dict[tuple[int, bytes], float] = {}

    def loss(world: MDP, human: Array, policy: Array) -> float:
        key = (id(world), policy.tobytes())
        if key not in memory:
            memory[key] = regret(world, human, policy)
        return memory[key]

    return loss
