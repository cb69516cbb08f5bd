"""How well each reward distance foretells regret: random worlds, pairs of rewards from equal to unrelated.

A pair is (R1, R): R is (1 - t) R1 + t R2 on the way to another random reward, then shaped by a random potential and
moved about between next states, neither of which changes what is optimal. Its regret is the mean of two: what the
optimal policy of either loses by the other, as a share of what there is to lose. All that is drawn is standard normal;
what is moved about is then scaled by an amount drawn for each pair, for the figures hang on it: the distances that see
it (EPIC, DARD) only fall behind where it varies or is large. Run as `python scripts/regret_correlation.py [worlds]
[seed]`; the table shows Pearson's and Spearman's correlation of distance and regret over all pairs, with a 95 %
interval from resampling whole worlds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sandbox.measure.array import Array
from sandbox.measure.distance import dard, epic, minimal_l2, starc
from sandbox.measure.mdp import MDP
from sandbox.measure.regret import regret

WORLDS, STATES, ACTIONS, DISCOUNT = 60, 16, 4, 0.95
MIXTURES = np.linspace(0, 1, 7)  # the first pair is the same objective, shaped and moved about
AMOUNTS = {"none": (0, 0), "the same": (1, 1), "any": (0, 2)}  # of reward moved about, uniform between the two
RESAMPLES = 2000
DISTANCES: dict[str, Callable[[MDP, Array, Array], float]] = {
    "STARC": starc,
    "minimal-L2": minimal_l2,
    "DARD": dard,
    "EPIC": epic,
}


def pairs(
    worlds: int, seed: int, amount: tuple[float, float], *, deterministic: bool = False
) -> tuple[dict[str, Array], Array]:
    """Each distance [worlds, mixtures] by name, and the regret [worlds, mixtures]."""
    found = {name: np.zeros((worlds, len(MIXTURES))) for name in DISTANCES}
    lost = np.zeros((worlds, len(MIXTURES)))
    for w in range(worlds):
        rng = np.random.default_rng([seed, w])
        dynamics = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
        mdp = MDP(np.eye(STATES)[dynamics.argmax(axis=2)] if deterministic else dynamics, DISCOUNT)
        first, second = rng.normal(size=(2, STATES, ACTIONS, STATES))
        for m, t in enumerate(MIXTURES):
            noise = rng.normal(size=first.shape)
            moved = rng.uniform(*amount) * (noise - mdp.mean_reward(noise)[:, :, None])
            other = mdp.shaped((1 - t) * first + t * second + moved, rng.normal(size=STATES))
            for name, distance in DISTANCES.items():
                found[name][w, m] = distance(mdp, first, other)
            lost[w, m] = (regret(mdp, first, mdp.optimal(other)) + regret(mdp, other, mdp.optimal(first))) / 2
    return found, lost


def correlation(distance: Array, lost: Array, *, ranked: bool = False) -> tuple[float, float, float]:
    """Pearson's correlation (Spearman's if `ranked`) of two [worlds, mixtures] and the ends of its 95 % interval."""
    order = rankdata if ranked else np.asarray
    return _resampled(lambda worlds: _agree(order(distance[worlds].ravel()), order(lost[worlds].ravel())), len(lost))


def lead(distance: Array, over: Array, lost: Array) -> tuple[float, float, float]:
    """By how much one distance correlates better than another, in the same worlds, and the ends of its interval."""

    def of(worlds: NDArray[np.int64]) -> float:
        regrets = lost[worlds].ravel()
        return _agree(distance[worlds].ravel(), regrets) - _agree(over[worlds].ravel(), regrets)

    return _resampled(of, len(lost))


def _agree(x: Array, y: Array) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _resampled(of: Callable[[NDArray[np.int64]], float], worlds: int) -> tuple[float, float, float]:
    draws = np.random.default_rng(0).integers(worlds, size=(RESAMPLES, worlds))
    low, high = np.quantile([of(draw) for draw in draws], [0.025, 0.975])
    return of(np.arange(worlds)), float(low), float(high)


def main(worlds: int = WORLDS, seed: int = 0) -> None:
    """Print one table for each amount, and one where the worlds are deterministic."""
    for name, amount in (*AMOUNTS.items(), ("any, deterministic worlds", AMOUNTS["any"])):
        found, lost = pairs(worlds, seed, amount, deterministic="deterministic" in name)
        print(f"moved about: {name}; {lost.size} pairs in {worlds} worlds, seed {seed}, regret {lost.mean():.3f}")
        for distance, values in found.items():
            cells = (correlation(values, lost, ranked=ranked) for ranked in (False, True))
            told = "  ".join(f"{at:.3f} [{low:.3f}, {high:.3f}]" for at, low, high in cells)
            print(f"  {distance:<12}Pearson, Spearman  {told}")
        at, low, high = lead(found["STARC"], found["EPIC"], lost)
        print(f"  STARC over EPIC, Pearson     {at:.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
