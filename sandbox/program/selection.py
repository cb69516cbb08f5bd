"""Who of an archive becomes a parent, and who stays in it. Scores are losses: lower is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, sqrt
from typing import Literal

from scipy.special import betaincinv

from sandbox.program.archive import Archive, Fate, children, clade, holds, place, score, scored, without

Parents = Literal["best", "score_child", "confidence", "clade"]
Retention = Literal["all", "better", "cells"]
STEEPNESS, MIDDLE = 10.0, 0.5  # of the sigmoid of qualities (Zhang et al. 2025, Darwin Goedel machine, appendix)
GOLDEN = (sqrt(5) - 1) / 2


def parents(archive: Archive, how: Parents, noise: Sequence[float]) -> list[int]:
    """The id of a parent for each uniform; none where nothing has a score."""
    able = scored(archive)
    return CHOICES[how](archive, able, list(noise)) if able else []


def quality(archive: Archive, able: Sequence[int]) -> dict[int, float]:
    """{id: from 0, the worst, to 1, the best}, by the share of the others that score worse; equals are equal."""
    scores = {number: score(archive, number) for number in able}
    return {number: sum(found < other for other in scores.values()) / max(len(able) - 1, 1) if len(able) > 1 else 1.0
            for number, found in scores.items()}  # fmt: skip


def _best(archive: Archive, able: Sequence[int], noise: Sequence[float]) -> list[int]:
    """Always the one that scores best."""
    return [able[0]] * len(noise)


def _score_child(archive: Archive, able: Sequence[int], noise: Sequence[float]) -> list[int]:
    """With a chance that grows with the quality and falls with the children, σ(10 (q - ½)) / (1 + children), so that
    who has been tried often makes way (Darwin Goedel machine: Zhang et al. 2025)."""
    ranks, below = quality(archive, able), children(archive)
    weights = [1 / (1 + exp(-STEEPNESS * (ranks[each] - MIDDLE))) / (1 + len(below[each])) for each in able]
    return [able[_drawn(weights, u)] for u in noise]


def _confidence(archive: Archive, able: Sequence[int], noise: Sequence[float]) -> list[int]:
    """The highest upper bound on the mean quality of an entry and its children, mean + √(2 ln N / n) with n of them and
    N over all entries (UCB1: Auer et al. 2002). A parent that is chosen counts at once as tried once more."""
    ranks, below = quality(archive, able), children(archive)
    families = {each: [ranks[one] for one in (each, *below[each]) if one in ranks] for each in able}
    means = {each: sum(found) / len(found) for each, found in families.items()}
    tried = {each: len(found) for each, found in families.items()}
    chosen = list[int]()
    for _ in noise:
        total = log(sum(tried.values()))
        chosen.append(max(able, key=lambda each: (means[each] + sqrt(2 * total / tried[each]), -each)))
        tried[chosen[-1]] += 1
    return chosen


def _clade(archive: Archive, able: Sequence[int], noise: Sequence[float]) -> list[int]:
    """By what has become of all descendants: an entry whose clade has s entries that score better than their parents
    and f that don't draws from Beta(1 + s, 1 + f), and the highest draw wins (Huxley Goedel machine: Wang et al. 2025).

    Entries draw at u, u + φ, u + 2φ, … modulo 1, φ the golden section: each uniform by itself from one uniform.
    """
    counts = {each: progress(archive, each) for each in able}
    return [max(able, key=lambda each: (betaincinv(1 + counts[each][0], 1 + counts[each][1], (u + each * GOLDEN) % 1),
                                        -each)) for u in noise]  # fmt: skip


def progress(archive: Archive, number: int) -> tuple[int, int]:
    """How many entries of a clade score better than their parents, and how many don't; the dead do not."""
    lives = [each for each in clade(archive, number) if holds(archive, _parent(archive, each))]
    better = sum(_better(archive, each) for each in lives)
    return better, len(lives) - better


CHOICES: dict[Parents, Callable[[Archive, Sequence[int], Sequence[float]], list[int]]] = {
    "best": _best, "score_child": _score_child, "confidence": _confidence, "clade": _clade,
}  # fmt: skip


# ---- who stays ------------------------------------------------------------------------------------------------------


def retained(archive: Archive, how: Retention, cells: Callable[[int], tuple[int, ...]]) -> Archive:
    """The archive that a retention leaves. What is in force stays, and so does whoever waits for a gate.

    "all": everybody, as long as there is room. "better": who scores better than its parent. "cells": the best of each
    cell (MAP-Elites: Mouret and Clune 2015); `cells` says of an id in which it is.
    """
    if how == "all":
        return archive
    leave = _no_better(archive) if how == "better" else _not_elite(archive, cells)
    for number in leave:
        fate = archive["fate"][place(archive, number)]
        if number != int(archive["current"]) and fate not in (Fate.KNOWN, Fate.ASKED):
            archive = without(archive, number)
    return archive


def _no_better(archive: Archive) -> list[int]:
    entries = [number for number in sorted(archive["id"].tolist()) if number >= 0]
    return [each for each in entries if holds(archive, _parent(archive, each)) and not _better(archive, each)]


def _not_elite(archive: Archive, cells: Callable[[int], tuple[int, ...]]) -> list[int]:
    able, elites = scored(archive), dict[tuple[int, ...], int]()
    for number in able:  # the best first
        elites.setdefault(cells(number), number)
    entries = [number for number in sorted(archive["id"].tolist()) if number >= 0]
    return [number for number in entries if number not in elites.values()]


def _parent(archive: Archive, number: int) -> int:
    return int(archive["parent"][place(archive, number)])


def _better(archive: Archive, number: int) -> bool:
    at = place(archive, number)
    alive = int(archive["lives"][at]) > 0 and int(archive["fate"][at]) != Fate.DEAD
    return alive and score(archive, number) < score(archive, _parent(archive, number))


def _drawn(weights: Sequence[float], u: float) -> int:
    """The index that a uniform draws with chances in the ratio of the weights."""
    left = u * sum(weights)
    for i, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return i
    return len(weights) - 1
