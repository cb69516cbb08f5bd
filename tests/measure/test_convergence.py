"""Level and pace of a distance, merge times and outcomes: on constructed curves, and on the oracle."""

from __future__ import annotations

from math import exp, inf, isfinite, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.measure.convergence import approach, merge_time, outcome
from sandbox.measure.error import MeasureError
from sandbox.measure.oracle import LinearQuadraticString, lengths, run

law = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10**6)
Curve = NDArray[np.float64]


def exponential(tau: float, steps: int = 100, *, level: float = 0.3, start: float = 0.8, n: int = 3) -> Curve:
    return np.tile(level + (start - level) * np.exp(-np.arange(steps + 1) / tau), (n, 1))


def noise(shape: tuple[int, ...], size: float = 0.01, seed: int = 0) -> Curve:
    return size * np.random.default_rng(seed).standard_normal(shape)


def string_lengths(
    seed: int, *, lam: float, length: float, steps: int, dimensions: int = 3, e_p: float = 0.05, e_a: float = 0.5
) -> Curve:
    """[3, steps + 1]: of a linear-quadratic string, from a start drawn around the human."""
    human, bias, p, a = np.random.default_rng(seed).standard_normal((4, dimensions))
    string = LinearQuadraticString(human, length * bias / np.linalg.norm(bias), e_p, e_a, lam)
    start = torch.from_numpy(np.concatenate([human + p, human + a]))
    return lengths(string, run(string.step, start, steps=steps))


@pytest.mark.parametrize("tau", [0.5, 3.0, 30.0, 300.0])
@pytest.mark.parametrize("start", [0.0, 0.8])
def test_an_exponential_is_found_again(tau: float, start: float) -> None:
    found = approach(exponential(tau, start=start))
    assert found.kind == "approach"
    for measured, true in ((found.level, 0.3), (found.tau, tau), (found.factor, exp(-1 / tau))):
        assert (measured.low, measured.mean, measured.high) == pytest.approx([true] * 3, rel=1e-4)
        assert measured.n == 3


def test_its_interval_is_from_fits_without_one_seed_each() -> None:
    curves = exponential(10, n=4) + noise((4, 101), 0.02)
    found = approach(curves)
    assert found.tau.low < found.tau.mean < found.tau.high
    assert found.level.low < 0.3 < found.level.high
    assert found.factor.low == pytest.approx(exp(-1 / found.tau.low))
    assert found.factor.high == pytest.approx(exp(-1 / found.tau.high))
    from scipy.optimize import curve_fit

    def model(t: Curve, level: float, start: float, tau: float) -> Curve:
        return level + start * np.exp(-t / tau)

    def fit(mean: Curve) -> Curve:
        level, _, tau = curve_fit(model, np.arange(101), mean, [0.3, 0.5, 10])[0]
        return np.array([level, 1 / tau])

    pseudo = 4 * fit(curves.mean(0)) - 3 * np.array([fit(np.delete(curves, one, 0).mean(0)) for one in range(4)])
    half = 3.182446 * pseudo.std(axis=0, ddof=1) / 2  # Student's, three degrees of freedom
    assert (found.level.mean, found.level.high) == pytest.approx(
        (pseudo[:, 0].mean(), pseudo[:, 0].mean() + half[0]), rel=1e-4
    )
    assert 1 / found.tau.low == pytest.approx(pseudo[:, 1].mean() + half[1], rel=1e-4)


@law
@given(seeds, st.floats(0.01, 100), st.floats(-10, 10))
def test_units_of_distance_change_level_and_change_alone(seed: int, scale: float, shift: float) -> None:
    curves = exponential(15) + noise((3, 101), 0.01, seed)
    found, other = approach(curves), approach(scale * curves + shift)
    assert other.kind == found.kind == "approach"
    assert other.tau.mean == pytest.approx(found.tau.mean, rel=1e-3)
    assert other.level.mean == pytest.approx(scale * found.level.mean + shift, rel=1e-3, abs=1e-3 * scale)
    assert other.change.mean == pytest.approx(scale * found.change.mean, rel=1e-6)


@pytest.mark.parametrize(("from_step", "within"), [(0, 1e-3), (100, 2e-4), (300, 2e-5)])
def test_the_factor_of_the_oracle_is_its_spectral_radius(from_step: int, within: float) -> None:
    rho = LinearQuadraticString(np.zeros(1), np.ones(1), 0.05, 0.5, 0.8).spectral_radius
    curves = np.stack([string_lengths(seed, lam=0.8, length=2.1965, steps=800)[2] for seed in range(5)])
    found = approach(curves[:, from_step:])
    assert found.kind == "approach"
    assert found.factor.mean == pytest.approx(rho, abs=within)
    assert found.level.mean == pytest.approx(10.9825, rel=2e-3)


def test_in_one_dimension_the_distance_of_the_oracle_is_an_exponential() -> None:
    curves = np.stack([string_lengths(seed, lam=0.8, length=2.1965, steps=600, dimensions=1)[2] for seed in range(5)])
    found = approach(curves[:, 40:])
    assert found.factor.mean == pytest.approx(0.990754, abs=1e-6)
    assert found.level.mean == pytest.approx(10.9825, abs=1e-4)


@pytest.mark.parametrize("n", [2, 12])
def test_a_constant_has_its_level_and_no_pace(n: int) -> None:
    for curves in (np.full((n, 20), 0.3), 0.3 + 1e-16 * np.arange(20.0) * np.ones((n, 1))):
        found = approach(curves)
        assert found.kind == "constant"
        assert found.level.mean == pytest.approx(0.3)
        assert (found.tau.mean, found.factor.high, found.change.mean) == (0, 0, 0)
    noisy = approach(0.3 + noise((5, 60)))
    assert noisy.kind == "constant"
    assert noisy.level.low < 0.3 < noisy.level.high < noisy.level.low + 0.005  # by all steps


@pytest.mark.parametrize("noisy", [0.0, 0.01])
@pytest.mark.parametrize("slope", [-0.4, 0.4])
def test_without_a_bend_the_level_lies_anywhere_beyond(noisy: float, slope: float) -> None:
    found = approach(0.5 + slope * np.linspace(0, 1, 41) + noise((5, 41), noisy))
    assert found.kind == "straight"
    assert found.factor.low == pytest.approx(1, abs=0.02)
    assert found.factor.high >= 1 - 1e-7
    assert found.tau.high > 1e6
    assert found.level.mean == (inf if slope > 0 else -inf)
    near = found.level.low if slope > 0 else found.level.high
    assert near == pytest.approx(0.5 + slope, abs=0.02)


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_speeds_up_diverges(sign: int) -> None:
    found = approach(0.1 + sign * 0.01 * np.exp(np.arange(41) / 12) + noise((5, 41), 1e-3))
    assert found.kind == "diverging"
    assert found.factor.mean == pytest.approx(exp(1 / 12), rel=0.01)
    assert found.factor.low > 1
    assert (found.tau.mean, found.level.mean) == (inf, sign * inf)


def test_a_jump_is_an_approach_at_once() -> None:
    found = approach(np.tile([1.0, *[0.2] * 20], (3, 1)))
    assert found.kind == "approach"
    assert found.factor.mean < 1e-3
    assert found.level.mean == pytest.approx(0.2, abs=1e-3)


@law
@given(seeds, st.integers(2, 12), st.integers(4, 30), st.sampled_from([0.0, 1e-6, 0.1, 1.0]))
def test_no_figure_is_ever_nan(seed: int, n: int, size: int, rough: float) -> None:
    rng = np.random.default_rng(seed)
    found = approach(rng.uniform(-1, 1) * np.linspace(0, 1, size) + rough * rng.standard_normal((n, size)))
    for one in (found.level, found.tau, found.factor, found.change):
        assert one.low <= one.mean <= one.high
    assert isfinite(found.factor.mean)


@pytest.mark.parametrize("curves", [np.zeros((1, 20)), np.zeros((5, 3)), np.zeros(20), np.full((3, 9), nan)])
def test_what_has_no_approach_is_refused(curves: Curve) -> None:
    with pytest.raises(MeasureError):
        approach(curves)


def test_merge_time_is_the_first_step_from_which_it_stays() -> None:
    assert merge_time([0.5, 0.05, 0.3, 0.1, 0.0], 0.1) == 3
    assert merge_time([0.05, 0.1, 0.0], 0.1) == 0
    assert merge_time([0.5, 0.0, 0.2], 0.1) == inf
    assert merge_time([[0.5, 0.1], [0.1, 0.5], [0.1, 0.1]], 0.1).tolist() == [1, inf, 0]


@law
@given(seeds, st.floats(0, 1), st.floats(0, 1))
def test_a_nearer_meeting_is_no_sooner(seed: int, a: float, b: float) -> None:
    curve = np.random.default_rng(seed).uniform(0, 1, 12) * np.linspace(1, 0.1, 12)
    assert merge_time(curve, min(a, b)) >= merge_time(curve, max(a, b))
    t = float(merge_time(curve, a))
    assert t == inf or (curve[int(t) :] <= a).all()
    assert t in (0, inf) or curve[int(t) - 1] > a


def test_merge_times_of_the_oracle() -> None:
    open_, closed = (string_lengths(0, lam=lam, length=0, steps=300)[1] for lam in (0.5, 1.0))
    biased = string_lengths(0, lam=0.5, length=1, steps=300)[1]  # |a* - p*| = |b|
    assert merge_time(open_, 1e-3) < 300
    assert merge_time(closed, 1e-3) < 300
    assert merge_time(biased, 0.9) == inf


@pytest.mark.parametrize("bad", [[], np.zeros((2, 0)), 0.3, [nan]])
def test_what_has_no_steps_never_merges(bad) -> None:
    with pytest.raises(MeasureError):
        merge_time(bad, 0.1)


def flat(*levels: float, start: tuple[float, float, float] = (0.5, 0.5, 0.5), steps: int = 80) -> Curve:
    """[3, steps + 1]: three distances that go from their start to a level."""
    decay = np.exp(-np.arange(steps + 1) / 5)
    return np.stack([level + (begin - level) * decay for level, begin in zip(levels, start, strict=True)])


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        (flat(0.05, 0.05, 0.05), "aligned merge"),
        (flat(0.05, 0.12, 0.08), "aligned merge"),  # all at the human, though a little apart
        (flat(0.12, 0.05, 0.08), "aligned merge"),
        (flat(0.6, 0.05, 0.6), "collusive merge"),
        (flat(0.5, 0.05, 0.5), "collusive merge"),
        (flat(0.45, 0.05, 0.45), "collusive merge"),
        (flat(0.35, 0.05, 0.35), "failure"),  # merged on the way to the human
        (flat(0.4, 0.4, 0.05), "string"),
        (flat(0.05, 0.5, 0.5), "failure"),
        (flat(0.6, 0.5, 0.7), "failure"),
    ],
)
def test_outcomes_of_what_settles(curves: Curve, expected: str) -> None:
    assert outcome(curves) == expected
    assert outcome(curves * 3, threshold=0.3) == expected
    assert outcome(curves + noise(curves.shape, 1e-4)) == expected


def test_the_threshold_counts_as_small() -> None:
    assert outcome(np.full((3, 9), 0.25), threshold=0.25) == "aligned merge"
    assert outcome(np.full((3, 9), 0.25), threshold=0.2) == "failure"


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("period", [2, 5, 15])
@pytest.mark.parametrize("drift", [0.0, -0.02])
def test_what_comes_back_is_a_cycle(which: int, period: int, drift: float) -> None:
    curves = flat(0.5, 0.5, 0.5)
    t = np.arange(81)
    curves[which] += 0.3 * np.cos(2 * np.pi * t / period) + drift * t
    assert outcome(curves + noise(curves.shape, 0.02)) == "cycle"
    assert outcome(curves * 0.15) != "cycle"  # it goes up and down by .09
    ended = curves.copy()
    ended[which, 30:] = 0.5
    assert outcome(ended) == "failure"


def test_noise_and_a_single_swing_are_no_cycle() -> None:
    found = [outcome(0.5 + noise((3, 201), 0.1, seed)) for seed in range(40)]
    assert found.count("cycle") == 0
    swing = flat(0.5, 0.5, 0.5)
    swing[2] += 0.3 * np.exp(-np.square((np.arange(81) - 60) / 8))
    assert outcome(swing) == "failure"


@law
@given(seeds, st.sampled_from(["smooth", "stairs"]), st.booleans())
def test_a_monotone_curve_is_no_cycle(seed: int, form: str, up: bool) -> None:
    rng = np.random.default_rng(seed)
    if form == "smooth":
        curve = np.cumsum(rng.exponential(size=101) ** 3)
    else:
        curve = np.floor(np.arange(101) / rng.integers(3, 12))
    curve = curve if up else curve[::-1]
    assert outcome(np.tile(curve / np.abs(curve).max(), (3, 1))) != "cycle"


@pytest.mark.parametrize("bad", [nan, inf])
def test_what_is_not_finite_or_goes_on_growing_diverges(bad: float) -> None:
    curves = flat(0.05, 0.05, 0.05)
    curves[1, -1] = bad
    assert outcome(curves) == "divergence"
    for which in range(3):
        growing = flat(0.05, 0.05, 0.05)
        growing[which] = np.linspace(0, 1, 81)
        assert outcome(growing) == "divergence"
        growing[which] = 3 - 3 * np.exp(-np.arange(81) / 40)  # slowing: it settles
        assert outcome(growing) != "divergence"
    swinging = flat(0.5, 0.5, 0.5)
    swinging[2] += 0.3 * np.cos(np.arange(81)) * np.exp(np.arange(81) / 40)
    assert outcome(swinging) == "divergence"  # before cycle
    assert outcome(np.tile(np.linspace(0, 0.3, 81), (3, 1))) == "failure"  # too slow to tell from one that settles


@pytest.mark.parametrize("seed", range(5))
def test_outcomes_of_the_oracle(seed: int) -> None:
    assert outcome(string_lengths(seed, lam=0.5, length=0, steps=400)) == "aligned merge"
    assert outcome(string_lengths(seed, lam=0.5, length=0.01, steps=400)) == "aligned merge"
    assert outcome(string_lengths(seed, lam=0.8, length=2.1965, steps=800)) == "failure"
    assert outcome(string_lengths(seed, lam=1, length=1, steps=400)) == "divergence"
    closed = string_lengths(seed, lam=1, length=0, steps=400)
    assert outcome(closed) == ("collusive merge" if closed[2, -1] >= closed[2, 0] else "failure")
    assert merge_time(closed[1], 1e-3) < inf  # they have met in either case
    swapped = string_lengths(seed, lam=1, length=0, steps=40, e_p=1, e_a=1)
    assert outcome(swapped, threshold=0.02) == "cycle"


def test_both_fates_of_a_closed_oracle_occur() -> None:
    found = {outcome(string_lengths(seed, lam=1, length=0, steps=400)) for seed in range(12)}
    assert found == {"collusive merge", "failure"}


@pytest.mark.parametrize(
    ("curves", "threshold"), [(np.zeros((3, 7)), 0.1), (np.zeros((2, 20)), 0.1), (np.zeros((3, 20)), 0)]
)
def test_what_has_no_outcome_is_refused(curves: Curve, threshold: float) -> None:
    with pytest.raises(MeasureError):
        outcome(curves, threshold=threshold)


def test_a_curve_that_is_no_exponential_is_told_by_its_misfit() -> None:
    steps, noise = np.arange(40), 1e-4 * np.random.default_rng(0).standard_normal((6, 40))
    smooth = approach(0.1 * 0.82**steps + noise)
    assert smooth.misfit < 0.01
    assert smooth.tau.mean == pytest.approx(-1 / np.log(0.82), rel=0.05)
    jump = approach(np.where(steps == 0, 0.5, 0.1 * 0.82 ** (steps - 1.0)) + noise)
    assert jump.kind == "approach"
    assert jump.misfit > 0.05
    assert approach(np.ones((2, 9))).misfit == 0
    assert approach(np.exp(-steps / 5) + 0.2 * np.cos(steps) + noise).misfit > 0.1
