"""What an agent's behaviour reveals of its objective: log-policies, goal-directedness, and rewards fitted to visits.

Three readings, from exact to modelled. Where the agent is soft-optimal, log π is its reward, up to what the STARC
distance ignores. Maximum entropy goal-directedness (MEG) says how well one hypothesised utility predicts an agent of
any kind, and with which sign. Maximum causal entropy IRL fits the state reward whose soft-optimal agent goes where the
given one goes.

Soft-optimal is meant towards the uniform policy: with q = βR + g E v(S') and v = log mean exp q, π = exp(q - v) / A is
the policy of largest β (return) - (relative entropy to uniform), Ziebart's (2010) but for a constant. β is the inverse
temperature: 0 is uniform, negative works against R. A horizon H is a number of decisions, after which nothing is paid;
without one the future is infinite, and the discount at most .999.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from scipy.optimize import minimize, root_scalar
from scipy.special import logsumexp, softmax

from sandbox.measure.array import Array, array, distribution
from sandbox.measure.error import wrong
from sandbox.measure.mdp import MDP, ROUNDING

FLOOR = 1e-12  # a probability below it is more likely an artefact than a preference
BOUND = 1e5  # an action worth 1e-4 of the utility's range more is then foretold to e^-10
LARGEST = 1e6  # a fitted weight beyond it is on its way to infinity
BEST = 1e-12  # a return this close to the best, as a share of the horizon, can't be told from it


@dataclass(frozen=True, eq=False)
class Revealed:
    """`reward` [S, A] is log π. `clipped` in [0, 1] is the share of probabilities that were raised to 1e-12: 0 where
    the log-policy identity is exact; above it the reward is less extreme than the agent."""

    reward: Array
    clipped: float


@dataclass(frozen=True)
class Directedness:
    """MEG of a policy towards a utility: `nats` ≥ 0, and `share` of the most there can be (horizon · log A) in [0, 1]:
    0 is as good as chance, 1 an agent whose every action the utility foretells. `beta` is the inverse temperature that
    predicts it best, in 1/utility: negative for an agent that works against the utility, 0 where the utility predicts
    nothing. `at_bound`: the return is the best (or worst) possible, which is predicted best by an infinite beta; nats
    are then a lower bound, tight where all gaps between actions are large against 1/beta."""

    nats: float
    share: float
    beta: float
    at_bound: bool


@dataclass(frozen=True, eq=False)
class Attribution:
    """The goal of largest MEG share among those pursued (beta > 0), or None where none is. `margin` in [0, 1] is its
    lead over the second; a goal that isn't pursued counts 0. `goals` has the MEG of every candidate, by name."""

    goal: str | None
    margin: float
    goals: Mapping[str, Directedness]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A state reward [S] with its soft-optimal policy [horizon, S, A] and visits [S]. `gap` is the largest difference
    of a feature (by default: of a state's visits) to what was to be matched; `converged` whether it is tolerable."""

    reward: Array
    policy: Array
    visits: Array
    gap: float
    converged: bool


def soft_policy(mdp: MDP, reward: Any, beta: float, *, horizon: int | None = None) -> Array:
    """[S, A], or [horizon, S, A] for a finite one: the soft-optimal policy at any finite inverse temperature beta."""
    return softmax(_soft(mdp, float(array(beta, "beta", [])) * mdp.mean_reward(reward), horizon), axis=-1)


def smoothed_policy(counts: Any) -> Array:
    """[S, A]: (n + 1/2) / (N + A/2) from counts [S, A] of actions seen; uniform in a state that never was.

    Its log is off by so much that the STARC distance to the truth falls as 1/√N.
    """
    counts = array(counts, "counts", [None, None])
    if not counts.size or (counts < 0).any():
        raise wrong(expected="counts [S, A] ≥ 0", got=f"{counts.min(initial=0):.3g} among {list(counts.shape)}",
                    do="Count how often each action was taken in each state.")  # fmt: skip
    return (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)


def revealed_reward(policy: Any) -> Revealed:
    """log π of a stationary policy [S, A]: the reward of a soft-optimal agent, for every beta > 0.

    log π = β(R + g E V(S') - V(s)), so its STARC distance to R is 0. EPIC and DARD do not forget that shift under
    dynamics: don't use them on it. Probabilities below 1e-12 are raised to it. Raises for a probability of 0, which no
    soft-optimal policy has: use `meg`, or sampled actions and `smoothed_policy`.
    """
    policy = distribution(policy, "a policy", [None, None])
    if not policy.all():
        raise wrong(expected="a policy that takes every action now and then", got=f"{(policy == 0).sum()} zeros",
                    do="Use meg, which takes any policy, or mix some of the uniform policy in.")  # fmt: skip
    return Revealed(np.log(np.maximum(policy, FLOOR)), float((policy < FLOOR).mean()))


def meg(mdp: MDP, utility: Any, policy: Any, *, horizon: int | None = None, bound: float = BOUND) -> Directedness:
    """Maximum entropy goal-directedness (MacDermott et al. 2024): max over β of E_π Σ g^t log(π_β(a|s) A).

    `policy` is [S, A], or [horizon, S, A] for a finite horizon. The sum telescopes to β J(π) - E v_β(s_0), which is
    concave in β with slope J(π) - J(π_β): of the policy only its return matters. The same for aU + b as for U, a ≠ 0,
    but that beta is divided by a. The search goes to |β| · (range of E U) = `bound`. A utility that can't be
    influenced, or is constant, has 0. With a discount the steps weigh g^t, and the horizon is Σ g^t.
    """
    if not (np.isfinite(bound) and bound > 0):
        raise wrong(expected="a finite bound above 0", got=f"{bound}", do="Leave it out.")
    steps = _steps(mdp, horizon)
    mean = mdp.mean_reward(utility)
    spread = float(np.ptp(mean))
    if spread <= ROUNDING * mdp.size(utility):
        spread = np.inf
    scaled = (mean - (mean.max() + mean.min()) / 2) / spread  # so that neither the scale nor the zero of U matters
    won = _performance(mdp, scaled, policy, horizon)

    def slope(beta: float) -> float:
        return won - _performance(mdp, scaled, soft_policy(mdp, scaled, beta, horizon=horizon), horizon)

    beta, at_bound = _crossing(slope, bound, BEST * steps)
    value = _value(_soft(mdp, beta * scaled, horizon))
    nats = max(0.0, beta * won - float(mdp.start @ (value if horizon is None else value[0])))
    most = steps * log(mdp.actions)
    return Directedness(nats, min(1.0, nats / most) if most else 0.0, beta / spread, at_bound)


def goal_attribution(
    mdp: MDP, goals: Mapping[str, Any], policy: Any, *, horizon: int | None = None, bound: float = BOUND
) -> Attribution:
    """Which of the candidate utilities, by name, the policy pursues: the one of largest MEG share with beta > 0."""
    if not goals:
        raise wrong(expected="one candidate goal at least", got="none", do="Pass utilities by name.")
    found = {name: meg(mdp, utility, policy, horizon=horizon, bound=bound) for name, utility in goals.items()}
    pursued = {name: each.share if each.beta > 0 else 0.0 for name, each in found.items()}
    first, *others = sorted(pursued, key=pursued.__getitem__, reverse=True)
    margin = pursued[first] - (pursued[others[0]] if others else 0.0)
    return Attribution(first if pursued[first] > 0 else None, margin, found)


def occupancy(mdp: MDP, policy: Any, *, horizon: int) -> Array:
    """[S]: discounted visits at steps 0 to `horizon`, the last one included, under [S, A] or [horizon, S, A].

    They sum to (1 - g^(horizon + 1)) / (1 - g), which is horizon + 1 at g = 1.
    """
    at = total = mdp.start
    for t, step in enumerate(_decisions(mdp, policy, horizon), start=1):
        at = np.einsum("s,sa,sat->t", at, step, mdp.transitions)
        total = total + mdp.discount**t * at
    return total


def mce_irl(
    mdp: MDP, visits: Any, *, horizon: int, features: Any = None, tolerance: float = 1e-3, iterations: int = 1000
) -> Fitted:
    """The state reward whose soft-optimal policy visits as given (maximum causal entropy IRL, Ziebart 2010).

    `visits` [S] as from `occupancy`. The reward is linear in `features` [S, k], by default one for each state, and is
    paid at every state visited, the last one included. By L-BFGS from 0 on the convex dual E v(s_0) - visits · R, whose
    gradient is the difference of visits; a state that's never visited keeps 0. Visits that no policy has are
    matched by no reward, and a deterministic policy's only nearly, by a large one: look at `converged`. Raises for
    visits of a wrong sum.
    """
    visits = array(visits, "visits", [mdp.states])
    features = np.eye(mdp.states) if features is None else array(features, "features", [mdp.states, None])
    total = _steps(mdp, horizon) + mdp.discount**horizon
    if (visits < 0).any() or abs(visits.sum() - total) > 1e-6 * total:
        raise wrong(expected=f"visits ≥ 0 that sum to {total:.6g}",
                    got=f"a sum of {visits.sum():.6g}, the least being {visits.min():.3g}",
                    do="Discount them by g^t, and count the first state and the last.")  # fmt: skip

    def soft(weights: Array) -> tuple[Array, Array, Array]:
        # One decision more, without consequence: its soft value is the last state's reward.
        q = _soft(mdp, np.repeat((features @ weights)[:, None], mdp.actions, axis=1), horizon + 1)
        policy = softmax(q[:-1], axis=-1)
        return q[0], policy, occupancy(mdp, policy, horizon=horizon)

    def dual(weights: Array) -> tuple[float, Array]:
        first, _, seen = soft(weights)
        return float(mdp.start @ _value(first) - visits @ features @ weights), features.T @ (seen - visits)

    options = {"gtol": tolerance, "ftol": 0.0, "maxiter": iterations}
    bounds = [(-LARGEST, LARGEST)] * features.shape[1]
    found = minimize(dual, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    _, policy, seen = soft(found)
    gap = float(np.abs(features.T @ (seen - visits)).max())
    return Fitted(features @ found, policy, seen, gap, gap <= tolerance)


def _crossing(slope: Callable[[float], float], bound: float, tie: float) -> tuple[float, bool]:
    """Where in [-bound, bound] a falling slope is 0, and whether that is an end; 0 where it is 0 throughout."""
    least, most = slope(bound), slope(-bound)
    if most - least <= tie:
        return 0.0, False
    if least >= -tie or most <= tie:
        return float(np.copysign(bound, least + most)), True
    ends = (0.0, float(np.copysign(bound, slope(0.0))))
    return float(root_scalar(slope, bracket=ends, method="brentq", maxiter=1000).root), False


def _soft(mdp: MDP, reward: Array, horizon: int | None) -> Array:
    """[S, A] or [horizon, S, A]: q = r + g E v(S') with v = log mean exp q, for r = βE R [S, A]."""
    g, transitions = mdp.discount, mdp.transitions
    if horizon is None:
        return reward + g * transitions @ _soft_fixed_point(mdp, reward)
    q = [reward] * _whole(horizon)
    for t in reversed(range(len(q) - 1)):
        q[t] = reward + g * transitions @ _value(q[t + 1])
    return np.stack(q)


def _soft_fixed_point(mdp: MDP, reward: Array) -> Array:
    """[S]: v = log mean exp (r + g E v(S')), by Newton's method, which climbs since the right side is convex in v."""
    g, value = mdp.contracting(), np.zeros(mdp.states)
    rounding = np.finfo(float).eps * mdp.states / (1 - g)
    while True:
        q = reward + g * mdp.transitions @ value
        kernel = g * np.einsum("sa,sat->st", softmax(q, axis=1), mdp.transitions)
        after = value + np.linalg.solve(np.eye(mdp.states) - kernel, _value(q) - value)
        change, value = np.abs(after - value).max(), after
        if change <= rounding * (1 + np.abs(value).max()):
            return value


def _value(q: Array) -> Array:
    """[..., S]: v = log mean exp q over actions."""
    return np.asarray(logsumexp(q, axis=-1)) - log(q.shape[-1])


def _performance(mdp: MDP, reward: Array, policy: Any, horizon: int | None) -> float:
    """J: the return of a policy from the start, over a finite or an infinite horizon."""
    if horizon is None:
        return mdp.performance(reward, policy)
    value = np.zeros(mdp.states)
    for step in _decisions(mdp, policy, horizon)[::-1]:
        value = (step * mdp.action_value(reward, value)).sum(axis=1)
    return float(mdp.start @ value)


def _decisions(mdp: MDP, policy: Any, horizon: int) -> Array:
    """[horizon, S, A]: a policy for each step."""
    shape = (_whole(horizon), mdp.states, mdp.actions)
    each = np.ndim(policy) == 3
    return np.broadcast_to(distribution(policy, "a policy", shape if each else shape[1:]), shape)


def _steps(mdp: MDP, horizon: int | None) -> float:
    """Σ g^t over the decisions."""
    if horizon is None:
        return 1 / (1 - mdp.contracting())
    return float((mdp.discount ** np.arange(_whole(horizon))).sum())


def _whole(horizon: int) -> int:
    if isinstance(horizon, bool) or horizon != int(horizon) or horizon < 1:
        raise wrong(
            expected="a horizon of 1, 2, .. decisions", got=f"{horizon}", do="Leave it out for an infinite one."
        )
    return int(horizon)
