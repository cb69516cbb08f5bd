"""Which constant learning rate and q serve the human best, on seeds that no arm of a study shares.

Every pair of the grid is lived under a rule that never changes, and H is read as the meter `performance` reads it at
the end. Run as `python scripts/best_constant.py preset=language` (any words of the command line; seeds 1000 to 1007,
unless `seed=` and `seeds=` say otherwise); the table shows H, its mean over seeds with a 95 % interval.
"""

from __future__ import annotations

import sys
from itertools import product

from sandbox.compose import composed
from sandbox.experiment import build_loop
from sandbox.identity import seeds_of
from sandbox.measure.interval import Interval, interval

LR, Q = (0.1, 0.3, 0.6, 1.0), (0.05, 0.2, 0.4, 0.7)


def served(words: list[str], lr: float, q: float) -> Interval:
    """H at the end of lives under the constants `lr` and `q`."""
    config = composed(["seed=1000", *words, "meta_learner=none", f"rule.lr={lr}", f"rule.q={q}"])
    config["meter"] = {"performance": config["meter"]["performance"] | {"every": config["steps"]}}
    *_, last = build_loop(config).run(seeds_of(config), config["steps"])
    return interval(last.readings["performance/human"].tolist())


def main(words: list[str]) -> None:
    """Print the table, each cell as soon as it is known."""
    print(f"{' '.join(words)}: H by rule.lr (down) and rule.q (across)")
    print(f"{'':<8}" + "".join(f"{q:<24}" for q in Q), flush=True)
    found: dict[tuple[float, float], float] = {}
    for lr, q in product(LR, Q):
        human = served(words, lr, q)
        found[lr, q] = human.mean
        print(f"{lr:<8}" if q == Q[0] else "", end="")
        print(f"{f'{human.mean:.4f} [{human.low:.4f}, {human.high:.4f}]':<24}", end="", flush=True)
        print(end="\n" if q == Q[-1] else "", flush=True)
    lr, q = max(found, key=lambda at: found[at])
    print(f"the best: rule.lr={lr} rule.q={q}")


if __name__ == "__main__":
    main(sys.argv[1:])
