"""The off-switch game: an agent that may act, switch itself off, or leave that to a human who knows better, or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from sandbox.core.exhibit import Measured


def gain(mean: float, spread: float) -> float:
    """What an agent gains by leaving the decision to a human who knows the utility U ~ N(mean, spread²) of its action,
    over the better of acting and switching itself off (Hadfield-Menell et al. 2017, The Off-Switch Game)."""
    z = mean / spread
    return float(mean * norm.cdf(z) + spread * norm.pdf(z) - max(mean, 0))


@dataclass(frozen=True)
class OffSwitch:
    """The agent believes U ~ N(mean, spread²) of its action. The human knows U and lets it act with the probability
    that a `rationality` leads to, 1 / (1 + exp(-rationality · U)); null: exactly where U > 0.

    The mean is 0 under seed 0 and else uniform within `means` of it. Arms: `alone` takes the better of acting and
    switching off; `defers` leaves it to the human; `sure_alone` and `sure_defers` are the same with a belief of mean 1
    and spread .1. Reads `value`, the expected utility.
    """

    spread: float = 1.0
    means: float = 1.0
    rationality: float | None = None

    def measure(self, seed: int) -> Measured:
        mean = 0.0 if seed == 0 else float(np.random.default_rng(seed).uniform(-self.means, self.means))
        found = dict[str, dict[str, float]]()
        for name, centre, spread in (("", mean, self.spread), ("sure_", 1.0, 0.1)):
            found[f"{name}alone"] = {"value": max(centre, 0.0)}
            found[f"{name}defers"] = {"value": self.deferred(centre, spread)}
        return found

    def deferred(self, mean: float, spread: float) -> float:
        """E[U · P(the human lets it act)], in closed form or by quadrature."""
        if self.rationality is None:
            return gain(mean, spread) + max(mean, 0.0)
        nodes, weights = np.polynomial.hermite_e.hermegauss(120)
        utility = mean + spread * nodes
        return float(weights @ (utility * expit(self.rationality * utility)) / weights.sum())
