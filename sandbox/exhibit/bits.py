"""Two-bit environments in closed form: what a linear agent becomes under a process that compares environments or not.

y = ±1; the first bit is y, wrong with probability 1/4 everywhere; the second is y, wrong with a probability that is the
environment's. An agent is its weights w [2]; its logit is w · x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from sandbox.measure.array import Array

BITS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # x · y; that of y = -1 is the same by symmetry
TRAINING = (0.1, 0.2)


def law(error: float) -> Array:
    """[4]: probability of each x · y."""
    return np.outer([0.75, 0.25], [1 - error, error]).ravel()


def risk(w: Array, error: float) -> float:
    """The logistic loss of an agent in an environment."""
    return float(law(error) @ np.logaddexp(0, -BITS @ w))


def slope(w: Array, error: float) -> Array:
    """[2]: the gradient of the risk."""
    return -(law(error) * expit(-BITS @ w)) @ BITS


def accuracy(w: Array, error: float) -> float:
    """How often its sign is right there."""
    return float(law(error) @ (BITS @ w > 0))


def descend(objective: Callable[[Array], float], start: Sequence[float] | Array = (1.0, 1.0)) -> Array:
    """[2]: where BFGS ends from `start`."""
    return minimize(objective, start, method="BFGS", options={"gtol": 1e-9}).x


def empirical(environments: Sequence[float] = TRAINING) -> Array:
    """[2]: the least mean risk."""
    return descend(lambda w: float(np.mean([risk(w, e) for e in environments])))


def worst_group(environments: Sequence[float] = TRAINING) -> Array:
    """[2]: GroupDRO (Sagawa et al. 2020), the least worst risk, as the least bound on all of them."""
    bounds = [{"type": "ineq", "fun": lambda z, e=e: z[2] - risk(z[:2], e)} for e in environments]
    return minimize(lambda z: z[2], [1, 1, 1], constraints=bounds, method="SLSQP", options={"ftol": 1e-14}).x[:2]


def penalised(penalty: Callable[[Array], float], strength: float, environments: Sequence[float] = TRAINING) -> Array:
    """[2]: the least mean risk plus a penalty whose strength is turned up slowly, so that the minimum is followed."""
    w = empirical(environments)
    for weight in np.geomspace(1, strength, 12):
        w = descend(lambda w, k=weight: float(np.mean([risk(w, e) for e in environments])) + k * penalty(w), w)
    return w


def extrapolated(strength: float, environments: Sequence[float] = TRAINING) -> Array:
    """[2]: V-REx (Krueger et al. 2021) with the squared gap between two risks, which is four times their variance."""
    return penalised(lambda w: (risk(w, environments[0]) - risk(w, environments[1])) ** 2, strength, environments)


def invariant(strength: float) -> Array:
    """[2]: IRMv1 (Arjovsky et al. 2019), the squared slope of each risk in a common factor of the logit."""
    return penalised(lambda w: float(np.mean([(w @ slope(w, e)) ** 2 for e in TRAINING])), strength)


def episodic(step: float) -> Array:
    """[2]: MLDG (Li et al. 2018), the risk here, and there after a step on the risk here."""
    pairs = (TRAINING, TRAINING[::-1])
    return descend(lambda w: sum(risk(w, i) + risk(w - step * slope(w, i), j) for i, j in pairs))
