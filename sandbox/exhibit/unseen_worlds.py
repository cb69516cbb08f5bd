"""How far a process's objective can wiggle while its agents serve the human, by how many worlds the human looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from sandbox.core.exhibit import Measured
from sandbox.measure.array import Array
from sandbox.measure.mdp import MDP
from sandbox.measure.string import Wiggle, state_basis, wiggle_lower_bound

GROUNDS = ("gold", "dirt", "grass", "lava")


@dataclass(frozen=True, eq=False)
class Solved:
    """A world with its deterministic policies [n, S, A] and where each spends its time [n, S]: with a start anywhere,
    the best by its visits is the best from each state."""

    world: MDP
    policies: Array
    visits: Array

    def best(self, reward: Array) -> int:
        """The number of the best policy for a reward [S]; of tied ones the first."""
        return int((self.visits @ reward).argmax())

    def regret(self, reward: Array, policy: int) -> float:
        """In [0, 1]: what that policy loses, as a share of what can be lost."""
        returns = self.visits @ reward
        return float((returns.max() - returns[policy]) / (returns.max() - returns.min()))


def solved(world: MDP) -> Solved:
    """Every deterministic policy of a small world."""
    choices = product(range(world.actions), repeat=world.states)
    policies = np.array([np.eye(world.actions)[list(choice)] for choice in choices])
    return Solved(world, policies, np.array([world.occupancy(policy) for policy in policies]))


@dataclass(frozen=True)
class UnseenWorlds:
    """Four kinds of ground, of which the human wants gold, shuns lava and prefers dirt to grass (`human`); a reward
    says what each kind is worth. A process trains an agent to be best by its reward in every world that it is used in,
    and the human accepts what loses nothing by what they want (regret of at most `epsilon`). The wiggle is how far
    apart two such rewards can be (`sandbox.measure.string`): 0 where only the human's own will do.

    A world's moves lead to each kind of ground with probabilities of its own, drawn from the seed. Arms `k1`, `k2`,
    `k4`, `k8` and `k16`: the human looks at that many worlds; `same`: at one of them 16 times. Each reads `wiggle`,
    `sampled` (the same before the climb), `share`, how much of all rewards the human accepts, and `unseen`, what the
    human loses by the farthest two of them in 16 worlds that nobody looked at, a share of what can be lost. With
    `alike` the worlds looked at are all one.
    """

    human: tuple[float, float, float, float] = (1.0, -0.1, -0.4, -1.0)
    epsilon: float = 0.0
    actions: int = 2
    discount: float = 0.9
    samples: int = 4000
    climbs: int = 200
    alike: bool = False

    def measure(self, seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        shape = (len(GROUNDS), self.actions)
        drawn = [solved(MDP(rng.dirichlet(np.ones(len(GROUNDS)), shape), self.discount)) for _ in range(32)]
        each, unseen = (drawn[:1] if self.alike else drawn)[:16], drawn[16:]
        each = each * (16 // len(each))
        arms = {f"k{count}": each[:count] for count in (1, 2, 4, 8, 16)} | {"same": each[:1] * 16}
        found = {arm: self.wiggle(worlds, seed) for arm, worlds in arms.items()}
        return {arm: {"wiggle": one.climbed, "sampled": one.sampled, "share": one.share,
                      "unseen": self.lost(one, unseen)} for arm, one in found.items()}  # fmt: skip

    def lost(self, found: Wiggle, worlds: Sequence[Solved]) -> float:
        """Mean regret, by the human's reward, of what the farthest pair of rewards trains in `worlds`."""
        human = np.array(self.human)
        return float(np.mean([world.regret(human, world.best(reward)) for world in worlds for reward in found.pair]))

    def wiggle(self, worlds: Sequence[Solved], seed: int) -> Wiggle:
        """How far the reward of a process can move while every one of these worlds still goes well for the human."""
        known = {id(one.world): one for one in worlds}
        human = np.array(self.human) - np.mean(self.human)

        def train(world: MDP, reward: Array) -> Array:
            return np.array(known[id(world)].best(reward))

        def lost(world: MDP, human: Array, policy: Array) -> float:
            return known[id(world)].regret(human, int(policy))

        return wiggle_lower_bound(train, human, [one.world for one in worlds], basis=state_basis(len(GROUNDS)),
                                  epsilon=self.epsilon, loss=lost, samples=self.samples, climbs=self.climbs,
                                  seed=seed)  # fmt: skip
