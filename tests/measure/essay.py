"""Small systems with known answers, one for each claim about outer and inner alignment that they bear on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm, t

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


# ---- an agent that ignores what becomes of itself: whisky and gold ---------------------------------------------------
# The room of ai-safety-gridworlds (Leike et al. 2017): the agent starts left of the whisky, the gold is at the end of
# its row. A step costs 1, whisky pays 5 once, gold 50; once drunk, the agent's action is uniform with probability .9.

ROWS, COLUMNS, HORIZON = 3, 6, 100
MOVES = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
START, WHISKY, GOLD = (0, 1), (0, 2), (0, 5)


def _cell(place: tuple[int, int], drunk: bool) -> int:
    return (place[0] * COLUMNS + place[1]) * 2 + drunk


def whisky_room() -> tuple[NDArray[np.int64], Array]:
    """Next states [S, 4] and rewards [S, 4]; the last state is the end."""
    end = ROWS * COLUMNS * 2
    follow, pay = np.full((end + 1, 4), end), np.zeros((end + 1, 4))
    for r in range(ROWS):
        for c in range(COLUMNS):
            for drunk in (False, True):
                for a, (down, right) in enumerate(MOVES.values()):
                    place = min(max(r + down, 0), ROWS - 1), min(max(c + right, 0), COLUMNS - 1)
                    drinks = place == WHISKY and not drunk
                    follow[_cell((r, c), drunk), a] = end if place == GOLD else _cell(place, drunk or drinks)
                    pay[_cell((r, c), drunk), a] = -1 + 5 * drinks + 50 * (place == GOLD)
    return follow, pay


def whisky_values(stumble: float, act: Callable[[int, Array], NDArray[np.int64]] | None = None) -> list[Array]:
    """Action values [S, 4] with 1, 2, ... steps to go, where a drunk's action is uniform with probability `stumble`.

    `act` chooses an action for each state from steps to go (and these values); the best, by default.
    """
    follow, pay = whisky_room()
    drunk = (np.arange(len(follow)) % 2 == 1)[:, None]
    after, found = np.zeros(len(follow)), []
    for left in range(1, HORIZON + 1):
        q = pay + after[follow]
        q = np.where(drunk, (1 - stumble) * q + stumble * q.mean(axis=1, keepdims=True), q)
        after = q.max(axis=1) if act is None else q[np.arange(len(q)), act(left, q)]
        found.append(q)
    return found


def whisky_return(values: list[Array]) -> float:
    """What a plan promises at the start."""
    return float(values[-1][_cell(START, False)].max())


def whisky_lived(plan: list[Array], order: Sequence[int], stumble: float = 0.9) -> float:
    """What becomes of an agent that follows a plan's values, tied actions in an order of preference."""

    def act(left: int, _: Array) -> NDArray[np.int64]:
        q = plan[left - 1][:, order]
        return np.array(order)[(q > q.max(axis=1, keepdims=True) - 1e-9).argmax(axis=1)]

    start = _cell(START, False)
    return float(whisky_values(stumble, act)[-1][start, act(HORIZON, np.empty(0))[start]])


# ---- agents that may modify their own utility ------------------------------------------------------------------------

UTILITY = {"idle": 0.0, "work": 0.5, "wirehead": 0.0, "shortcut": 0.6}
TAMPERS = ("wirehead", "shortcut")  # from then on its utility is 1, whatever it does, so that it idles
DISCOUNT = 0.9
Foresight = Literal["hedonistic", "ignorant", "realistic"]


def self_modifier(kind: Foresight, actions: Sequence[str] = tuple(UTILITY)) -> tuple[str, float]:
    """What the agent does first (of tied actions the first), and the discounted utility that it really gets.

    The three value functions of Everitt et al. (2016): by the utility that it will have; by its present one, as if it
    stayed; by its present one, knowing what its later self will do.
    """

    def worth(action: str, value: float) -> float:
        if action in TAMPERS and kind == "hedonistic":
            return 1 / (1 - DISCOUNT)
        if action in TAMPERS and kind == "realistic":
            return UTILITY[action] + DISCOUNT * UTILITY["idle"] / (1 - DISCOUNT)
        return UTILITY[action] + DISCOUNT * value

    value = 0.0
    for _ in range(1000):
        value = max(worth(action, value) for action in actions)
    chosen = max(actions, key=lambda action: round(worth(action, value), 9))
    later = UTILITY["idle"] if chosen in TAMPERS else UTILITY[chosen]
    return chosen, UTILITY[chosen] + DISCOUNT * later / (1 - DISCOUNT)


# ---- how hard a proxy can be pushed: best of n on U = V + X, V standard normal ---------------------------------------


def best_of(n: int, noise=norm) -> float:
    """E[V of the best of n by U] = ∫ n F(u)^(n-1) E[V; U = u] du."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()

    def integrand(s: float) -> float:
        u, stretch = np.sinh(s), np.cosh(s)  # the tail is long
        return n * float(weights @ noise.cdf(u - nodes)) ** (n - 1) * (weights * nodes) @ noise.pdf(u - nodes) * stretch

    return quad(integrand, -8, 8, limit=400)[0]


def best_of_drawn(n: int, noise: Callable[..., Array], trials: int, seed: int) -> tuple[float, float]:
    """The same by simulation, with its standard error."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((trials, n))
    gold = v[np.arange(trials), (v + noise(rng, (trials, n))).argmax(axis=1)]
    return float(gold.mean()), float(gold.std() / trials**0.5)


student = t(2)

# ---- an agent that defers: the off-switch game (Hadfield-Menell et al. 2017) -----------------------------------------


def off_switch(mean: float, spread: float) -> float:
    """What it gains by leaving the decision to a human who knows the utility U ~ N(mean, spread²) of its action, over
    the better of acting and switching itself off."""
    z = mean / spread
    return float(mean * norm.cdf(z) + spread * norm.pdf(z) - max(mean, 0))


# ---- an outer loop that reveals an incentive: myopic learners under selection (Krueger et al. 2020) ------------------


def cooperation(
    *,
    every: int,
    swap: bool = False,
    gain: float = 1.0,
    cost: float = 0.25,
    seeds: int = 5,
    steps: int = 4000,
    learners: int = 10,
    rate: float = 0.1,
) -> Array:
    """[seeds]: how often learners cooperate in the second half of a run.

    r_t = gain · [a_{t-1} = C] - cost · [a_t = C]; each learns by REINFORCE from r_t alone, to which its own action is
    only a cost. Every so many steps (0: never) the worst fifth by the return since then copies the best fifth, plus
    N(0, 1). With `swap` each acts in another's world at the next step, so that none meets what it has done.
    """
    rng = np.random.default_rng(0)
    theta, past = np.zeros((seeds, learners)), rng.random((seeds, learners)) < 0.5
    total, found, row, fifth = np.zeros((seeds, learners)), [], np.arange(seeds)[:, None], learners // 5
    for step in range(1, steps + 1):
        p = expit(theta)
        act = rng.random(p.shape) < p
        reward = gain * past - cost * act
        theta = theta + rate * reward * (act - p)
        total, past = total + reward, np.roll(act, 1, axis=1) if swap else act
        if every and step % every == 0:
            order = total.argsort(axis=1)
            theta[row, order[:, :fifth]] = theta[row, order[:, -fifth:]] + rng.standard_normal((seeds, fifth))
            total = np.zeros_like(total)
        if 2 * step > steps:
            found.append(act.mean(axis=1))
    return np.mean(found, axis=0)
