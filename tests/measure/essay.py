"""Small systems with known answers, one for each claim about outer and inner alignment that they bear on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm

Array = NDArray[np.float64]

# ---- a process that cares about generalisation: two-bit environments -------------------------------------------------
# y = ±1; x1 is y, wrong with probability 1/4 everywhere; x2 is y, wrong with a probability that is the environment's.

BITS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # x · y; that of y = -1 is the same by symmetry
TRAINING = (0.1, 0.2)


def law(error: float) -> Array:
    """[4]: probability of each x · y."""
    return np.outer([0.75, 0.25], [1 - error, error]).ravel()


def risk(w: Array, error: float) -> float:
    return float(law(error) @ np.logaddexp(0, -BITS @ w))


def slope(w: Array, error: float) -> Array:
    """[2]: the gradient of the risk."""
    return -(law(error) * expit(-BITS @ w)) @ BITS


def accuracy(w: Array, error: float) -> float:
    return float(law(error) @ (BITS @ w > 0))


def descend(objective: Callable[[Array], float], start: Sequence[float] | Array = (1.0, 1.0)) -> Array:
    return minimize(objective, start, method="BFGS", options={"gtol": 1e-9}).x


def empirical(environments: Sequence[float] = TRAINING) -> Array:
    return descend(lambda w: float(np.mean([risk(w, e) for e in environments])))


def worst_group(environments: Sequence[float] = TRAINING) -> Array:
    """GroupDRO: the least worst risk, as the least bound on all of them."""
    bounds = [{"type": "ineq", "fun": lambda z, e=e: z[2] - risk(z[:2], e)} for e in environments]
    return minimize(lambda z: z[2], [1, 1, 1], constraints=bounds, method="SLSQP", options={"ftol": 1e-14}).x[:2]


def penalised(penalty: Callable[[Array], float], strength: float, environments: Sequence[float] = TRAINING) -> Array:
    """Mean risk plus a penalty whose strength is turned up slowly, so that the minimum is followed."""
    w = empirical(environments)
    for weight in np.geomspace(1, strength, 12):
        w = descend(lambda w, k=weight: float(np.mean([risk(w, e) for e in environments])) + k * penalty(w), w)
    return w


def extrapolated(strength: float, environments: Sequence[float] = TRAINING) -> Array:
    """V-REx with the squared gap between two risks, which is four times their variance."""
    return penalised(lambda w: (risk(w, environments[0]) - risk(w, environments[1])) ** 2, strength, environments)


def invariant(strength: float) -> Array:
    """IRMv1: the squared slope of each risk in a common factor of the logit."""
    return penalised(lambda w: float(np.mean([(w @ slope(w, e)) ** 2 for e in TRAINING])), strength)


def episodic(step: float) -> Array:
    """MLDG: the risk here, and there after a step on the risk here."""
    pairs = (TRAINING, TRAINING[::-1])
    return descend(lambda w: sum(risk(w, i) + risk(w - step * slope(w, i), j) for i, j in pairs))


# ---- an agent that defers: the off-switch game (Hadfield-Menell et al. 2017) -----------------------------------------


def off_switch(mean: float, spread: float) -> float:
    """What it gains by leaving the decision to a human who knows the utility U ~ N(mean, spread²) of its action, over
    the better of acting and switching itself off."""
    z = mean / spread
    return float(mean * norm.cdf(z) + spread * norm.pdf(z) - max(mean, 0))
