"""The closed-loop share, its reference and the yoked comparison."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.measure.closed_loop import closed_loop
from sandbox.measure.error import MeasureError


def edits(seed: int, seeds: int = 4, steps: int = 3, n: int = 400) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((seeds, steps, n))


FLAT = np.zeros(4)


def test_edits_that_ignore_the_trace_read_zero_and_opposite_ones_one() -> None:
    e = edits(0)
    assert closed_loop(e, e, FLAT, FLAT).share.mean == 0
    assert closed_loop(e, -e, FLAT, FLAT).share.mean == pytest.approx(1)
    assert closed_loop(e, 0 * e, FLAT, FLAT).share.mean == pytest.approx(1)


def test_unrelated_edits_of_equal_size_read_one_over_root_two() -> None:
    found = closed_loop(edits(0), edits(1), FLAT, FLAT)
    assert found.share.mean == pytest.approx(2**-0.5, abs=0.01)
    assert found.unrelated.mean == pytest.approx(2**-0.5, abs=0.01)


def test_by_hand_step_by_step() -> None:
    own = np.array([[[1.0, 0.0], [2.0, 0.0]], [[0.0, 1.0], [0.0, 4.0]]])
    other = np.array([[[-1.0, 0.0], [1.0, 0.0]], [[0.0, -1.0], [0.0, 4.0]]])
    found = closed_loop(own, other, [1.0, 2.0], [0.0, 4.0])
    assert found.course == pytest.approx([1, 1 / 6])  # of the seeds: 1 and 1, 1/3 and 0
    assert found.share.mean == pytest.approx(7 / 12)
    half = 12.706204736 / 12  # Student's t of one degree of freedom, for the seeds' shares 2/3 and 1/2
    assert (found.share.low, found.share.high) == pytest.approx((7 / 12 - half, 7 / 12 + half))
    assert found.unrelated.mean == pytest.approx((2**-0.5 + 20**0.5 / 6) / 2)
    assert found.gain.mean == pytest.approx(-0.5)


def test_the_reference_takes_every_other_seed() -> None:
    own = np.zeros((3, 1, 1))
    own[:, 0, 0] = [1, 1, -1]  # pairs: 0, 1, 1
    assert closed_loop(own, own, FLAT[:3], FLAT[:3]).unrelated.mean == pytest.approx(2 / 3)


def test_gain_is_paired_and_signed() -> None:
    yoked = np.array([0.0, 10.0, 20.0, 30.0])
    found = closed_loop(edits(0), edits(1), yoked + 1, yoked)
    assert (found.gain.mean, found.gain.sign) == (1, 1)
    assert closed_loop(edits(0), edits(1), yoked, yoked + 1).gain.sign == -1


def test_steps_without_edits_read_zero_and_are_counted() -> None:
    own, other = edits(0), edits(1)
    own[:, 0], other[:, 0] = 0, 0
    own[0, 1] = 0  # one of the two still edits
    found = closed_loop(own, other, FLAT, FLAT)
    assert found.course[0] == 0
    assert found.silent == pytest.approx(1 / 3)
    still = closed_loop(0 * own, 0 * own, FLAT, FLAT)
    assert (still.share.mean, still.unrelated.mean, still.silent) == (0, 0, 1)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.floats(-5, 5))
def test_it_is_a_share_that_neither_scale_nor_rotation_nor_exchange_changes(seed: int, log: float) -> None:
    rng = np.random.default_rng(seed)
    own, other = rng.standard_normal((2, 3, 2, 5)) * 10 ** rng.uniform(-2, 2, (2, 3, 2, 1))
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0] * 10**log
    found = closed_loop(own, other, FLAT[:3], FLAT[:3])
    assert ((found.course >= 0) & (found.course <= 1)).all()
    for again in (
        closed_loop(own @ turn, other @ turn, FLAT[:3], FLAT[:3]),
        closed_loop(other, own, FLAT[:3], FLAT[:3]),
    ):
        assert again.course == pytest.approx(found.course)
    assert closed_loop(own @ turn, other, FLAT[:3], FLAT[:3]).unrelated.mean == pytest.approx(found.unrelated.mean)


def test_tensors_do_as_well() -> None:
    found = closed_loop(torch.tensor(edits(0)), torch.tensor(edits(1)), torch.zeros(4), torch.ones(4))
    assert found.gain.mean == -1


@pytest.mark.parametrize(
    ("own", "other", "outcome", "yoked"),
    [
        (edits(0, seeds=1), edits(1, seeds=1), [0.0], [0.0]),
        (edits(0), edits(1, steps=2), FLAT, FLAT),
        (edits(0), edits(1), FLAT[:3], FLAT[:3]),
        (edits(0), edits(1), FLAT, FLAT[:3]),
        (edits(0)[0], edits(1)[0], FLAT, FLAT),
        (edits(0, steps=0), edits(1, steps=0), FLAT, FLAT),
        (edits(0), edits(1), FLAT, FLAT * np.nan),
    ],
)
def test_what_has_no_interval_or_does_not_fit_is_refused(own, other, outcome, yoked) -> None:
    with pytest.raises(MeasureError):
        closed_loop(own, other, outcome, yoked)
