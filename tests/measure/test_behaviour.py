"""Rank-chord distance: Spearman's, a pseudometric with ties, an interval of known coverage, and the tail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr

from sandbox.measure.behaviour import FEWEST, RankChord, rank_chord, ranks, tail
from sandbox.measure.distance import chord, trivial
from sandbox.measure.error import MeasureError

by_property = settings(deadline=None, max_examples=25, derandomize=True)
with_ties = st.lists(st.integers(0, 4), min_size=20, max_size=20).map(np.array)
LINE = np.arange(40.0)


def correlated(seed: int, n: int, rho: float) -> tuple[np.ndarray, np.ndarray]:
    x, noise = np.random.default_rng(seed).normal(size=(2, n))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


@given(with_ties, with_ties, with_ties)
@settings(by_property, max_examples=500)
def test_with_ties_it_is_a_pseudometric(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    x, y, z = ranks(a), ranks(b), ranks(c)
    assert chord(x, y) == chord(y, x)
    assert chord(x, x) == 0
    assert chord(x, z) <= chord(x, y) + chord(y, z) + 1e-12


@given(seed=st.integers(0, 10_000), levels=st.integers(2, 50))
@by_property
def test_it_is_spearmans(seed: int, levels: int) -> None:
    a, b = np.random.default_rng(seed).integers(levels, size=(2, 30))
    told = np.sqrt((1 - spearmanr(a, b).statistic) / 2)
    assert chord(ranks(a), ranks(b)) == pytest.approx(told, abs=1e-7)


@given(with_ties, with_ties, st.permutations(range(20)))
@by_property
def test_only_the_order_counts_and_not_the_order_of_the_list(a: np.ndarray, b: np.ndarray, order: list[int]) -> None:
    found = chord(ranks(a), ranks(b))
    assert chord(ranks(np.exp(a) - 7), ranks(b**3 * 1e-9)) == found
    assert chord(ranks(a[order]), ranks(b[order])) == pytest.approx(found, abs=1e-12)


def test_the_ends_are_exact() -> None:
    assert rank_chord(LINE, LINE**3) == RankChord(0.0, 0.0, 0.0, 40, False)
    assert rank_chord(LINE, -LINE).value == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_an_interval_is_a_function_of_its_seed_and_of_order_only(seed: int) -> None:
    a, b = correlated(seed, 64, 0.8)
    found = rank_chord(a, b, seed=seed)
    assert found == rank_chord(torch.tensor(a), list(np.exp(b)), seed=seed)
    assert found != rank_chord(a, b, seed=seed + 1)
    assert (found.n, found.constant) == (64, False)
    assert found.low < found.value < found.high
    assert 0.1 < found.high - found.low < 0.25


def test_a_near_perfect_agreement_may_be_perfect() -> None:
    pairs = [correlated(seed, FEWEST, 0.99) for seed in range(20)]
    assert min(rank_chord(a, b).low for a, b in pairs) == 0
    assert max(rank_chord(a, -b).high for a, b in pairs) == 1


def test_the_opposite_mirrors_the_interval() -> None:
    a, b = correlated(0, 64, 0.8)
    found, mirrored = rank_chord(a, b), rank_chord(a, -b)
    for here, there in [(found.low, mirrored.high), (found.value, mirrored.value), (found.high, mirrored.low)]:
        assert here**2 + there**2 == pytest.approx(1, abs=1e-12)


def test_a_constant_score_is_half_way_from_all_and_flagged() -> None:
    constant = np.full(40, 3.0)
    assert trivial(ranks(constant))
    for a, b in [(LINE, constant), (constant, LINE)]:
        found = rank_chord(a, b)
        assert (found.value, found.n, found.constant) == (pytest.approx(0.5, abs=1e-12), 40, True)
        assert (found.low, found.high) == (pytest.approx(0.5, abs=1e-9), pytest.approx(0.5, abs=1e-9))
    assert rank_chord(constant, -constant) == RankChord(0.0, 0.0, 0.0, 40, True)


def test_no_distance_from_too_few_or_unequal_or_infinite_scores() -> None:
    assert rank_chord(LINE[:FEWEST], LINE[:FEWEST]).n == FEWEST
    with pytest.raises(MeasureError, match=f"at least {FEWEST} behaviours; got 15"):
        rank_chord(LINE[:15], LINE[:15])
    with pytest.raises(MeasureError, match="the same behaviours"):
        rank_chord(LINE, LINE[:20])
    with pytest.raises(MeasureError, match="scores of shape"):
        rank_chord(LINE.reshape(2, 20), LINE.reshape(2, 20))
    with pytest.raises(MeasureError, match="1 of 40 that are NaN"):
        rank_chord(np.where(LINE == 3, np.nan, LINE), LINE)


def test_the_tail_of_a_noisy_proxy_in_closed_form() -> None:
    human, noise = np.random.default_rng(0).normal(size=(2, 20_000))
    process = human + noise
    top, far = tail(process, human, q=(0.1, 0.01))
    assert (top.q, top.distance.n, far.distance.n) == (0.1, 2000, 200)
    for found in (top, far):
        share = norm.pdf(norm.isf(found.q)) / found.q / np.sqrt(2)  # E[H | P in its top q]
        assert found.human == pytest.approx(share, abs=4 / np.sqrt(found.distance.n))
    whole = np.sqrt((1 - 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)) / 2)
    assert chord(ranks(process), ranks(human)) == pytest.approx(whole, abs=0.005)
    assert top.distance.low > whole + 0.1


def test_under_heavy_tailed_noise_the_favourites_are_hardly_better_than_any() -> None:
    rng = np.random.default_rng(1)
    human = rng.normal(size=100_000)
    process = human + rng.standard_t(2, size=len(human))
    (found,) = tail(process, human, q=(0.01,))
    # by eight samples of two million: mean human score .755 at a tenth, .289 at a hundredth, and distance .740 there
    assert human[process >= np.quantile(process, 0.9)].mean() == pytest.approx(0.755, abs=0.04)
    assert found.human == pytest.approx(0.289, abs=0.12)
    assert found.distance.value == pytest.approx(0.740, abs=0.04)


def test_the_tail_takes_the_tied_and_no_order_of_the_list() -> None:
    process = np.repeat([3.0, 2.0, 1.0], 20)
    human = np.arange(60.0)
    (found,) = tail(process, human, q=(0.4,))
    assert (found.distance.n, found.human) == (40, 19.5)
    (alone,) = tail(process, human, q=(1 / 3,))
    assert (alone.distance.n, alone.human, alone.distance.constant) == (20, 9.5, True)
    order = np.random.default_rng(0).permutation(60)
    (shuffled,) = tail(process[order], human[order], q=(0.4,))
    assert shuffled.distance.value == pytest.approx(found.distance.value, abs=1e-12)
    assert shuffled.human == found.human


def test_the_whole_tail_is_the_distance() -> None:
    a, b = correlated(0, 64, 0.8)
    (found,) = tail(a, b, q=(1,), seed=5)
    assert found.distance == rank_chord(a, b, seed=5)
    assert found.human == pytest.approx(b.mean())


def test_a_tail_needs_some_behaviours_and_a_share() -> None:
    with pytest.raises(MeasureError, match="at least 16 behaviours; got 3"):
        tail(np.arange(256), np.arange(256))
    for q in (0, 1.5, float("nan")):
        with pytest.raises(MeasureError, match=r"q in \(0, 1\]"):
            tail(LINE, LINE, q=(q,))
    with pytest.raises(MeasureError, match="human scores of the same behaviours"):
        tail(LINE, LINE[:20])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rho", "n", "spread"),
    [(0.8, 64, 0.041), (0.8, 256, 0.020), (0.0, 64, 0.045), (0.95, 64, 0.025), (0.99, 64, 0.013), (-0.9, 64, 0.0086)],
)
def test_the_interval_covers(rho: float, n: int, spread: float) -> None:
    true = np.sqrt((1 - 6 / np.pi * np.arcsin(rho / 2)) / 2)
    found = [rank_chord(*correlated(seed, n, rho), seed=seed) for seed in range(400)]
    assert 0.91 < np.mean([one.low <= true <= one.high for one in found]) <= 1
    assert np.std([one.value for one in found]) == pytest.approx(spread, rel=0.12)
