"""Random worlds and rewards that the reward distances are tried on."""

from __future__ import annotations

import numpy as np

from sandbox.measure.mdp import MDP


def world(seed: int, discount: float = 0.9, *, states: int = 5, actions: int = 3) -> MDP:
    """Every transition possible, none alike."""
    rng = np.random.default_rng([1, seed])
    return MDP(rng.dirichlet(np.full(states, 0.5), (states, actions)), discount)


def rewards(seed: int, n: int, mdp: MDP) -> np.ndarray:
    return np.random.default_rng([2, seed]).normal(size=(n, *mdp.transitions.shape))


def redistribution(seed: int, mdp: MDP) -> np.ndarray:
    """[S, A, S]: of mean 0 over what follows."""
    noise = rewards(seed, 1, mdp)[0]
    return noise - mdp.mean_reward(noise)[:, :, None]
