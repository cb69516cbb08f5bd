"""The string from human H to process P to agent A: how far it hangs through, and how far its midpoint can wiggle.

With x = d(H, P), y = d(P, A), w = d(H, A) of one metric, w ≤ x + y: that both legs are short is sufficient for an
aligned agent, not necessary. Slack says by how much it was not: the agent is nearer to the human than its legs tell.
Wiggle says how far apart two processes can be that give equally good agents, over all processes or to first order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from scipy.linalg import helmert

from sandbox.measure.array import Array, array
from sandbox.measure.distance import chord
from sandbox.measure.error import wrong
from sandbox.measure.mdp import MDP, ROUNDING
from sandbox.measure.regret import regret

TOLERANCE = 1e-7  # a distance taken from a correlation, √((1 - ρ)/2), is off by 1e-8 near 0
RADII = (0.03, 0.1, 0.3, 1.0)  # how far from a point to look, the point having length 1
NEAR = 8  # one candidate around H, at each radius, for so many on the whole sphere
STIFF = 1e-3  # a singular value below this share of the largest is a free direction

Train = Callable[[MDP, Array], Array]  # what becomes of an agent under a process: (world, reward) -> policy [S, A]
Loss = Callable[[MDP, Array, Array], float]  # what the human loses by it: (world, human, policy) -> number


@dataclass(frozen=True, eq=False)
class Wiggle:
    """Lower bounds, in [0, 1], of the largest distance of two processes that both serve the human: 0 where only one
    was found, 1 for opposite ones, NaN where none was (`infeasible`). `sampled` is the best pair of the sample,
    `climbed` ≥ `sampled` the pair after the climb, and `pair` [2, ...] that pair. `share` in [0, 1] is the part of the
    sphere of objectives that serves the human; `found` counts all that were found, those near H included.

    `sampled`, `share` and `found` can only rise with epsilon and fall with more worlds, other arguments equal;
    `climbed` can't be held to that. Compare only what has one dimension and sample size."""

    sampled: float
    climbed: float
    share: float
    found: int
    pair: Array

    @property
    def infeasible(self) -> bool:
        """No process was found that serves the human."""
        return self.found == 0


@dataclass(frozen=True, eq=False)
class LocalFreedom:
    """`singular` values [n_P] of dA/dP, falling. `free` of the n_P directions move the agent by less than 1/1000 of
    what the stiffest one does. `share` in [0, 1] is what is missing to all of them being as stiff as that: 0 where
    they are, 1 only where nothing of P reaches A."""

    singular: Array
    free: int
    share: float


def slack(x: float, y: float, w: float) -> float:
    """x + y - w ≥ 0 for x = d(H, P), y = d(P, A), w = d(H, A); 0 where A is no nearer to H than its legs say.

    Raises for three numbers that can't be distances of one metric.
    """
    x, y, w = _triangle(x, y, w)
    return max(0.0, x + y - w)


def indirectness(x: float, y: float, w: float) -> float:
    """In [0, 1]: slack as a share of x + y; 0 where P lies on the way from H to A (or all are one), 1 where A is H
    though P is not."""
    x, y, w = _triangle(x, y, w)
    return max(0.0, 1 - w / (x + y)) if x + y > TOLERANCE else 0.0


def state_basis(states: int) -> Array:
    """[S - 1, S]: an orthonormal basis of the state rewards of mean 0, which are compared up to shift and scale."""
    return helmert(states)


def wiggle_lower_bound(
    train: Train,
    human: Any,
    worlds: Sequence[MDP],
    *,
    basis: Any,
    epsilon: float = 0.0,
    loss: Loss = regret,
    samples: int = 4000,
    climbs: int = 200,
    seed: int = 0,
) -> Wiggle:
    """W ≥ how far apart two processes can be that both train to a loss of at most epsilon in every deployment world.

    `train(world, reward)` is called once for each world; an agent trained once and carried elsewhere ignores the
    world. `loss(world, human, policy)` is regret, or another, such as a distance of the human to what the policy
    reveals. `basis` [k, ...] spans canonical rewards orthonormally, such as `starc_basis`, `minimal_l2_basis` or
    `state_basis`, and `human` [...] is canonical itself; with worlds that differ take one that doesn't depend on them.
    The distance is half the chord on that unit sphere.

    `samples` points are drawn uniformly on the sphere and half as many around the human at four radii, besides the
    human itself. From the farthest feasible two of them `climbs` random steps go apart, each kept if it stays feasible.
    """
    basis = array(basis, "a basis")
    human = array(human, "the human's reward", basis.shape[1:])
    rows, centre = _coordinates(basis, human)
    if len({world.transitions.shape for world in worlds}) != 1:
        raise wrong(expected="worlds of the same states and actions, at least one", got=f"{len(worlds)} worlds",
                    do="Rewards are compared across them, so they need one space.")  # fmt: skip
    if samples < 1 or climbs < 0 or not epsilon >= 0:
        raise wrong(expected="samples ≥ 1, climbs ≥ 0 and epsilon ≥ 0", got=f"{samples}, {climbs} and {epsilon}",
                    do="Leave samples and climbs out; epsilon is a share of what the human can lose.")  # fmt: skip

    def serves(point: Array) -> bool:
        reward = (point @ rows).reshape(human.shape)
        return all(loss(world, human, train(world, reward)) <= epsilon + ROUNDING for world in worlds)

    candidates = _candidates(centre, samples, np.random.default_rng([seed, 0]))
    good = np.array([serves(point) for point in candidates])
    points = candidates[good]
    if not len(points):
        return Wiggle(nan, nan, 0.0, 0, np.zeros((0, *human.shape)))
    first = int(np.argmin([(points @ point).min() for point in points]))
    ends = points[[first, int((points @ points[first]).argmin())]]
    sampled, rng = chord(*ends), np.random.default_rng([seed, 1])
    for step in range(climbs):
        moving, other = ends[step % 2], ends[1 - step % 2]
        noise = rng.choice(RADII) * _on_sphere(rng.normal(size=moving.shape))
        after = _on_sphere(moving - np.sign(noise @ other) * noise)
        if chord(after, other) > chord(moving, other) and serves(after):
            ends[step % 2] = after
    pair = (ends @ rows).reshape(2, *human.shape)
    return Wiggle(sampled, chord(*ends), float(good[:samples].mean()), len(points), pair)


def local_freedom(jacobian: Any) -> LocalFreedom:
    """How many directions of P leave A as it is, to first order, from dA/dP [n_A, n_P], both canonical.

    The share is 1 - |D|² / (n_P s_1²), Frobenius norm, s_1 the largest singular value.
    """
    jacobian = array(jacobian, "a Jacobian", [None, None])
    if not jacobian.size:
        raise wrong(expected="a Jacobian [n_A, n_P]", got=f"{list(jacobian.shape)}", do="Both need a coordinate.")
    singular = np.zeros(jacobian.shape[1])  # what A has no coordinate for is free too
    found = np.linalg.svd(jacobian, compute_uv=False)
    singular[: len(found)] = found
    relative = singular / (singular[0] or 1.0)
    return LocalFreedom(singular, int((relative < STIFF).sum()), float(1 - np.square(relative).mean()))


def _triangle(x: float, y: float, w: float) -> tuple[float, float, float]:
    sides = array([x, y, w], "three distances", [3])
    if 2 * sides.max() > sides.sum() + TOLERANCE:
        raise wrong(expected="three distances of one metric, none above the sum of the others", got=f"{sides.tolist()}",
                    do="Take d(H, P), d(P, A) and d(H, A) by one distance, in one world, on one set.")  # fmt: skip
    return float(sides[0]), float(sides[1]), float(sides[2])


def _coordinates(basis: Array, human: Array) -> tuple[Array, Array]:
    """The basis as rows [k, n], and the human's reward in it [k], to length 1."""
    rows = basis.reshape(len(basis), -1) if basis.size else np.zeros((1, human.size))
    if not np.allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-8):
        raise wrong(expected="an orthonormal basis [k, ...]", got=f"{list(basis.shape)}, which is not",
                    do="Use scipy.linalg.orth, or one of the bases in distance.")  # fmt: skip
    point = rows @ human.ravel()
    if np.linalg.norm(human.ravel() - point @ rows) > TOLERANCE * np.linalg.norm(human):
        raise wrong(expected="the human's reward in canonical form", got="one that the basis doesn't span",
                    do="Pass the canonical form that belongs to the basis.")  # fmt: skip
    return rows, _on_sphere(point)


def _candidates(centre: Array, samples: int, rng: np.random.Generator) -> Array:
    """[N, k], of length 1: `samples` on the whole sphere, then some around the centre, then the centre."""
    sphere, near = rng.normal(size=(samples, len(centre))), -(-samples // NEAR)
    around = [centre + radius * _on_sphere(rng.normal(size=(near, len(centre)))) for radius in RADII]
    own = [centre[None]] if centre.any() else []
    return _on_sphere(np.concatenate([sphere, *around, *own]))


def _on_sphere(points: Array) -> Array:
    length = np.linalg.norm(points, axis=-1, keepdims=True)
    return points / np.where(length > 0, length, 1)
