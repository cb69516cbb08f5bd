"""What instruments take in: any kind of numbers, and a refusal that says what was expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sandbox.measure.array import array, distribution, members, square
from sandbox.measure.error import MeasureError


@pytest.mark.parametrize("values", [[1, 2], (1.0, 2.0), np.array([1, 2]), torch.tensor([1.0, 2.0], requires_grad=True)])
def test_numbers_of_any_kind_become_float64(values: object) -> None:
    found = array(values, "scores")
    assert found.dtype == np.float64
    assert found.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "shape", "told"),
    [
        ([1, 2], [3], r"scores of shape \[3\]; got \[2\]"),
        ([1, 2], [None, None], r"scores of shape \[any, any\]; got \[2\]"),
        ([[1, 2]], [None, 3], r"scores of shape \[any, 3\]; got \[1, 2\]"),
        ([1, np.nan, np.inf], None, "got 2 of 3 that are NaN or infinite"),
        ([[1], [1, 2]], None, "scores as numbers; got list"),
        (["a"], None, "scores as numbers; got list"),
        (None, None, "NaN|numbers"),
    ],
)
def test_what_is_no_such_array_is_refused(values: object, shape: list[int | None] | None, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        array(values, "scores", shape)


def test_any_size_fits_where_none_is_named() -> None:
    assert array([[1, 2]], "scores", [None, 2]).shape == (1, 2)


@pytest.mark.parametrize("values", [np.ones((2, 3)), np.ones(4), np.ones((0, 0))])
def test_a_jacobian_is_square(values: np.ndarray) -> None:
    with pytest.raises(MeasureError, match=r"a Jacobian \[n, n\]"):
        square(values)
    assert square([[2]]).tolist() == [[2]]


def test_rows_of_a_distribution_sum_to_one() -> None:
    assert distribution([[0.5, 0.5], [1, 0]], "rows", [2, 2]).tolist() == [[0.5, 0.5], [1, 0]]
    assert distribution([1 / 3] * 3, "rows", [3]).sum() == pytest.approx(1)
    with pytest.raises(MeasureError, match=r"off by 0\.1"):
        distribution([0.5, 0.6], "rows", [2])
    with pytest.raises(MeasureError, match=r"the entry -0\.5"):
        distribution([1.5, -0.5], "rows", [2])


@pytest.mark.parametrize("outer", [[0, 2], np.array([True, False, True]), torch.tensor([2, 0])])
def test_members_by_mask_or_by_index(outer: object) -> None:
    assert members(outer, 3).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("outer", "told"),
    [
        ([0, 0], "different indices"),
        ([3], "different indices"),
        ([-1], "different indices"),
        ([0, 1, 2], "3 outer of 3"),
        ([], "0 outer of 3"),
        ([False, False, False], "0 outer of 3"),
        ([True, False], "a mask of 3"),
        ([0.5], "a mask of 3"),
        ([[0]], "a mask of 3"),
    ],
)
def test_no_partition_is_refused(outer: object, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        members(np.array(outer), 3)
