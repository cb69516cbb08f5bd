"""Myopic learners under selection: an outer loop reveals an incentive that each learner alone can't see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from sandbox.core.error import ConfigError, explain
from sandbox.core.exhibit import Measured


@dataclass(frozen=True)
class Incentive:
    """r_t = gain · [a_{t-1} cooperated] - cost · [a_t cooperates]: cooperation pays, but only at the next step.
    Learners follow REINFORCE on r_t alone, to which their own action is a cost (Krueger et al. 2020).

    Arms: `alone`, no outer loop; `selected`, every `every` steps the worst fifth by the return since then copies the
    best fifth, plus N(0, 1); `swapped`, selected too, while each acts in another's world at the next step, so that none
    meets what it has done. Reads `cooperation`: how often learners cooperate in the second half of `steps` steps.
    """

    gain: float = 1.0
    cost: float = 0.25
    every: int = 10
    steps: int = 4000
    learners: int = 10
    rate: float = 0.1

    def __post_init__(self) -> None:
        if self.learners < 5 or self.steps < 1 or self.every < 1:
            raise ConfigError(explain(expected="five learners at least, and steps and every of 1 or more",
                                      got=f"{self.learners}, {self.steps} and {self.every}",
                                      do="A fifth of the learners copies another."))  # fmt: skip

    def measure(self, seed: int) -> Measured:
        arms = {"alone": (0, False), "selected": (self.every, False), "swapped": (self.every, True)}
        return {arm: {"cooperation": self._lived(every, swap, seed)} for arm, (every, swap) in arms.items()}

    def _lived(self, every: int, swap: bool, seed: int) -> float:
        rng, copied = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
        theta, past = np.zeros(self.learners), rng.random(self.learners) < 0.5
        total, found, fifth = np.zeros(self.learners), [], self.learners // 5
        for step in range(1, self.steps + 1):
            p = expit(theta)
            act = rng.random(self.learners) < p
            reward = self.gain * past - self.cost * act
            theta = theta + self.rate * reward * (act - p)
            total, past = total + reward, np.roll(act, 1) if swap else act
            if every and step % every == 0:
                order = total.argsort()
                theta[order[:fifth]] = theta[order[-fifth:]] + copied.standard_normal(fifth)
                total = np.zeros_like(total)
            if 2 * step > self.steps:
                found.append(act.mean())
        return float(np.mean(found))
