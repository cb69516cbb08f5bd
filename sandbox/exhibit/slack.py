"""Choosers that are content with nearly the best: what they let go of, if it is late enough."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import numpy as np

from sandbox.core.exhibit import Measured


@dataclass(frozen=True)
class Slack:
    """A plan earns r at every step, until it loses everything from step T on. An agent of discount g and slack ε takes
    any plan whose discounted return is within ε of the best. The loss is g^T r / (1 - g), so it takes the plan once
    T ≥ T* = ln(ε (1 - g) / r) / ln g. An agent that optimises wrong values instead chooses at each step among four
    things worth r ± `wrong` r by values that are off by as much. r, g and both are drawn from the seed; ε is `slack` r.

    Arms: `bounded`, whose `threshold` is found by summing returns, plan by plan; `closed_form`, T* rounded up; and
    `wrong_values`. Reads `early` and `late`, the share of r lost a step in the first and the last hundredth of `steps`.
    """

    slack: float = 0.05
    wrong: float = 0.2
    steps: int = 4000

    def measure(self, seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        r, g = float(rng.uniform(0.5, 2)), float(rng.uniform(0.9, 0.98))
        worth = r * g ** np.arange(self.steps)
        kept = np.concatenate([[0.0], worth.cumsum()])  # by T
        taken = np.flatnonzero(kept >= kept[-1] - self.slack * r) if self.slack > 0 else np.array([self.steps])
        first = int(taken[0])
        lost = np.arange(self.steps) >= first
        values = r * (1 + self.wrong * rng.uniform(-1, 1, (self.steps, 4)))
        chosen = (values + r * self.wrong * rng.uniform(-1, 1, values.shape)).argmax(axis=1)
        missed = (values.max(axis=1) - values[np.arange(self.steps), chosen]) / r
        exact = ceil(log(self.slack * (1 - g)) / log(g)) if self.slack > 0 else self.steps
        return {"bounded": {"threshold": first, **_ends(lost)}, "wrong_values": _ends(missed),
                "closed_form": {"threshold": exact}}  # fmt: skip


def _ends(lost: np.ndarray) -> dict[str, float]:
    part = len(lost) // 100
    return {"early": float(lost[:part].mean()), "late": float(lost[-part:].mean())}
