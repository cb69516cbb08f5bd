"""MI against its closed form, its laws, and systems of known structure."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.measure import modes
from sandbox.measure.error import MeasureError
from sandbox.measure.modes import merge_index, separation
from tests.measure.systems import (
    coupling,
    dense,
    meta_learning,
    online_hypergradient,
    plain_training,
    self_updating_network,
    srwm,
    swap,
)

law = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10**6)


def random(seed: int, n_o: int = 3, n_i: int = 4) -> tuple[NDArray[np.float64], list[int]]:
    n = n_o + n_i
    return np.eye(n) + 0.5 * np.random.default_rng(seed).standard_normal((n, n)), list(range(n_o))


def invertible(seed: int, n: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    q, r = np.linalg.qr(rng.standard_normal((2, n, n)))
    return q[0] @ np.diag(rng.uniform(0.3, 3, n)) @ q[1] * np.sign(r[0, 0, 0])


def together(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.block([[a, np.zeros((len(a), len(b)))], [np.zeros((len(b), len(a))), b]])


@pytest.mark.parametrize(
    ("j", "mi"),
    [
        ([[0.9, 0.1], [0.2, 0.5]], 1 / 3),  # 4 · .02 / (.16 + .08)
        ([[0.5, 0.3], [0.3, 0.5]], 1.0),  # equal rates merge at any coupling
        ([[1.0, 0.01], [0.01, 0.0]], 0.0004 / 1.0004),
        ([[2.0, 1.0], [0.5, -1.0]], 2 / 11),
    ],
)
def test_one_coordinate_a_side_has_a_closed_form(j: list[list[float]], mi: float) -> None:
    found = merge_index(j, [0])
    assert found.value == pytest.approx(mi, abs=1e-6)
    assert found.modal == pytest.approx(mi, abs=1e-6)
    assert found.kappa is not None
    if found.kappa < inf:
        assert 4 * found.kappa / (1 + 4 * found.kappa) == pytest.approx(mi, abs=1e-6)


def test_influences_of_opposite_sign_read_what_kappa_allows() -> None:
    found = merge_index([[1.0, 0.1], [-0.1, 0.5]], [0])
    assert found.kappa == pytest.approx(0.04)
    assert found.modal == pytest.approx(0.04 / 0.21)  # |4 q r / ((p - s)² + 4 q r)|
    assert found.value == pytest.approx(0.16 / 1.16)
    rotation = merge_index([[1.0, 1.0], [-1.0, 0.5]], [0])  # complex modes: |…| is clipped
    assert rotation.modal == 1
    assert rotation.value == pytest.approx(16 / 17)


@pytest.mark.parametrize("lam", [0.1, 0.5, 0.8, 1.0])
def test_the_linear_quadratic_string(lam: float) -> None:
    e_p, e_a = 0.05, 0.5
    j = np.kron([[1 - e_p, lam * e_p], [e_a, 1 - e_a]], np.eye(3))  # three targets, each with a double eigenvalue
    expected = 4 * lam * e_p * e_a / ((e_p - e_a) ** 2 + 4 * lam * e_p * e_a)
    assert merge_index(j, range(3)).value == pytest.approx(expected, abs=1e-9)


def test_participations_are_the_outer_share_of_each_mode() -> None:
    found = merge_index([[1.0, 0.0, 0.0], [0.0, 0.5, 0.2], [0.0, 0.2, 0.5]], [0, 1])
    by_rate = dict(zip(found.eigenvalues.real.round(6), found.participations.real, strict=True))
    assert by_rate == pytest.approx({1.0: 1.0, 0.7: 0.5, 0.3: 0.5})
    assert found.modal == pytest.approx(1)  # the unmoved mode has no weight
    assert found.participations.sum() == pytest.approx(2)


def test_a_mode_shared_as_evenly_as_the_blocks_are_large_is_merged() -> None:
    found = merge_index(np.eye(4) + 0.1, [0])  # only the sum moves, a quarter of it outer
    assert found.modal == pytest.approx(1)
    assert merge_index(np.eye(4) + 0.1, [0, 3]).modal == pytest.approx(1)


def test_kappa_takes_spectral_norms() -> None:
    found = merge_index(np.kron([[0.9, 0.1], [0.2, 0.5]], np.eye(3)), range(3))
    assert found.kappa == pytest.approx(0.02 / 0.16)


@law
@given(seeds)
def test_modes_don_t_see_the_basis_within_a_block(seed: int) -> None:
    j, outer = random(seed)
    t = together(invertible(seed + 1, 3), invertible(seed + 2, 4))
    other = merge_index(t @ j @ np.linalg.inv(t), outer)
    assert other.modal == pytest.approx(merge_index(j, outer).modal, rel=1e-6)
    assert other.participations.sum() == pytest.approx(3)


@law
@given(seeds, st.floats(-6, 6))
def test_the_index_sees_neither_rotations_nor_the_scale_of_a_block(seed: int, log: float) -> None:
    j, outer = random(seed)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((4, 4)))
    t = together(10**log * np.eye(3), q)
    found, other = merge_index(j, outer), merge_index(t @ j @ np.linalg.inv(t), outer)
    assert other.value == pytest.approx(found.value, rel=1e-6)
    assert other.kappa == pytest.approx(found.kappa, rel=1e-6)


def test_a_basis_that_mixes_the_blocks_changes_it() -> None:
    toy = online_hypergradient(0, 0.01)
    t = invertible(0, 13)
    mixed = merge_index(t @ toy.jacobian @ np.linalg.inv(t), toy.indices)
    assert merge_index(toy.jacobian, toy.indices).modal < 0.4
    assert mixed.modal > 0.7


@law
@given(seeds)
def test_the_order_of_coordinates_and_the_names_of_the_sides_change_nothing(seed: int) -> None:
    j, outer = random(seed)
    order = np.random.default_rng(seed).permutation(7)
    found = merge_index(j, outer)
    assert merge_index(j[np.ix_(order, order)], np.isin(order, outer)).value == pytest.approx(found.value, rel=1e-7)
    assert merge_index(j, [3, 4, 5, 6]).value == pytest.approx(found.value, rel=1e-7)
    assert 0 <= found.value <= 1


@law
@given(seeds, st.booleans())
def test_one_direction_absent_is_zero(seed: int, upper: bool) -> None:
    j, outer = random(seed)
    j[:3, 3:] *= upper
    j[3:, :3] *= not upper
    found = merge_index(j, outer)
    assert (found.value, found.kappa) == (0, 0)
    assert found.modal == pytest.approx(0, abs=1e-9)


def test_kappa_decides_where_modes_have_no_basis() -> None:
    rounded = merge_index([[1.5, 0.1], [-0.1, 1.3]], [0])  # (p - s)² + 4 q r = 0: a double rate, one mode
    assert rounded.modal == 1
    assert rounded.value == pytest.approx(0.5)
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))
    lost = merge_index(q @ (2 * np.eye(8) + np.eye(8, k=1)) @ q.T, range(4))  # one mode for eight coordinates
    assert lost.unresolved
    assert lost.participations.tolist() == [0.5] * 8
    assert lost.modal == 1
    assert lost.kappa is not None
    assert lost.value == pytest.approx(4 * lost.kappa / (1 + 4 * lost.kappa))
    assert merge_index([[1.0, 0.0], [1.0, 1.0]], [0]).value == 0


def test_extreme_units_leave_modes_resolved() -> None:
    found = merge_index([[0.9, 0.1e14], [0.2e-14, 0.5]], [0])
    assert not found.unresolved
    assert found.value == pytest.approx(1 / 3)


def test_equal_rates_on_both_sides_leave_kappa_infinite_and_nothing_moving_is_zero() -> None:
    assert merge_index([[0.5, 1e-9], [1e-9, 0.5]], [0]).kappa == inf
    still = merge_index(np.eye(4), [0, 1])
    assert (still.value, still.modal, still.kappa) == (0, 0, 0)


def test_kappa_is_skipped_for_large_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    j, outer = random(0)
    monkeypatch.setattr(modes, "LARGEST", 11)
    found = merge_index(j, outer)
    assert found.kappa is None
    assert found.value == found.modal > 0
    monkeypatch.setattr(modes, "LARGEST", 12)
    assert merge_index(j, outer).kappa is not None


@law
@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_separation_is_the_least_singular_value_of_its_operator(seed: int, n_o: int, n_i: int) -> None:
    rng = np.random.default_rng(seed)
    outer, inner = rng.standard_normal((n_o, n_o)), rng.standard_normal((n_i, n_i))
    operator = np.kron(inner, np.eye(n_o)) - np.kron(np.eye(n_i), outer.T)
    assert separation(outer, inner) == pytest.approx(np.linalg.svd(operator, compute_uv=False)[-1], rel=1e-7)


def test_separation_of_normal_blocks_is_the_gap_between_their_rates() -> None:
    assert separation(np.diag([1.0, 2.0]), np.diag([4.0, 2.5, 9.0])) == pytest.approx(0.5)
    assert separation(np.diag([1.0, 2.0]), np.diag([4.0, 2.0, 9.0])) == 0


def test_one_step_of_a_self_referential_matrix_is_a_hierarchy_though_its_modes_mix() -> None:
    toy = srwm()
    found = merge_index(toy.jacobian, toy.indices)
    assert found.modal > 0.1
    assert found.value == coupling(toy.jacobian, toy.indices) == 0


@pytest.mark.parametrize("toy", [plain_training(), meta_learning()])
def test_without_feedback_both_indices_are_zero(toy) -> None:
    assert merge_index(toy.jacobian, toy.indices).value == coupling(toy.jacobian, toy.indices) == 0


def test_online_meta_learning_is_coupled_at_any_rate_and_merged_in_proportion_to_it() -> None:
    rates = (1e-5, 1e-4, 1e-3)
    toys = [online_hypergradient(0, beta) for beta in rates]
    structure = [coupling(toy.jacobian, toy.indices) for toy in toys]
    merged = [merge_index(toy.jacobian, toy.indices).value for toy in toys]
    assert structure == pytest.approx([structure[0]] * 3, rel=1e-9)
    assert 0.5 < structure[0] < 0.75
    assert merged[1] / merged[0] == pytest.approx(10, rel=0.05)
    assert merged[2] / merged[1] == pytest.approx(10, rel=0.15)


def test_systems_without_parts_are_merged() -> None:
    for make in (self_updating_network, lambda seed: srwm(seed, 4), dense):
        found = [merge_index(toy.jacobian, toy.indices).value for toy in map(make, range(5))]
        assert np.mean(found) > 0.7
    assert merge_index(swap().jacobian, swap().indices).value == pytest.approx(1)
    assert coupling(swap().jacobian, swap().indices) == 1


@pytest.mark.parametrize(("j", "outer"), [([[1, 2, 3]], [0]), (np.eye(2), []), (np.full((2, 2), np.nan), [0])])
def test_what_has_no_modes_or_no_parts_is_refused(j, outer: list[int]) -> None:
    with pytest.raises(MeasureError):
        merge_index(j, outer)


def test_blocks_far_from_normal_read_a_separation_of_nothing() -> None:
    """Two delay lines of forty stages: next to one another their spectra can't be told apart in float64."""
    first, second = (np.eye(40, k=-1) + np.diag(np.full(40, rate)) for rate in (0.5, 0.5001))
    assert separation(first - np.eye(40), second - np.eye(40)) < 1e-12
    j = np.block([[first, 1e-3 * np.ones((40, 40))], [1e-3 * np.ones((40, 40)), second]])
    found = merge_index(j, range(40))
    assert 0 <= found.value <= 1
