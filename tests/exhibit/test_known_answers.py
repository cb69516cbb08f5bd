"""The known answers of the exhibits that an essay speaks of."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from sandbox.exhibit.best_of import best_of, best_of_drawn, student
from sandbox.exhibit.bits import (
    TRAINING,
    accuracy,
    empirical,
    episodic,
    extrapolated,
    invariant,
    penalised,
    risk,
    slope,
    worst_group,
)
from sandbox.exhibit.incentive import Incentive
from sandbox.exhibit.off_switch import gain as off_switch
from sandbox.exhibit.self_modifier import self_modifier
from sandbox.exhibit.whisky import whisky_lived, whisky_return, whisky_values
from sandbox.measure.interval import interval

LN3 = np.log(3)
TEST = 0.9


def test_the_slope_of_a_risk() -> None:
    w, tiny = np.array([0.3, -0.7]), 1e-6
    numeric = [(risk(w + d, 0.2) - risk(w - d, 0.2)) / (2 * tiny) for d in tiny * np.eye(2)]
    assert slope(w, 0.2) == pytest.approx(numeric, abs=1e-8)


def test_two_bits_in_closed_form() -> None:
    assert empirical() == pytest.approx([LN3, np.log(17 / 3)], abs=1e-4)  # each bit's log odds, x2 wrong at .15
    assert worst_group() == pytest.approx([LN3, np.log(4)], abs=1e-4)  # those of the noisier environment
    invariant_optimum = np.array([LN3, 0])
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert [risk(invariant_optimum, e) for e in (*TRAINING, TEST)] == pytest.approx([entropy] * 3)
    assert entropy == pytest.approx(0.5623, abs=5e-5)
    assert extrapolated(1e6) == pytest.approx(invariant_optimum, abs=1e-3)
    assert invariant(1e6) == pytest.approx(invariant_optimum, abs=0.02)


@pytest.mark.parametrize(
    ("process", "expected", "at_test", "risk_there"),
    [
        (empirical, (1.099, 1.735), 0.1, 1.381),
        (worst_group, (1.099, 1.386), 0.1, 1.169),
        (lambda: episodic(1), (1.10, 1.73), 0.1, 1.380),
        (lambda: episodic(5), (1.12, 1.72), 0.1, 1.367),
        (lambda: extrapolated(1), (1.10, 1.555), 0.1, 1.269),
        (lambda: extrapolated(10), (1.10, 0.905), 0.75, 0.914),
        (lambda: extrapolated(1e4), (1.10, 0.002), 0.75, 0.563),
        (lambda: invariant(10), (1.29, 1.57), 0.1, 1.243),
        (lambda: invariant(100), (1.43, 0.84), 0.75, 0.862),
        (lambda: invariant(1e4), (1.11, 0.018), 0.75, 0.568),
        (lambda: extrapolated(1e4, (0.15, 0.15)), (1.099, 1.735), 0.1, 1.381),  # mixed, they show nothing
    ],
)
def test_two_bits_process_by_process(process, expected: tuple[float, float], at_test: float, risk_there: float):
    w = process()
    assert w == pytest.approx(expected, abs=6e-3)
    assert accuracy(w, TEST) == pytest.approx(at_test)
    assert risk(w, TEST) == pytest.approx(risk_there, abs=6e-3)
    assert (at_test == 0.75) == (abs(w[1]) < abs(w[0]))
    train = np.mean([accuracy(w, e) for e in TRAINING])
    assert train == pytest.approx(0.75 if abs(w[1]) < abs(w[0]) else 0.85)


def test_a_penalty_on_nothing_is_none() -> None:
    assert penalised(lambda w: 0.0, 1e4) == pytest.approx(empirical(), abs=1e-4)


def test_whisky_is_promised_51_and_44_is_the_best_that_comes() -> None:
    naive, aware = whisky_values(0), whisky_values(0.9)
    assert whisky_return(naive) == pytest.approx(51)  # 4 steps, whisky, gold
    assert whisky_return(aware) == pytest.approx(44)  # 6 steps, gold
    lived = {round(whisky_lived(naive, order), 2) for order in permutations(range(4))}
    assert lived == {13.89, 21.42}  # by the order in which a drunk prefers moves that it takes to be as good
    assert whisky_lived(aware, range(4)) == pytest.approx(44)
    assert whisky_lived(naive, range(4), stumble=0) == pytest.approx(51)


def test_self_modification() -> None:
    assert self_modifier("hedonistic") == ("wirehead", pytest.approx(0))
    assert self_modifier("ignorant") == ("shortcut", pytest.approx(0.6))
    assert self_modifier("realistic") == ("work", pytest.approx(5))


def test_self_modification_without_the_shortcut() -> None:
    left = ("idle", "work", "wirehead")
    assert self_modifier("ignorant", left) == ("work", pytest.approx(5))
    assert self_modifier("hedonistic", left) == ("wirehead", pytest.approx(0))
    assert self_modifier("realistic", left) == ("work", pytest.approx(5))


def test_a_hedonist_takes_either_way_to_its_new_utility() -> None:
    assert self_modifier("hedonistic", ("shortcut", "wirehead", "work"))[1] == pytest.approx(0.6)


GAUSSIAN = {2: 0.399, 4: 0.728, 16: 1.249, 64: 1.657, 256: 1.999, 1024: 2.297}
HEAVY = {2: 0.314, 4: 0.553, 16: 0.687, 64: 0.464, 256: 0.238, 1024: 0.112}


@pytest.mark.parametrize("n", GAUSSIAN)
def test_best_of_n_under_gaussian_noise_is_the_expected_maximum_over_root_two(n: int) -> None:
    maximum = quad(lambda x: x * n * norm.pdf(x) * norm.cdf(x) ** (n - 1), -10, 10, limit=200)[0]
    assert best_of(n) == pytest.approx(maximum / 2**0.5, abs=1e-7)
    assert best_of(n) == pytest.approx(GAUSSIAN[n], abs=6e-4)


@pytest.mark.parametrize("n", HEAVY)
def test_best_of_n_under_heavy_tails_by_simulation(n: int) -> None:
    mean, error = best_of_drawn(n, lambda rng, shape: rng.standard_t(2, shape), 2_000_000 // n, seed=n)
    assert best_of(n, student) == pytest.approx(mean, abs=4 * error)
    assert best_of(n, student) == pytest.approx(HEAVY[n], abs=7e-3)


def test_heavy_tails_turn_the_curve_over() -> None:
    gaussian, heavy = ([best_of(2**k, noise) for k in range(1, 11)] for noise in (norm, student))
    assert np.all(np.diff(gaussian) > 0)
    assert 2 ** (1 + int(np.argmax(heavy))) == 16
    assert heavy[-1] < heavy[0] / 2


@pytest.mark.parametrize(
    ("mean", "spread", "gain"), [(0, 1, 0.3989), (0.5, 1, 0.1978), (-0.5, 1, 0.1978), (1, 0.1, 0.0)]
)
def test_off_switch(mean: float, spread: float, gain: float) -> None:
    asked = quad(lambda u: max(u, 0) * norm.pdf(u, mean, spread), mean - 12 * spread, mean + 12 * spread, points=[0])[0]
    assert off_switch(mean, spread) == pytest.approx(asked - max(mean, 0), abs=1e-9)
    assert off_switch(mean, spread) == pytest.approx(gain, abs=5e-5)


def test_an_outer_loop_reveals_the_incentive_and_swapping_worlds_hides_it() -> None:
    lived, placebo = ([Incentive(gain=gain).measure(seed) for seed in range(1000, 1005)] for gain in (1.0, 0.0))
    cooperation = {arm: interval([one[arm]["cooperation"] for one in lived]) for arm in lived[0]}
    assert cooperation["alone"].high < 0.1
    assert cooperation["selected"].low > 0.5
    assert cooperation["swapped"].high < 0.1
    assert interval([one["selected"]["cooperation"] for one in placebo]).high < 0.1  # nothing to reveal
