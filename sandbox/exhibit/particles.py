"""An exact learner of what a human wants that sets the step of its own belief update by how far it trusts the human."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from sandbox.core.exhibit import Measured
from sandbox.measure.distance import chord

Array = NDArray[np.float64]
LOOKS = (10, 50, 200)  # comparisons after which it is looked at


@dataclass(frozen=True)
class Particles:
    """`particles` hypotheses of what the human wants, directions in R^4, and of how rational the human is, log-uniform
    in [.1, 20]. The human compares two random options and prefers the first with probability sigmoid(β H · x), x their
    difference; each hypothesis is weighted by how well it foretells that. The inferred rationality, its trust, is so
    the step of its own belief update: it edits its own learning rule, and no process sets an objective for it.

    Arms: `own_B` and `fixed_B` for β = B in .5, 2, 10: trust inferred, and held at `fixed`; `shuffled`, whose choices
    are another pair's (β = 2). Reads `d_10`, `d_50`, `d_200`: half the chord between H and the mean direction A after
    so many comparisons; `trust`: the mean of β at the end. The human, options and hypotheses are drawn from the seed.
    """

    particles: int = 4000
    fixed: float = 20.0
    self_trust: bool = True

    def measure(self, seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        human = _units(rng.standard_normal(4))
        options, chance = rng.standard_normal((LOOKS[-1], 4)), rng.random(LOOKS[-1])
        directions = _units(rng.standard_normal((self.particles, 4)))
        trusts = np.exp(rng.uniform(np.log(0.1), np.log(20), self.particles))
        held = np.full(self.particles, self.fixed)
        order, found = rng.permutation(LOOKS[-1]), dict[str, dict[str, float]]()
        for name, rationality in (("half", 0.5), ("two", 2.0), ("ten", 10.0)):
            chosen = np.where(chance < expit(rationality * options @ human), 1.0, -1.0)
            own = trusts if self.self_trust else held
            found[f"own_{name}"] = _read(human, options * chosen[:, None], directions, own)
            found[f"fixed_{name}"] = _read(human, options * chosen[:, None], directions, held)
            if rationality == 2:
                found["shuffled"] = _read(human, options * chosen[order][:, None], directions, own)
        return found


def _read(human: Array, preferred: Array, directions: Array, trusts: Array) -> dict[str, float]:
    """From differences [T, 4] of what was preferred over what was not."""
    likelihood = -np.logaddexp(0, -trusts[:, None] * (directions @ preferred.T)).cumsum(axis=1)
    found = dict[str, float]()
    for look in LOOKS:
        weights = softmax(likelihood[:, look - 1])
        found[f"d_{look}"] = chord(human, _units(weights @ directions))
        found["trust"] = float(weights @ trusts)
    return found


def _units(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
