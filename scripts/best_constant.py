"""Which constant settings serve the human best, on seeds that no arm of a study shares.

Every point of a grid is lived under a rule that never changes, and H is read as the meter `performance` reads it at the
end. Words of the command line with several values, `KEY=A,B,…`, are the grid; the last of them goes across. Without any
it is `rule.lr=.1,.3,.6,1 rule.q=.05,.2,.4,.7`. Seeds are 1000 to 1007, unless `seed=` and `seeds=` say otherwise:

    python scripts/best_constant.py seeds=32 rule.lr=.1,.3,.6,1 rule.q=.05,.2,.4,.7,1

The table shows H, its mean over seeds with a 95 % interval; then the best point, and which others can't be told from
it: those whose difference from the best, paired by seed, has 0 within its 95 % interval.
"""

from __future__ import annotations

import sys
from itertools import product

from sandbox.compose import composed
from sandbox.experiment import build_loop
from sandbox.identity import seeds_of
from sandbox.measure.interval import interval, paired

GRID = ["rule.lr=.1,.3,.6,1", "rule.q=.05,.2,.4,.7"]
Point = tuple[str, ...]


def served(words: list[str]) -> list[float]:
    """H of each seed at the end of lives under the constants that the words set."""
    config = composed(["seed=1000", "seeds=8", *words, "meta_learner=none"])
    config["meter"] = {"performance": config["meter"]["performance"] | {"every": config["steps"]}}
    *_, last = build_loop(config).run(seeds_of(config), config["steps"])
    return last.readings["performance/human"].tolist()


def several(word: str) -> bool:
    """Whether a word sets several values: a list in brackets is one value."""
    return "," in word and "[" not in word and "{" not in word


def main(words: list[str]) -> None:
    """Print the table, each cell as soon as it is known."""
    grid = [word for word in words if several(word)] or GRID
    fixed = [word for word in words if not several(word)]
    axes = [(key, values.split(",")) for key, _, values in (word.partition("=") for word in grid)]
    *down, across = axes
    print(
        " ".join(["H by", ", ".join(key for key, _ in down) or "one row", "(down) and", across[0], "(across);", *fixed])
    )
    print(f"{'':<12}" + "".join(f"{value:<24}" for value in across[1]), flush=True)
    found: dict[Point, list[float]] = {}
    for point in product(*(values for _, values in axes)):
        found[point] = served([*fixed, *told(axes, point)])
        human = interval(found[point])
        print(f"{' '.join(point[:-1]):<12}" if point[-1] == across[1][0] else "", end="")
        print(f"{f'{human.mean:.4f} [{human.low:.4f}, {human.high:.4f}]':<24}", end="", flush=True)
        print(end="\n" if point[-1] == across[1][-1] else "", flush=True)
    best = max(found, key=lambda point: interval(found[point]).mean)
    print("the best:", *told(axes, best))
    for point, human in found.items():
        behind = paired(human, found[best])
        if point != best and behind.high >= 0:
            less = f"{behind.mean:+.4f} [{behind.low:.4f}, {behind.high:.4f}]"
            print("not told from it:", *told(axes, point), f"({less})")


def told(axes: list[tuple[str, list[str]]], point: Point) -> list[str]:
    """A point of the grid in words of the command line."""
    return [f"{key}={value}" for (key, _), value in zip(axes, point, strict=True)]


if __name__ == "__main__":
    main(sys.argv[1:])
