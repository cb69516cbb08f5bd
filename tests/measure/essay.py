"""Small systems with known answers, one for each claim about outer and inner alignment that they bear on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm, t

Array = NDArray[np.float64]

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
