"""How differently two objectives rank the same behaviours: the rank-chord distance, whole and in the tail.

For objectives that are no tables: each scores a common set of N behaviours. The set is part of the measurement, so it
should mix random behaviours, behaviours met along training, and behaviours optimised for each objective compared;
without the last kind a proxy that only fails when pushed looks right. The whole set hides the same failure, which
`tail` shows: the process's own favourites, and what the human makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from sandbox.measure.array import Array, array
from sandbox.measure.distance import chord, trivial
from sandbox.measure.error import wrong

COVER = 0.95
FEWEST = 16  # behaviours; the coverage of the interval was measured down to it
RESAMPLES = 999
BLOCK = 2**18  # scores resampled at a time, which bounds the memory


@dataclass(frozen=True)
class RankChord:
    """The distance, the ends of its 95 % interval, the number of behaviours, and whether a score is constant.

    The interval is for the set that the behaviours were drawn from. In simulation it covered 92 to 100 % for scores
    that differ a little everywhere (N = 64 and 256; correlated normals, with ties and heavy tails too), yet 65 to 87 %
    for scores that part on two to eight behaviours alone: most resamples then miss some of them.
    """

    value: float
    low: float
    high: float
    n: int
    constant: bool


@dataclass(frozen=True)
class Tail:
    """The share `q` of behaviours that the process likes best: the distance there, and their mean human score."""

    q: float
    distance: RankChord
    human: float


def rank_chord(a: Any, b: Any, *, seed: int = 0) -> RankChord:
    """√((1 - ρ)/2) for Spearman's ρ of two scores [N] of the same behaviours, ties at their mid-rank; in [0, 1].

    0 is the same order, 1 the opposite one, √½ no relation. It is half the chord between unit vectors of centred ranks,
    so a pseudometric. A constant score ranks nothing: its distance is 1/2 to any other (0 to another constant one),
    and `constant` says so. The interval is a bootstrap over behaviours (Efron 1979), basic, on the angle between the
    ranks, since a sample's distance is biased away from 0 and a resample's once more. Raises below 16 behaviours.
    """
    a, b = array(a, "scores", [None]), array(b, "scores of the same behaviours", np.shape(a))
    n = len(a)
    if n < FEWEST:
        raise wrong(expected=f"at least {FEWEST} behaviours", got=f"{n}",
                    do="Score more of them, or look at a larger share.")  # fmt: skip
    value, rng = chord(ranks(a), ranks(b)), np.random.default_rng(seed)
    rows = max(1, BLOCK // n)
    draws = (rng.integers(n, size=(min(rows, RESAMPLES - done), n)) for done in range(0, RESAMPLES, rows))
    chords = [np.linalg.norm(ranks(a[draw]) - ranks(b[draw]), axis=1) / 2 for draw in draws]
    angles = np.arcsin(np.minimum(1, np.concatenate(chords)))
    high, low = 2 * np.arcsin(value) - np.quantile(angles, [(1 - COVER) / 2, (1 + COVER) / 2])
    low, high = np.sin(np.clip([low, high], 0, np.pi / 2))
    return RankChord(value, float(low), float(high), n, trivial(ranks(a)) or trivial(ranks(b)))


def tail(process: Any, human: Any, *, q: Sequence[float] = (1, 0.1, 0.01), seed: int = 0) -> tuple[Tail, ...]:
    """Rank-chord distance and mean human score among the best share q of behaviours by the process, for each q.

    Both are scores [N]. Behaviours tied with the last one taken are taken too, so that no order of the list matters;
    `distance.n` says how many they are. Raises where fewer than 16 are left.
    """
    process = array(process, "the process's scores", [None])
    human = array(human, "human scores of the same behaviours", process.shape)
    return tuple(_tail(process, human, share, seed) for share in q)


def ranks(scores: Array) -> Array:
    """[..., N]: centred mid-ranks along the last axis, to length 1; exactly 0 for a constant score."""
    centred = rankdata(scores, axis=-1) - (np.shape(scores)[-1] + 1) / 2
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return centred / np.where(length > 0, length, 1)


def _tail(process: Array, human: Array, q: float, seed: int) -> Tail:
    if not 0 < q <= 1:
        raise wrong(expected="q in (0, 1]", got=f"{q}", do="Name the share of behaviours to look at.")
    count = max(1, round(q * len(process)))
    best = process >= np.sort(process)[-count]
    return Tail(q, rank_chord(process[best], human[best], seed=seed), float(human[best].mean()))
