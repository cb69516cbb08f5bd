"""A proxy pressed ever harder in worlds of a few states, and a rule that stops before the human can lose by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import acos, cos, pi, sin

import numpy as np

from sandbox.core.error import ConfigError, explain
from sandbox.core.exhibit import Measured
from sandbox.measure.array import Array
from sandbox.measure.distance import chord, minimal_l2_canonical
from sandbox.measure.mdp import MDP
from sandbox.measure.regret import usefulness
from sandbox.measure.revealed import soft_policy

GRID = np.concatenate([[0.0], np.geomspace(0.02, 50, 24)])  # inverse temperatures, where a step's rewards spread by 1
LOST = 1e-9  # a usefulness that far below the start is lost, not rounded away


@dataclass(frozen=True)
class PressedProxy:
    """Soft-optimal agents of rising inverse temperature on a reward P whose angle to the human's H is drawn between
    `least` and `most` degrees, in `worlds` random MDPs a seed, each with its own dynamics, H and angle.

    Arms: `pressed` goes on to the largest inverse temperature; `best` stops where H is highest, which only H can tell;
    `stopped` stops by a rule that knows the angle and not H (see `stopping_point`), `told` times the true angle. Reads,
    as means over worlds: `human`, the usefulness by H at the end; `start`, that of no pressure (0: acting at random);
    `drop`, how far `human` is below its highest on the way; `fell`, the share of worlds in which it is so by over .01;
    `lost`, the share in which the end is worse by H than the start; `went`, the share of the way that was gone.

    Goodhart's law in tabular worlds is as in Karwowski et al. (2024), who stop where an angle says so, too.
    """

    worlds: int = 8
    states: int = 20
    actions: int = 4
    discount: float = 0.9
    least: float = 36.0
    most: float = 108.0
    told: float = 1.0

    def __post_init__(self) -> None:
        if self.worlds < 1 or not 0 <= self.least <= self.most <= 180:
            raise ConfigError(explain(expected="one world or more, and 0 ≤ least ≤ most ≤ 180 degrees", got=f"{self}",
                                      do="180 degrees is the opposite of H."))  # fmt: skip

    def measure(self, seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        lived = [self._world(rng) for _ in range(self.worlds)]
        return {arm: _readings([(course, stops[arm]) for course, stops in lived])
                for arm in ("pressed", "best", "stopped")}  # fmt: skip

    def _world(self, rng: np.random.Generator) -> tuple[Array, dict[str, int]]:
        """The course of usefulness by H along the grid, and where each arm stops on it."""
        shape = self.states, self.actions, self.states
        mdp = MDP(rng.dirichlet(np.full(self.states, 0.1), shape[:2]), self.discount)
        human, other = (minimal_l2_canonical(mdp, rng.standard_normal(shape[:2])) for _ in range(2))
        across = other - np.vdot(other, human) * human
        angle = np.radians(rng.uniform(self.least, self.most))
        proxy = cos(angle) * human + sin(angle) * across / np.linalg.norm(across)
        agents = [soft_policy(mdp, proxy / np.ptp(proxy), beta) for beta in GRID]
        course = np.array([usefulness(mdp, human, agent) for agent in agents])
        visits = [mdp.occupancy(agent)[:, None] * agent for agent in agents]
        known = self.told * angle_between(mdp, human, proxy)
        stops = {
            "pressed": len(GRID) - 1,
            "best": int(course.argmax()),
            "stopped": stopping_point(proxy, visits, known),
        }
        return course, stops


def angle_between(mdp: MDP, a: Array, b: Array) -> float:
    """In [0, π]: the angle of two rewards once shaping is projected away; 2 arcsin of their minimal-L2 distance."""
    apart = chord(minimal_l2_canonical(mdp, a), minimal_l2_canonical(mdp, b))
    return acos(1 - 2 * apart**2)


def stopping_point(proxy: Array, visits: Sequence[Array], angle: float) -> int:
    """How many steps may be taken along `visits` [steps + 1][S, A] without any H within `angle` of P losing.

    Derivation. The return by R is R · η, for the discounted visits η of state-action pairs. Differences Δ of visits lie
    in the space that is orthogonal to all shapings, so that only the parts of H and P in it matter, and `angle` is that
    of those parts; `proxy` is such a part. H · Δ = |H| |Δ| cos(H, Δ), and angles obey the triangle inequality:
    angle(H, Δ) ≤ angle(H, P) + angle(P, Δ). So H gains by every step for which angle(P, Δ) ≤ π/2 - angle, and where it
    is larger some H within `angle` of P (in the plane of P and Δ) loses. The rule takes steps while that holds: by H no
    step is a loss, whichever H it is. From π/2 on no step is safe.
    """
    for step in range(len(visits) - 1):
        change = visits[step + 1] - visits[step]
        towards = float(np.vdot(proxy, change) / (np.linalg.norm(proxy) * np.linalg.norm(change)))
        if acos(min(1.0, max(-1.0, towards))) > pi / 2 - angle:
            return step
    return len(visits) - 1


def _readings(lived: Sequence[tuple[Array, int]]) -> dict[str, float]:
    ends = np.array([course[stop] for course, stop in lived])
    starts = np.array([course[0] for course, _ in lived])
    drops = np.array([course[: stop + 1].max() - course[stop] for course, stop in lived])
    return {"human": float(ends.mean()), "start": float(starts.mean()), "drop": float(drops.mean()),
            "fell": float((drops > 0.01).mean()), "lost": float((ends < starts - LOST).mean()),
            "went": float(np.mean([stop / (len(course) - 1) for course, stop in lived]))}  # fmt: skip
