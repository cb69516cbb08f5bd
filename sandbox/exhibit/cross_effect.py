"""What a fix of one half of alignment does to the other half: two fixes, two legs of the string, and sham fixes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from sandbox.core.exhibit import Measured
from sandbox.exhibit.bits import BITS, TRAINING, descend, extrapolated, law, risk
from sandbox.exhibit.bits import empirical as least_mean
from sandbox.exhibit.lavaland import Lavaland, drawn
from sandbox.measure.array import Array
from sandbox.measure.behaviour import ranks
from sandbox.measure.distance import chord

NONE = 1e-3  # a matrix whose entries sum to less has no shares


@dataclass(frozen=True)
class Legs:
    """[behaviours] each: how the human, the process in its own words, the process as it is read, and the agent score
    one set of behaviours in deployment. A literal agent reads the process in its own words."""

    human: Array
    words: Array
    read: Array
    agent: Array

    @property
    def distances(self) -> Array:
        """[2]: the outer leg, from the human to the process as it is read, and the inner leg, from the process in its
        own words to the agent; rank-chord distances."""
        return np.array([chord(ranks(self.human), ranks(self.read)), chord(ranks(self.words), ranks(self.agent))])


@dataclass(frozen=True)
class CrossEffect:
    """Two systems, each before and after a fix, in `worlds` worlds a seed, and the same `behaviours` of deployment.

    The outer fix is made in two-bit environments: the process comes to penalise the variance of risks (`strength`),
    and the agent is what is trained by it. The inner fix is made in Lavaland: the agent comes to read the same reward
    in its context. E[u, v] is the mean change of leg v by fix u.

    Arms: `real`, both fixes; `cosmetic`, the same objective three times as large, in two-bit environments with an agent
    that was trained from elsewhere; `relabelled`, the real fixes with before and after exchanged at random, world by
    world; `cautious`, the real outer fix, and an agent that became as cautious without reading anything. Each reads the
    entries of E (`outer_outer`, `outer_inner`, `inner_outer`, `inner_inner`); `cross`,
    |outer_inner| + |inner_outer|; and `chi`, its share of all four (0 where there is no effect).
    """

    worlds: int = 8
    behaviours: int = 256
    strength: float = 1e4
    spread: float = 0.03
    beta: float = 50.0

    def measure(self, seed: int) -> Measured:
        rng, signs = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
        shift = rng.uniform(-1, 1, size=(self.worlds, 3)) * self.spread * (seed > 0)
        outer = [self.environments(rng, shift[k]) for k in range(self.worlds)]
        inner = [self.lava(rng) for _ in range(self.worlds)]
        each = {"real": effects(outer, inner, 1, 1), "cosmetic": effects(outer, inner, 2, 2),
                "cautious": effects(outer, inner, 1, 3)}  # fmt: skip
        each["relabelled"] = each["real"] * signs.choice([-1, 1], size=(2, self.worlds, 1))
        return {arm: matrix(effect.mean(axis=1)) for arm, effect in each.items()}

    def environments(self, rng: np.random.Generator, shift: Array) -> tuple[Legs, Legs, Legs]:
        """The two-bit legs before the outer fix, after it, and after a sham."""
        training, test = tuple(np.array(TRAINING) + shift[:2]), 0.9 + shift[2]
        mean = lambda w: float(np.mean([risk(w, e) for e in training]))  # noqa: E731
        spread = lambda w: mean(w) + self.strength * (risk(w, training[0]) - risk(w, training[1])) ** 2  # noqa: E731
        before = least_mean(training)
        after = extrapolated(self.strength, training) if self.strength else before
        again, count = descend(lambda w: 3 * mean(w), (-1.0, 0.5)), self.behaviours // 4
        near = [end + 0.3 * rng.normal(size=(count, 2)) for end in (before, after, [np.log(3), -np.log(9)])]
        points = np.concatenate([2 * rng.normal(size=(self.behaviours - 3 * count, 2)), *near])

        def legs(process: Callable[[Array], float], agent: Array) -> Legs:
            human = np.array([-risk(w, test) for w in points])
            words = np.array([-process(w) for w in points])
            return Legs(human, words, words, np.array([believed(agent, w, test) for w in points]))

        return legs(mean, before), legs(spread, after), legs(lambda w: 3 * mean(w), again)

    def lava(self, rng: np.random.Generator) -> tuple[Legs, Legs, Legs, Legs]:
        """Lavaland's legs before the inner fix, after it, after a sham, and after caution alone."""
        setting = Lavaland(beta=self.beta)
        training, land = (drawn(rng, setting.discount, lava=lava) for lava in (False, True))
        rewards, _, _ = setting.read(training, land, rng)
        weights = rng.normal(size=(self.behaviours - 3, 4)) @ land.features.T
        chosen = np.stack([rewards[arm] for arm in ("literal", "context", "oracle")])
        moves = land.plan(np.concatenate([weights, chosen]))
        score = {arm: land.mean(moves, reward) for arm, reward in rewards.items()}
        far = land.mean(moves, rewards["literal"] * 3)

        def legs(read: Array, words: Array = score["literal"]) -> Legs:
            return Legs(score["oracle"], words, read, read)

        return legs(score["literal"]), legs(score["context"]), legs(far, far), legs(score["caution"])


def believed(agent: Array, w: Array, error: float) -> float:
    """How an agent with weights [2] scores another by what it believes of labels in an environment: the mean log
    likelihood of its own beliefs."""
    belief, logit = expit(BITS @ agent), BITS @ w
    return -float(law(error) @ (belief * np.logaddexp(0, -logit) + (1 - belief) * np.logaddexp(0, logit)))


def effects(outer: Sequence[Sequence[Legs]], inner: Sequence[Sequence[Legs]], one: int, other: int) -> Array:
    """[2, worlds, 2]: by how much the two legs grew, from the first of each system's legs to the one of that number."""
    pairs = ((outer, one), (inner, other))
    return np.array([[legs[to].distances - legs[0].distances for legs in fix] for fix, to in pairs])


def matrix(effect: Array) -> dict[str, float]:
    """What E [2, 2] reads."""
    names = ("outer_outer", "outer_inner", "inner_outer", "inner_inner")
    cross, total = float(abs(effect[0, 1]) + abs(effect[1, 0])), float(np.abs(effect).sum())
    entries = dict(zip(names, map(float, effect.ravel()), strict=True))
    return {**entries, "cross": cross, "chi": cross / total if total > NONE else 0.0}
