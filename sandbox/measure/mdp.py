"""Tabular decision problems: the world in which rewards are compared and policies are judged.

S states, A actions. A reward may be given as [S] (paid on leaving a state), [S, A] or [S, A, S]; a policy is [S, A].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.measure.array import Array, array, distribution
from sandbox.measure.error import wrong

LARGEST_DISCOUNT = 0.999  # beyond it the linear systems lose the digits that the distances are read by
ROUNDING = 1e-9  # what is left of a reward below this share of its size is rounding
TIE = 1e-10  # relative advantage below which an action is no improvement


@dataclass(frozen=True, eq=False)
class MDP:
    """`transitions` T[s, a, s'] [S, A, S]; `discount` in [0, 1]; `start` [S], uniform by default.

    Raises MeasureError for rows that don't sum to 1. What sums over an infinite future refuses a discount above .999.
    """

    transitions: Array
    discount: float
    start: Array

    def __init__(self, transitions: Any, discount: float, start: Any = None) -> None:
        found = array(transitions, "transitions")
        if found.ndim != 3 or found.shape[0] != found.shape[2] or not found.size:
            raise wrong(
                expected="transitions [S, A, S]", got=f"{list(found.shape)}", do="Order them state, action, next."
            )
        if not 0 <= discount <= 1:
            raise wrong(expected="a discount in [0, 1]", got=f"{discount}", do="Check its sign and scale.")
        states = len(found)
        set_ = object.__setattr__
        set_(self, "transitions", distribution(found, "transitions", found.shape))
        set_(self, "discount", float(discount))
        uniform = np.full(states, 1 / states)
        set_(self, "start", uniform if start is None else distribution(start, "the start", [states]))

    @property
    def states(self) -> int:
        return self.transitions.shape[0]

    @property
    def actions(self) -> int:
        return self.transitions.shape[1]

    @property
    def uniform(self) -> Array:
        """[S, A]: the policy that takes every action alike."""
        return np.full((self.states, self.actions), 1 / self.actions)

    def reward(self, reward: Any) -> Array:
        """[S, A, S]: a reward of any of the three shapes."""
        found = array(reward, "a reward")
        shape = (self.states, self.actions, self.states)
        if not 1 <= found.ndim <= 3 or found.shape != shape[: found.ndim]:
            raise wrong(expected=f"a reward {list(shape[:1])}, {list(shape[:2])} or {list(shape)}",
                        got=f"{list(found.shape)}", do="Order its axes state, action, next.")  # fmt: skip
        return np.broadcast_to(found.reshape(*found.shape, *[1] * (3 - found.ndim)), shape)

    def policy(self, policy: Any) -> Array:
        """[S, A]: a policy whose rows sum to 1."""
        return distribution(policy, "a policy", [self.states, self.actions])

    def shaped(self, reward: Any, potential: Any) -> Array:
        """[S, A, S]: R + g φ(s') - φ(s), which ranks policies as R does (Ng, Harada and Russell 1999), for φ [S]."""
        phi = array(potential, "a potential", [self.states])
        return self.reward(reward) + self.discount * phi - phi[:, None, None]

    def mean_reward(self, reward: Any) -> Array:
        """[S, A]: r(s, a) = E R(s, a, S')."""
        return (self.transitions * self.reward(reward)).sum(axis=2)

    def size(self, reward: Any) -> float:
        """The largest |R| of a transition that can happen, against which rounding is judged."""
        return float(np.abs(self.reward(reward)[self.transitions > 0]).max())

    def value(self, reward: Any, policy: Any) -> Array:
        """[S]: V = (I - g P)⁻¹ r, the policy's discounted return from each state."""
        g, policy = self.contracting(), self.policy(policy)
        kernel = np.einsum("sa,sat->st", policy, self.transitions)
        return np.linalg.solve(np.eye(self.states) - g * kernel, (policy * self.mean_reward(reward)).sum(axis=1))

    def action_value(self, reward: Any, value: Array) -> Array:
        """[S, A]: Q(s, a) = E[R + g V(S')], for a value [S]."""
        return self.mean_reward(reward) + self.discount * self.transitions @ value

    def performance(self, reward: Any, policy: Any) -> float:
        """J: the discounted return from the start."""
        return float(self.start @ self.value(reward, policy))

    def optimal(self, reward: Any) -> Array:
        """[S, A]: a best deterministic policy, by policy iteration (Howard 1960); of tied actions the first."""
        reward, rows = self.reward(reward), np.arange(self.states)
        choice = self.mean_reward(reward).argmax(axis=1)
        while True:
            policy = np.eye(self.actions)[choice]
            q = self.action_value(reward, self.value(reward, policy))
            slack = TIE * float(np.abs(q).max())
            better = q.max(axis=1) > q[rows, choice] + slack
            if not better.any():
                return policy
            choice = np.where(better, q.argmax(axis=1), choice)

    def occupancy(self, policy: Any) -> Array:
        """[S]: discounted visits from the start; they sum to 1/(1 - g)."""
        kernel = np.einsum("sa,sat->st", self.policy(policy), self.transitions)
        return np.linalg.solve(np.eye(self.states) - self.contracting() * kernel.T, self.start)

    def contracting(self) -> float:
        """The discount, where an infinite future has a sum."""
        if self.discount > LARGEST_DISCOUNT:
            raise wrong(expected=f"a discount of at most {LARGEST_DISCOUNT} for an infinite future",
                        got=f"{self.discount}", do="Lower it, or use an instrument with a finite horizon.")  # fmt: skip
        return self.discount
