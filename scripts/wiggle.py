"""How the midpoint of the string stiffens: the wiggle of processes that serve a human in 1, 2, .. 16 worlds.

One draw is a human's state reward and 16 random worlds of 4 states and 2 actions. In each of the first K worlds an
agent is trained to be optimal for the process there; a process serves where no agent's regret exceeds epsilon. Run as
`python scripts/wiggle.py [draws] [samples] [seed]`; the table shows means over draws with 95 % intervals. All K and
epsilon of a draw share one sample of processes. Two processes are compared up to shift and scale.
"""

from __future__ import annotations

import sys

from sandbox.exhibit.wiggle import draw, remembered_regret
from sandbox.measure.interval import Interval, interval
from sandbox.measure.mdp import MDP
from sandbox.measure.string import Wiggle, state_basis, wiggle_lower_bound

DRAWS, SAMPLES = 30, 4000
STATES, ACTIONS, DISCOUNT = 4, 2, 0.9
WORLDS = (1, 2, 4, 8, 16)
EPSILONS = (0.0, 0.02)


def wiggles(
    draws: int = DRAWS, samples: int = SAMPLES, seed: int = 0, *, discount: float = DISCOUNT
) -> dict[tuple[float, int], list[Wiggle]]:
    """By (epsilon, K), the wiggle of every draw."""
    found: dict[tuple[float, int], list[Wiggle]] = {(epsilon, k): [] for epsilon in EPSILONS for k in WORLDS}
    for number in range(draws):
        human, worlds = draw(seed, number, STATES, ACTIONS, WORLDS[-1], discount)
        loss = remembered_regret()
        for (epsilon, k), each in found.items():
            each.append(
                wiggle_lower_bound(
                    MDP.optimal,
                    human,
                    worlds[:k],
                    basis=state_basis(STATES),
                    epsilon=epsilon,
                    loss=loss,
                    samples=samples,
                    seed=number,
                )
            )
    return found


def main(draws: int = DRAWS, samples: int = SAMPLES, seed: int = 0) -> None:
    """Print the table."""
    found = wiggles(draws, samples, seed)
    print(f"{draws} draws, {samples} samples on the sphere, seed {seed}, discount {DISCOUNT}")
    print(f"{'epsilon':<9}{'K':<4}{'sampled':<24}{'climbed':<24}{'share':<24}")
    for (epsilon, k), each in found.items():
        columns = (interval([getattr(w, name) for w in each]) for name in ("sampled", "climbed", "share"))
        print(f"{epsilon:<9}{k:<4}" + "".join(f"{_told(column):<24}" for column in columns))


def _told(column: Interval) -> str:
    return f"{column.mean:.4f} [{column.low:.4f}, {column.high:.4f}]"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
