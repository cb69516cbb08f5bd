"""Blocks of an update, the sign of the way round, and the response of what settles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.measure.error import MeasureError
from sandbox.measure.partition import blocks, feedback, response
from tests.measure.systems import meta_learning, plain_training, swap

J = np.arange(16.0).reshape(4, 4)


def test_blocks_are_of_the_update_and_the_first_index_is_what_changes() -> None:
    k = blocks(J, [1, 3])
    assert k.oo.tolist() == [[4, 7], [13, 14]]
    assert k.oi.tolist() == [[4, 6], [12, 14]]
    assert k.io.tolist() == [[1, 3], [9, 11]]
    assert k.ii.tolist() == [[-1, 2], [8, 9]]


def test_a_mask_says_the_same_as_indices_and_a_tensor_as_an_array() -> None:
    mask = torch.tensor([False, True, False, True])
    assert blocks(torch.tensor(J), mask).oi.tolist() == blocks(J, [1, 3]).oi.tolist()


@pytest.mark.parametrize(("oi", "io", "trace", "direction"), [(2, 3, 6, 1), (2, -3, -6, -1), (0, 3, 0, 0)])
def test_direction_is_the_sign_of_the_way_round(oi: float, io: float, trace: float, direction: float) -> None:
    found = feedback([[1, oi], [io, 1]], [0])
    assert (found.trace, found.direction) == (trace, direction)


def test_a_way_round_with_gains_that_cancel_has_no_direction() -> None:
    j = np.eye(4)
    j[0, 2] = j[1, 3] = j[2, 0] = 1
    j[3, 1] = -1
    assert feedback(j, [0, 1]).direction == 0


def test_systems_without_feedback_have_no_direction_and_a_swap_reinforces() -> None:
    for toy in (plain_training(), meta_learning()):
        assert feedback(toy.jacobian, toy.indices).direction == 0
    assert feedback(swap().jacobian, swap().indices).direction == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 7))
def test_direction_is_a_share_that_no_scale_of_a_side_changes(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    k, scale = rng.standard_normal((n, n)), np.where(np.arange(n) < 1 + seed % (n - 1), 10.0, 1.0)
    outer = scale == 10
    found = feedback(k + np.eye(n), outer)
    other = feedback(scale[:, None] * k / scale + np.eye(n), outer)
    faster = feedback(scale[:, None] * k + np.eye(n), outer)
    assert -1 <= found.direction <= 1
    assert other.trace == pytest.approx(found.trace, rel=1e-9, abs=1e-12)
    assert faster.direction == pytest.approx(found.direction, rel=1e-9, abs=1e-12)


def test_response_is_where_the_settled_inner_goes() -> None:
    rng = np.random.default_rng(0)
    curvature, cross = np.diag([1.0, 2.0, 4.0]) + 0.1, rng.standard_normal((3, 2))
    j = np.eye(5)
    j[2:, 2:] -= 0.2 * curvature  # φ' = φ - .2 (curvature φ - cross θ)
    j[2:, :2] = 0.2 * cross
    theta, phi = np.array([1.0, -2.0]), np.zeros(3)
    for _ in range(500):
        phi = (j @ np.concatenate([theta, phi]))[2:]
    assert response(j, [0, 1]) @ theta == pytest.approx(phi, abs=1e-10)
    assert response(j, [0, 1]) == pytest.approx(np.linalg.inv(curvature) @ cross)


@pytest.mark.parametrize("inner", [[[0, 0], [0, -1]], [[1, 2], [2, 4]]])
def test_an_inner_that_nothing_pulls_to_rest_has_no_response(inner: list[list[float]]) -> None:
    j = np.eye(3)
    j[1:, 1:] += inner
    with pytest.raises(MeasureError, match="can be inverted"):
        response(j, [0])


@pytest.mark.parametrize(("j", "outer"), [(np.ones((2, 3)), [0]), (J, []), (J, [0, 1, 2, 3]), (J + np.inf, [0])])
def test_what_has_no_blocks_is_refused(j: np.ndarray, outer: list[int]) -> None:
    for measure in (blocks, feedback, response):
        with pytest.raises(MeasureError):
            measure(j, outer)
