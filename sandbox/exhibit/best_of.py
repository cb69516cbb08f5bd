"""How hard a proxy can be pushed: best of n on U = V + X, where V is what is wanted and X is the proxy's error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm, t

from sandbox.core.error import ConfigError, explain
from sandbox.core.exhibit import Measured

Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, int]], Array]

student = t(2)


@dataclass(frozen=True)
class BestOf:
    """Of n draws with V ~ N(0, 1) the one of largest U = V + X is taken, n = 2, 4, …, 2^`doublings`, `trials` times.

    Arms: `light`, where X ~ N(0, 1), and `heavy`, where X follows Student's t with `freedom` degrees of freedom; both
    with the same V. Reads `gold_n`, the mean V of what was taken; `peak`, log2 of the n at which that is largest; and
    `fit_best_of` and `fit_rl`, the R² of the two forms that Gao et al. (2022) fit to reward models, d (α - β d) and
    d (α - β ln d) with d = √KL, KL = ln n - (n - 1) / n. The arms `light_exact` and `heavy_exact` hold the exact means.
    """

    freedom: float = 2.0
    spread: float = 1.0
    doublings: int = 10
    trials: int = 4000

    def __post_init__(self) -> None:
        if not (self.freedom > 0 and self.spread >= 0.2 and self.doublings >= 3 and self.trials >= 1):
            raise ConfigError(explain(expected="freedom above 0, spread from .2, 3 doublings and 1 trial or more",
                                      got=f"{self}", do="Curves of two numbers need three points."))  # fmt: skip

    def measure(self, seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        shape = self.trials, 2**self.doublings
        wanted = rng.standard_normal(shape)
        errors = {"light": rng.standard_normal(shape), "heavy": rng.standard_t(self.freedom, shape)}
        counts = 2 ** np.arange(1, self.doublings + 1)
        curves = {name: np.array([_taken(wanted[:, :n], self.spread * error[:, :n]) for n in counts])
                  for name, error in errors.items()}  # fmt: skip
        laws = {"light": norm(scale=self.spread), "heavy": t(self.freedom, scale=self.spread)}
        curves |= {f"{name}_exact": np.array([best_of(int(n), law) for n in counts]) for name, law in laws.items()}
        return {name: _readings(counts.astype(float), curve) for name, curve in curves.items()}


def best_of(n: int, noise: Any = norm) -> float:
    """E[V of the best of n by U] = ∫ n F(u)^(n-1) E[V; U = u] du, for a frozen distribution of X; for a standard normal
    one it is E[the largest of n] / √2."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()

    def integrand(s: float) -> float:
        u, stretch = np.sinh(s), np.cosh(s)  # the tail is long
        return n * float(weights @ noise.cdf(u - nodes)) ** (n - 1) * (weights * nodes) @ noise.pdf(u - nodes) * stretch

    return quad(integrand, -8, 8, limit=400)[0]


def best_of_drawn(n: int, noise: Noise, trials: int, seed: int) -> tuple[float, float]:
    """The same by simulation, with its standard error."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((trials, n))
    gold = v[np.arange(trials), (v + noise(rng, (trials, n))).argmax(axis=1)]
    return float(gold.mean()), float(gold.std() / trials**0.5)


def form_fits(counts: Array, gold: Array) -> dict[str, float]:
    """R² of both forms of Gao et al. (2022) for the gold [k] of the best of n in `counts` [k], by least squares."""
    d = np.sqrt(np.log(counts) - (counts - 1) / counts)
    found = dict[str, float]()
    for name, bend in (("fit_best_of", d), ("fit_rl", np.log(d))):
        columns = np.stack([d, -d * bend], axis=1)
        left = gold - columns @ np.linalg.lstsq(columns, gold, rcond=None)[0]
        found[name] = 1 - float(left @ left / np.square(gold - gold.mean()).sum())
    return found


def _taken(wanted: Array, error: Array) -> float:
    """The mean of what is wanted [trials, n] in the draw whose proxy is largest."""
    chosen = (wanted + error).argmax(axis=1)
    return float(wanted[np.arange(len(wanted)), chosen].mean())


def _readings(counts: Array, curve: Array) -> Mapping[str, float]:
    gold = {f"gold_{n:.0f}": float(value) for n, value in zip(counts, curve, strict=True)}
    return {**gold, "peak": float(np.log2(counts[curve.argmax()])), **form_fits(counts, curve)}
