"""How far apart two rewards are: the STARC, minimal-L2, EPIC and DARD distances between tabular objectives.

Each takes a reward to its canonical vector, of length 1, which forgets what the distance calls irrelevant; a reward
that prefers nothing (trivial: constant, or shaping alone) goes to exactly 0. Half the chord between two such vectors
is the distance: sin(angle / 2), in [0, 1], a pseudometric. 0 is the same objective, 1 the opposite one, √½ unrelated
ones; 1/2 is what a trivial reward has to every other, so look at `trivial` before reading anything into 1/2.

| distance | ignores | needs |
|---|---|---|
| STARC | positive scale, shaping, moving reward between next states of equal mean (redistribution) | T, g ≤ .999 |
| minimal-L2 | the same | T |
| EPIC | positive scale, shaping, a constant; nothing that depends on T | a coverage |
| DARD | positive scale, shaping, a constant | T, a coverage |

Shaping is R + g φ(s') - φ(s) (Ng, Harada and Russell 1999). Where parts of the world never reach each other, a
constant paid in one part is shaping there and no policy can earn or lose it: STARC, minimal-L2 (at g < 1) and DARD
ignore it, EPIC does not, since it also averages over transitions that can't happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import block_diag, null_space, orth
from scipy.spatial.distance import pdist, squareform

from sandbox.measure.array import Array, array, distribution
from sandbox.measure.error import wrong
from sandbox.measure.mdp import MDP, ROUNDING


@dataclass(frozen=True)
class Ensemble:
    """What an ensemble of objectives says about one distance: its smallest, its mean, its largest."""

    low: float
    mean: float
    high: float


def starc(mdp: MDP, a: Any, b: Any, *, policy: Any = None) -> float:
    """STARC distance with the VAL canonicalisation and the L2 norm (Skalse et al. 2024); see `starc_canonical`."""
    return chord(starc_canonical(mdp, a, policy=policy), starc_canonical(mdp, b, policy=policy))


def minimal_l2(mdp: MDP, a: Any, b: Any) -> float:
    """STARC distance with the minimal L2 canonicalisation (Skalse et al. 2024); see `minimal_l2_canonical`."""
    return chord(minimal_l2_canonical(mdp, a), minimal_l2_canonical(mdp, b))


def epic(mdp: MDP, a: Any, b: Any, *, coverage: Any = None) -> float:
    """EPIC distance (Gleave et al. 2021), √((1 - ρ)/2) for Pearson's ρ; see `epic_canonical`."""
    return chord(epic_canonical(mdp, a, coverage=coverage), epic_canonical(mdp, b, coverage=coverage))


def dard(mdp: MDP, a: Any, b: Any, *, coverage: Any = None) -> float:
    """DARD distance (Wulfe et al. 2022), √((1 - ρ)/2) for Pearson's ρ; see `dard_canonical`."""
    return chord(dard_canonical(mdp, a, coverage=coverage), dard_canonical(mdp, b, coverage=coverage))


def starc_canonical(mdp: MDP, reward: Any, *, policy: Any = None) -> Array:
    """[S, A]: the policy's advantage, E[R + g V(S')] - V(s), to length 1, all (s, a) weighing alike.

    `policy` [S, A] is the uniform one by default; keep it, and the discount, for all that is to be compared. Raises
    for one that leaves an action out, whose advantage would then be measured against a baseline that never saw it.
    """
    policy = _full_support(mdp, policy)
    value = mdp.value(reward, policy)
    return unit(mdp.action_value(reward, value) - value[:, None], mdp.size(reward))


def starc_basis(mdp: MDP, *, policy: Any = None) -> Array:
    """[S (A - 1), S, A]: an orthonormal basis of all advantages, those whose mean under the policy is 0 everywhere."""
    rows = block_diag(*(null_space(row[None]).T for row in _full_support(mdp, policy)))
    return np.asarray(rows).reshape(-1, mdp.states, mdp.actions)


def minimal_l2_canonical(mdp: MDP, reward: Any) -> Array:
    """[S, A]: the mean reward less its orthogonal projection on all shapings, to length 1."""
    flat, shapings = mdp.mean_reward(reward).ravel(), orth(_shapings(mdp))
    return unit((flat - shapings @ (shapings.T @ flat)).reshape(mdp.states, mdp.actions), mdp.size(reward))


def minimal_l2_basis(mdp: MDP) -> Array:
    """[k, S, A]: an orthonormal basis of what is orthogonal to all shapings; k = S (A - 1) for g < 1."""
    return null_space(_shapings(mdp).T).T.reshape(-1, mdp.states, mdp.actions)


def epic_canonical(mdp: MDP, reward: Any, *, coverage: Any = None) -> Array:
    """[S, A, S]: R(s, a, s') + g m(s') - m(s), m(s) = E R(s, A, S') with A and S' uniform, centred, to length 1.

    `coverage` [S, A, S] sums to 1 and weighs the transitions, `feasible` by default. Only the default needs the
    dynamics, so give one where they differ between the things compared.
    """
    reward = mdp.reward(reward)
    mean = reward.mean(axis=(1, 2))
    return _standard(mdp, reward + mdp.discount * mean - mean[:, None, None], reward, coverage)


def dard_canonical(mdp: MDP, reward: Any, *, coverage: Any = None) -> Array:
    """[S, A, S]: R(s, a, s') + E[g R(s', A, S'') - R(s, A, S') - g R(S', A, S'')], centred, to length 1.

    A is uniform and one and the same in all terms; S' ~ T(s, A), S'' ~ T(s', A). `coverage` as in `epic_canonical`.
    """
    reward, g, share = mdp.reward(reward), mdp.discount, 1 / mdp.actions
    mean = mdp.mean_reward(reward).mean(axis=1)
    follow = share * np.einsum("sau,tav,uav->st", mdp.transitions, mdp.transitions, reward, optimize=True)
    shift = g * mean - mean[:, None] - g * follow
    return _standard(mdp, reward + shift[:, None, :], reward, coverage)


def feasible(mdp: MDP) -> Array:
    """[S, A, S]: the coverage T / (S A), every state and action alike and what follows as the world has it."""
    return mdp.transitions / (mdp.states * mdp.actions)


def chord(x: Array, y: Array) -> float:
    """In [0, 1]: half the length of x - y, for canonical vectors of one shape."""
    apart = array(x, "a canonical vector") - array(y, "a canonical vector", np.shape(x))
    return min(1.0, float(np.linalg.norm(apart)) / 2)


def pairwise(canonical: Sequence[Array] | Array) -> Array:
    """[N, N]: the distance of every two of N canonical vectors."""
    stack = array(canonical, "canonical vectors")
    if stack.ndim < 2:
        raise wrong(expected="canonical vectors [N, ...]", got=f"{list(stack.shape)}", do="Pass a list of them.")
    return np.minimum(1.0, squareform(pdist(stack.reshape(len(stack), -1))) / 2)


def trivial(canonical: Array) -> bool:
    """Whether the reward behind a canonical vector prefers nothing."""
    return not np.any(canonical)


def ensemble(distances: Any) -> Ensemble:
    """d(H_1, X) .. d(H_m, X) [m] of an ensemble of objectives, as smallest, mean and largest."""
    found = array(distances, "distances", [None])
    if not len(found):
        raise wrong(expected="one distance at least", got="none", do="Pass the distance of each member.")
    return Ensemble(float(found.min()), float(found.mean()), float(found.max()))


def unit(vector: Array, size: float) -> Array:
    """`vector` to length 1, or exactly 0 where its length is no more than rounding of numbers of that size."""
    scaled = vector / (size or 1.0)
    length = float(np.linalg.norm(scaled))
    return scaled / length if length > ROUNDING else np.zeros_like(vector)


def _standard(mdp: MDP, canonical: Array, reward: Array, coverage: Any) -> Array:
    """Centred and to length 1 under a coverage: half the chord of two of these is √((1 - ρ)/2)."""
    weight = feasible(mdp)
    if coverage is not None:
        flat = array(coverage, "a coverage", weight.shape).ravel()
        weight = distribution(flat, "a coverage", [None]).reshape(weight.shape)
    return unit(np.sqrt(weight) * (canonical - (weight * canonical).sum()), float(np.abs(reward).max()))


def _full_support(mdp: MDP, policy: Any) -> Array:
    found = mdp.uniform if policy is None else mdp.policy(policy)
    if not (found > 0).all():
        raise wrong(expected="a policy that takes every action in every state now and then",
                    got=f"{(found == 0).sum()} probabilities of 0",
                    do="Mix some of the uniform policy in.")  # fmt: skip
    return found


def _shapings(mdp: MDP) -> Array:
    """[S A, S]: the potential φ to what it adds to the mean reward, g E φ(S') - φ(s)."""
    leaves = np.eye(mdp.states)[:, None, :]
    return (mdp.discount * mdp.transitions - leaves).reshape(-1, mdp.states)
