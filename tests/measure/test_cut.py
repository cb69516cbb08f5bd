"""Loop-cut divergence against courses worked out by hand."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.measure.cut import loop_cut
from sandbox.measure.error import MeasureError
from tests.measure.systems import meta_learning, online_hypergradient, plain_training, srwm


def follow(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """θ moves by φ, and φ doubles: Δθ = 2ᵏ - 1 against k where φ is frozen at 1."""
    return np.array([z[0] + z[1], 2 * z[1]])


def test_a_course_worked_out_by_hand() -> None:
    found = loop_cut(follow, [5.0, 1.0], [0], 4)
    assert found.divergence == pytest.approx([0, 1 / 5, 4 / 10, 11 / 19])
    assert found.moved.all()


def test_the_frozen_inner_is_the_first_one_and_the_outer_still_reads_itself() -> None:
    grow = loop_cut(lambda z: np.array([2 * z[0] + z[1], 0 * z[1]]), [0.0, 1.0], [0], 3)
    assert grow.divergence == pytest.approx([0, (3 - 2) / (3 + 2), (7 - 4) / (7 + 4)])


def test_opposite_courses_read_one() -> None:
    found = loop_cut(lambda z: np.array([z[0] + z[1], -3 * z[1]]), [0.0, 1.0], [0], 2)  # -2 against 2
    assert found.divergence.tolist() == [0, 1]


def test_an_outer_that_stays_reads_zero_and_says_so() -> None:
    toy = plain_training()
    found = loop_cut(toy.step, toy.state, toy.indices, 5)
    assert found.divergence.tolist() == [0] * 5
    assert not found.moved.any()


def test_no_feedback_no_divergence_and_feedback_at_once() -> None:
    for toy in (meta_learning(), srwm()):
        found = loop_cut(toy.step, toy.state, toy.indices, 10)
        assert found.divergence == pytest.approx(np.zeros(10), abs=1e-12)
        assert found.moved.all()
    for toy in (online_hypergradient(0, 1e-4), srwm(steps=4)):
        found = loop_cut(toy.step, toy.state, toy.indices, 10)
        assert found.divergence[0] == 0
        assert (found.divergence[1:] > 1e-3).all()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6))
def test_it_is_a_share_and_longer_courses_begin_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, z = rng.standard_normal((5, 5)), rng.standard_normal(5)
    found = loop_cut(lambda z: np.tanh(k @ z), z, [1, 3], 6).divergence
    assert found[0] == 0
    assert ((found >= 0) & (found <= 1)).all()
    assert loop_cut(lambda z: np.tanh(k @ z), z, [1, 3], 3).divergence.tolist() == found[:3].tolist()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.floats(-3, 3))
def test_units_of_either_side_and_the_place_of_the_origin_change_nothing(seed: int, log: float) -> None:
    rng = np.random.default_rng(seed)
    k, z, shift = rng.standard_normal((4, 4)), rng.standard_normal(4), rng.standard_normal(4)
    scale = np.where(np.arange(4) < 2, 10**log, 1)
    found = loop_cut(lambda z: np.tanh(k @ z), z, [0, 1], 5)
    other = loop_cut(lambda y: scale * np.tanh(k @ ((y - shift) / scale)) + shift, scale * z + shift, [0, 1], 5)
    assert other.divergence == pytest.approx(found.divergence, abs=1e-9)


def test_tensors_keep_their_kind_and_arrays_theirs() -> None:
    def step(z):
        kinds.append(z.dtype)
        return torch.stack([z[0] + z[1], 2 * z[1]]) if isinstance(z, torch.Tensor) else follow(z)

    for state, kind in (
        (torch.tensor([5.0, 1.0]), torch.float32),
        (torch.tensor([5, 1]), torch.float64),
        (np.array([5.0, 1.0]), np.float64),
    ):
        kinds: list = []
        assert loop_cut(step, state, [0], 4).divergence == pytest.approx([0, 0.2, 0.4, 11 / 19], rel=1e-6)
        assert all(each == kind for each in kinds)


def test_a_step_that_changes_its_argument_changes_nothing_else() -> None:
    def step(z: NDArray[np.float64]) -> NDArray[np.float64]:
        z[:] = follow(z)
        return z

    state = np.array([5.0, 1.0])
    assert loop_cut(step, state, [0], 3).divergence == pytest.approx([0, 1 / 5, 4 / 10])
    assert state.tolist() == [5, 1]


def test_a_random_step_is_refused() -> None:
    draws = count()
    with pytest.raises(MeasureError, match="two calls that differ"):
        loop_cut(lambda z: z + next(draws), [0.0, 0.0], [0], 2)


def test_divergence_is_told_with_its_step() -> None:
    def burst(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([z[0], z[1] + 1 if z[1] < 2 else np.inf])

    with pytest.raises(MeasureError, match="the state after step 3"):
        loop_cut(burst, [0.0, 0.0], [0], 9)

    def alone(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([z[0] + z[1] if z[0] < 2 else np.nan, 0.0])

    with pytest.raises(MeasureError, match="the cut state after step 3"):
        loop_cut(alone, [0.0, 1.0], [0], 9)


@pytest.mark.parametrize(("state", "outer", "steps"), [([0.0, 1.0], [0], 0), ([0.0, 1.0], [0, 1], 1), (0.0, [0], 1)])
def test_what_can_t_be_cut_is_refused(state: list, outer: list[int], steps: int) -> None:
    with pytest.raises(MeasureError):
        loop_cut(follow, state, outer, steps)


def test_a_batch_of_states_is_cut_each_for_itself() -> None:
    starts = np.array([[0.0, 1.0], [0.0, 0.0], [2.0, -1.0]])
    batch = loop_cut(lambda z: np.stack([follow(row) for row in z]), starts, [0], 4)
    each = [loop_cut(follow, start, [0], 4) for start in starts]
    assert batch.divergence.T.tolist() == [one.divergence.tolist() for one in each]
    assert batch.moved.T.tolist() == [one.moved.tolist() for one in each]


def test_a_course_too_far_to_be_measured_is_refused() -> None:
    with pytest.raises(MeasureError, match="a course up to step 2"):
        loop_cut(lambda z: z * 1e100, [1.0, 1.0], [0], 3)


def test_a_step_must_keep_the_size_of_the_state() -> None:
    with pytest.raises(MeasureError, match="the state after step 1"):
        loop_cut(lambda z: z[:1], [0.0, 1.0], [0], 1)


def test_only_what_is_compared_counts() -> None:
    def step(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([z[0] + z[2], z[1] + 5, z[2] * 2])

    start = [0.0, 0.0, 1.0]
    by_hand = [(2**k - 1 - k) / (2**k - 1 + k) for k in (1, 2, 3)]
    for compared in ([0], [True, False, False], [0, 2]):
        assert loop_cut(step, start, [0, 1], 3, compared=compared).divergence.tolist() == pytest.approx(by_hand)
    everything = loop_cut(step, start, [0, 1], 3, compared=range(3)).divergence
    assert everything.tolist() == loop_cut(step, start, [0, 1], 3).divergence.tolist()
    assert everything[-1] < by_hand[-1]  # the clock goes the same way in both
    with pytest.raises(MeasureError, match="an outer coordinate to compare"):
        loop_cut(step, start, [0, 1], 3, compared=[2])


def test_both_courses_go_through_one_call_where_the_step_takes_a_batch() -> None:
    shapes: list[tuple[int, ...]] = []

    def step(z: NDArray[np.float64]) -> NDArray[np.float64]:
        shapes.append(z.shape)
        return np.stack([z[..., 0] + z[..., 1], 2 * z[..., 1]], axis=-1)

    starts = np.array([[5.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    together, apart = loop_cut(step, starts, [0], 4, together=True), loop_cut(step, starts, [0], 4)
    assert shapes[:4] == [(3, 2), *[(2, 3, 2)] * 3]  # they read the same in the first step
    assert together.divergence.tolist() == apart.divergence.tolist()
    assert together.moved.tolist() == apart.moved.tolist()
    assert together.divergence[:, 0] == pytest.approx([0, 1 / 5, 4 / 10, 11 / 19])
