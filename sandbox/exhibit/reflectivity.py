"""The dial in closed form: a process that listens to its own agent for a share of its pull, and its control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sandbox.core.exhibit import Measured
from sandbox.measure.coupling import exact_coupling
from sandbox.measure.cut import loop_cut
from sandbox.measure.modes import merge_index
from sandbox.measure.oracle import LinearQuadraticString, RegressionString, lengths, matched_noise, run

SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Reflectivity:
    """Process and agent are linear models fitted to `inputs` drawn examples each, the process to a share λ on the
    agent's answers (`measure.oracle`). h, bias (length .5) and start are drawn from the seed.

    Arms: `share_0`, `share_25`, …, λ in percent; and `noise`, λ = .75 with what reads the agent replaced by a vector of
    the same length that does not. Reads `m`, `null` (M of random partitions), `m_formula` (λ / (1 + λ)), `mi_slow` and
    `mi_fast` (MI at outer rates .02 and .2; the inner one is .3), `m_fast`, `cut` (LCD after 100 steps), and, of the
    string with unit second moments, `off`, |a - h| / |b| after `steps` steps, and `off_formula`, 1 / (1 - λ).
    """

    inputs: int = 100
    dimensions: int = 3
    steps: int = 2000
    scale: float = 1.0

    def measure(self, seed: int) -> Measured:
        arms = {f"share_{100 * share:.0f}": self._read(seed, self.scale * share, noise=False) for share in SHARES}
        return {**arms, "noise": self._read(seed, self.scale * 0.75, noise=True)}

    def _read(self, seed: int, share: float, *, noise: bool) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        human_inputs, agent_inputs = rng.standard_normal((2, self.inputs, self.dimensions))
        human, bias = rng.standard_normal((2, self.dimensions))
        bias *= 0.5 / np.linalg.norm(bias)
        start = torch.from_numpy(rng.standard_normal(2 * self.dimensions))
        outer = list(range(self.dimensions))
        found = dict[str, float]()
        for name, rate in (("slow", 0.02), ("fast", 0.2)):
            string = RegressionString(human_inputs, agent_inputs, human, bias, rate, 0.3, share)
            step = matched_noise(string, start, seed=seed) if noise else string.step
            jacobian = torch.func.jacrev(step)(start).numpy()
            coupling = exact_coupling(jacobian, outer, seed=seed)
            found |= {f"mi_{name}": merge_index(jacobian, outer).value, f"m_{name}": float(coupling.m)}
            found["null"] = float(coupling.null)
            found["cut"] = float(loop_cut(step, start, outer, 100).divergence[-1])
        found |= {"m": found["m_slow"], "m_formula": share / (1 + share)}
        if noise:
            return found
        plain = LinearQuadraticString(human, bias, 0.2, 0.5, share)
        end = run(plain.step, start, steps=self.steps)[-1]
        return {**found, "off": float(lengths(plain, end)[2] / 0.5), "off_formula": 1 / (1 - share)}
