"""The oracle against what iterating it, differentiating it and measuring it give."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sandbox.measure.cut import loop_cut
from sandbox.measure.error import MeasureError
from sandbox.measure.modes import merge_index
from sandbox.measure.oracle import LinearQuadraticString, RegressionString, lengths, matched_noise, run
from tests.measure.systems import coupling

law = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10**6)
rates = st.floats(0.02, 0.95)
DIMENSIONS = 3
OUTER = list(range(DIMENSIONS))
DIAL = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def string(
    seed: int = 0, *, e_p: float = 0.05, e_a: float = 0.5, lam: float = 0.8, length: float = 2.1965
) -> LinearQuadraticString:
    human, bias = np.random.default_rng(seed).standard_normal((2, DIMENSIONS))
    return LinearQuadraticString(human, length * bias / np.linalg.norm(bias), e_p, e_a, lam)


def regression(seed: int, lam: float, *, n: int = 100, e_p: float = 0.02) -> RegressionString:
    rng = np.random.default_rng(seed)
    human_inputs, agent_inputs = rng.standard_normal((2, n, DIMENSIONS))
    human, bias = rng.standard_normal((2, DIMENSIONS))
    return RegressionString(human_inputs, agent_inputs, human, bias / np.linalg.norm(bias) / 2, e_p, 0.3, lam)


def start(seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 1000).standard_normal(2 * DIMENSIONS))


def derivative(step, state: Tensor) -> np.ndarray:
    return torch.func.jacrev(step)(state).numpy()


def test_a_step_by_hand() -> None:
    found = LinearQuadraticString(np.array([1.0]), np.array([0.5]), 0.1, 0.2, 0.25)
    state = torch.tensor([2.0, 6.0], dtype=torch.float64)
    assert found.pull(state).tolist() == pytest.approx([0.1])  # .1 · .25 · (6 - 2)
    assert found.step(state).tolist() == pytest.approx([2 - 0.075 + 0.1, 6 + 0.2 * (2 + 0.5 - 6)])
    assert found.step(state, pull=torch.zeros(1).double()).tolist() == pytest.approx([1.925, 5.3])
    assert lengths(found, state).tolist() == pytest.approx([1, 4, 5])


def test_a_step_of_regression_by_hand() -> None:
    one = RegressionString(np.array([[2.0], [4.0]]), np.array([[3.0]]), [1.0], [0.5], 0.1, 0.2, 0.25)  # C = 10 and 9
    state = torch.tensor([2.0, 6.0], dtype=torch.float64)
    assert one.pull(state).tolist() == pytest.approx([0.9])
    assert one.step(state).tolist() == pytest.approx([2 - 0.75 + 0.9, 6 + 0.2 * 9 * (2 + 0.5 - 6)])


def test_the_example() -> None:
    found = string()
    assert lengths(found, found.rest) == pytest.approx([8.786, 2.1965, 10.9825])  # λ|b|/(1 - λ), |b|, |b|/(1 - λ)
    assert found.spectral_radius == pytest.approx(0.9908, abs=5e-5)
    assert found.coupling == pytest.approx(0.8 / 1.8)


@law
@given(seeds, rates, rates, st.floats(0, 0.9))
def test_rest_is_where_a_step_changes_nothing_and_where_a_run_ends(seed: int, e_p: float, e_a: float, lam: float):
    found = string(seed, e_p=e_p, e_a=e_a, lam=lam)
    rest = torch.from_numpy(found.rest)
    assert torch.allclose(found.step(rest), rest, atol=1e-12)
    steps = math.ceil(math.log(1e-7) / math.log(found.spectral_radius))
    assert torch.allclose(run(found.step, start(seed), steps=steps)[-1], rest, atol=1e-4)


@law
@given(seeds, rates, rates, st.floats(0, 1))
def test_closed_forms_are_those_of_the_jacobian(seed: int, e_p: float, e_a: float, lam: float) -> None:
    found = string(seed, e_p=e_p, e_a=e_a, lam=lam)
    j = derivative(found.step, start(seed))
    assert j == pytest.approx(found.jacobian, abs=1e-12)
    spectrum = np.sort(np.linalg.eigvals(j).real)
    assert spectrum == pytest.approx(np.repeat(found.eigenvalues[::-1], DIMENSIONS), abs=1e-7)
    assert np.abs(np.linalg.eigvals(j)).max() == pytest.approx(found.spectral_radius, abs=1e-7)
    assert coupling(j, OUTER) == pytest.approx(found.coupling, abs=1e-9)


@pytest.mark.parametrize("lam", DIAL)
@pytest.mark.parametrize(("e_p", "e_a"), [(0.05, 0.5), (0.3, 0.1), (0.02, 0.9)])
def test_merge_index_is_the_measured_one(lam: float, e_p: float, e_a: float) -> None:
    found = string(e_p=e_p, e_a=e_a, lam=lam)
    assert merge_index(found.jacobian, OUTER).value == pytest.approx(found.merge_index, abs=1e-6)


def test_equal_rates_merge_at_any_reflectivity_but_none() -> None:
    assert string(e_p=0.2, e_a=0.2, lam=1e-6).merge_index == 1
    assert string(e_p=0.2, e_a=0.2, lam=0).merge_index == string(lam=0).coupling == 0
    assert string(e_p=1e-4, e_a=1, lam=0.5).merge_index == pytest.approx(4 * 0.5 * 1e-4, rel=1e-3)


def test_the_slow_mode_sets_the_pace() -> None:
    found = string()
    away = np.linalg.norm(run(found.step, start(), steps=400).numpy() - found.rest, axis=1)
    assert away[400] / away[399] == pytest.approx(found.spectral_radius, abs=1e-9)
    fast = string(e_p=1.6, e_a=1.5, lam=0)  # a fast mode of -.6 is slower than a slow one of -.5
    assert fast.spectral_radius == pytest.approx(0.6)


@law
@given(seeds, rates, rates)
def test_closed_on_itself_without_bias_it_merges_at_the_rate_weighted_mean(seed: int, e_p: float, e_a: float) -> None:
    found = string(seed, e_p=e_p, e_a=e_a, lam=1, length=0)
    end = run(found.step, start(seed), steps=1500)[-1].numpy()
    assert end == pytest.approx(np.tile(found.meeting(start(seed)), 2), abs=1e-8)
    assert not found.drift.any()


@law
@given(seeds, rates, rates)
def test_closed_on_itself_with_bias_it_drifts_from_any_human(seed: int, e_p: float, e_a: float) -> None:
    found = string(seed, e_p=e_p, e_a=e_a, lam=1)
    course = run(found.step, start(seed), steps=1500).numpy().reshape(1501, 2, DIMENSIONS)
    assert course[-1] - course[-2] == pytest.approx(np.tile(found.drift, (2, 1)), abs=1e-8)
    assert course[-1, 1] - course[-1, 0] == pytest.approx(e_a / (e_p + e_a) * found.bias, abs=1e-8)
    mean = (e_a * course[:, 0] + e_p * course[:, 1]) / (e_p + e_a)
    assert mean[1] - mean[0] == pytest.approx(found.drift, abs=1e-8)


def test_the_speed_of_drift_of_the_example() -> None:
    found = string(e_p=0.2, e_a=0.6, lam=1)
    assert np.linalg.norm(found.drift) == pytest.approx(0.3295, abs=5e-5)
    assert not string(lam=0.99).drift.any()


@law
@given(seeds, rates, rates, st.floats(0, 1))
def test_loop_cut_is_the_measured_one(seed: int, e_p: float, e_a: float, lam: float) -> None:
    found = string(seed, e_p=e_p, e_a=e_a, lam=lam)
    measured = loop_cut(found.step, start(seed), OUTER, 40).divergence
    assert found.loop_cut(start(seed), 40) == pytest.approx(measured, abs=1e-9)


def test_loop_cut_is_zero_without_feedback_and_where_nothing_moves() -> None:
    assert string(lam=0).loop_cut(start(), 9) == pytest.approx(np.zeros(9), abs=1e-12)
    still = string(length=0)
    assert still.loop_cut(still.rest, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("lam", DIAL)
@pytest.mark.parametrize("seed", range(5))
def test_regression_couples_as_its_closed_form(lam: float, seed: int) -> None:
    found = regression(seed, lam)
    j = derivative(found.step, start(seed))
    assert coupling(j, OUTER) == pytest.approx(found.coupling, abs=1e-12)
    assert found.coupling == pytest.approx(lam / (1 + lam), abs=0.04)
    if lam == 1:
        assert found.coupling == pytest.approx(0.5, abs=1e-12)


def test_regression_without_reflection_is_not_coupled() -> None:
    found = regression(0, 0)
    assert found.coupling == coupling(derivative(found.step, start()), OUTER) == 0


def test_the_dial_turns_as_predicted_and_more_closely_with_more_data() -> None:
    errors = []
    for n in (25, 1600):
        off = [regression(seed, lam, n=n).coupling - lam / (1 + lam) for seed in range(50) for lam in DIAL]
        errors.append(np.sqrt(np.mean(np.square(off))))
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.3)  # as 1/√n
    assert errors[1] < 0.003


@pytest.mark.parametrize("seed", range(3))
def test_merge_rises_with_the_dial_and_with_the_outer_rate(seed: int) -> None:
    slow, quick = (
        [merge_index(derivative(regression(seed, lam, e_p=e_p).step, start()), OUTER).value for lam in DIAL]
        for e_p in (0.02, 0.2)
    )
    assert np.all(np.diff(slow) > 0)
    assert np.all(np.greater(quick, slow))


@law
@given(seeds, st.floats(0, 0.95))
def test_regression_rests_where_a_step_changes_nothing(seed: int, lam: float) -> None:
    found = regression(seed, lam)
    rest = torch.from_numpy(found.rest)
    assert torch.allclose(found.step(rest), rest, atol=1e-10)
    assert lengths(found, rest)[1] == pytest.approx(0.5)


def test_regression_runs_to_rest() -> None:
    found = regression(0, 0.5)
    assert run(found.step, start(), steps=4000)[-1].numpy() == pytest.approx(found.rest, abs=1e-6)


@law
@given(seeds, rates, rates, st.floats(0, 1))
def test_on_orthonormal_inputs_regression_is_the_linear_quadratic_string(seed: int, e_p: float, e_a: float, lam: float):
    plain, inputs = string(seed, e_p=e_p, e_a=e_a, lam=lam), np.sqrt(DIMENSIONS) * np.eye(DIMENSIONS)
    learned = RegressionString(inputs, -inputs, plain.human, plain.bias, e_p, e_a, lam)
    assert torch.allclose(learned.step(start(seed)), plain.step(start(seed)), atol=1e-12)
    assert learned.coupling == pytest.approx(plain.coupling)


@pytest.mark.parametrize("make", [lambda seed, lam: string(seed, lam=lam), regression])
@pytest.mark.parametrize("lam", [0, *DIAL])
@pytest.mark.parametrize("seed", range(3))
def test_matched_noise_moves_the_outer_as_far_and_is_neither_coupled_nor_merged(make, lam: float, seed: int) -> None:
    found, at = make(seed, lam), start(seed)
    control = matched_noise(found, at, seed=seed)
    j = derivative(control, at)
    assert coupling(j, OUTER) == merge_index(j, OUTER).value == 0
    without = found.step(at, pull=torch.zeros(DIMENSIONS).double())
    noise = (control(at) - without)[:DIMENSIONS]
    assert float(noise.norm()) == pytest.approx(float(found.pull(at).norm()))
    elsewhere = start(seed + 1)
    rest_of_it = control(elsewhere) - found.step(elsewhere, pull=torch.zeros(DIMENSIONS).double())
    assert torch.allclose(rest_of_it[:DIMENSIONS], noise)  # it reads neither state
    assert not rest_of_it[DIMENSIONS:].any()


def test_matched_noise_is_the_seed_s() -> None:
    found = string()
    same, other = (matched_noise(found, start(), seed=seed)(start()) for seed in (0, 1))
    assert torch.equal(matched_noise(found, start(), seed=0)(start()), same)
    assert not torch.allclose(same, other)


def test_a_batch_is_its_members_and_single_precision_stays_so() -> None:
    for found in (string(), regression(0, 0.5)):
        batch = torch.stack([start(seed) for seed in range(4)])
        assert torch.allclose(found.step(batch), torch.stack([found.step(state) for state in batch]))
        assert found.step(start().float()).dtype == torch.float32
        assert run(found.step, batch, steps=3).shape == (4, 4, 2 * DIMENSIONS)
        control = matched_noise(found, start(), seed=0)
        assert torch.allclose(control(batch)[0], control(batch[0]))
        assert lengths(found, batch).shape == (3, 4)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"human": []}, "d ≥ 1"),
        ({"bias": [1.0]}, "the bias of shape"),
        ({"outer_rate": 0}, "rates > 0"),
        ({"inner_rate": math.nan}, "rates > 0"),
        ({"reflectivity": 1.01}, "in \\[0, 1\\]"),
        ({"reflectivity": math.nan}, "in \\[0, 1\\]"),
    ],
)
def test_what_is_no_string_is_refused(change: dict, match: str) -> None:
    fields = {"human": [0.0, 1.0], "bias": [1.0, 0.0], "outer_rate": 0.1, "inner_rate": 0.1, "reflectivity": 0.5}
    if change.get("human") == []:
        change = change | {"bias": []}
    with pytest.raises(MeasureError, match=match):
        LinearQuadraticString(**(fields | change))
    inputs = {"human_inputs": np.eye(2)[:, : len((fields | change)["human"])], "agent_inputs": np.eye(2)}
    with pytest.raises(MeasureError):
        RegressionString(**(fields | change | inputs))


def test_what_has_no_answer_is_refused() -> None:
    with pytest.raises(MeasureError, match="below 1"):
        _ = string(lam=1).rest
    with pytest.raises(MeasureError, match="below 1"):
        _ = regression(0, 1).rest
    with pytest.raises(MeasureError, match="span"):
        _ = regression(0, 0.5, n=DIMENSIONS - 1).rest
    for other in (string(lam=0.9, length=0), string(lam=1), string(lam=1, length=0, e_p=1, e_a=1)):
        with pytest.raises(MeasureError, match="whose sum is below 2"):
            other.meeting(start())
    with pytest.raises(MeasureError, match="at least one step"):
        string().loop_cut(start(), 0)
    with pytest.raises(MeasureError, match="a state of shape"):
        string().loop_cut(np.zeros(4), 3)
    with pytest.raises(MeasureError, match="n ≥ 1"):
        RegressionString(np.zeros((0, 2)), np.eye(2), np.zeros(2), np.zeros(2), 0.1, 0.1, 0.5)
