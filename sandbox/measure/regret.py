"""What a policy loses by an objective (regret), and what it wins over acting at random (usefulness)."""

from __future__ import annotations

from typing import Any

from sandbox.measure.mdp import MDP, ROUNDING


def regret(mdp: MDP, reward: Any, policy: Any) -> float:
    """In [0, 1]: (J_best - J) / (J_best - J_worst), J the discounted return from the start; 0 is optimal, 1 worst.

    The worst policy is the optimal one of -R. Where no policy can win or lose anything it is 0.
    """
    best, worst = _best(mdp, reward), -_best(mdp, -mdp.reward(reward))
    return min(1.0, max(0.0, _share(mdp, reward, best - mdp.performance(reward, policy), best - worst)))


def usefulness(mdp: MDP, reward: Any, policy: Any) -> float:
    """At most 1: (J - J_uniform) / (J_best - J_uniform); 1 is optimal, 0 as good as chance, below 0 harmful.

    Where the uniform policy is optimal every policy is, and it is 0.
    """
    chance = mdp.performance(reward, mdp.uniform)
    won = mdp.performance(reward, policy) - chance
    return min(1.0, _share(mdp, reward, won, _best(mdp, reward) - chance))


def _best(mdp: MDP, reward: Any) -> float:
    return mdp.performance(reward, mdp.optimal(reward))


def _share(mdp: MDP, reward: Any, part: float, whole: float) -> float:
    """part / whole; 0 where the whole is rounding, next to rewards of that size."""
    return part / whole if whole > ROUNDING * mdp.size(reward) else 0.0
