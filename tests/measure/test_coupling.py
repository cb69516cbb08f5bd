"""M against systems whose blocks are known, its invariances, and its estimate from either side within its error."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sandbox.measure.coupling import Coupling, exact_coupling, near_bound, probed_coupling
from sandbox.measure.error import MeasureError
from tests.measure.systems import meta_learning, online_hypergradient, plain_training, srwm, swap

Side = Literal["left", "right"]
law = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10_000)


def blocks(
    oo: float = 1, oi: float = 1, io: float = 1, ii: float = 1, *, o: int = 6, i: int = 9, seed: int = 1
) -> Tensor:
    """K with blocks of independent entries, of these sizes."""
    generator = torch.Generator().manual_seed(seed)
    k = torch.randn(o + i, o + i, generator=generator, dtype=torch.float64)
    k[:o, :o] *= oo
    k[:o, o:] *= oi
    k[o:, :o] *= io
    k[o:, o:] *= ii
    return k


def exact(k: Tensor, o: int = 6, **options: Any) -> Coupling:
    return exact_coupling(torch.eye(len(k)) + k, range(o), **options)


def probed(k: Tensor, o: int = 6, *, m: int = 400, partitions: int = 0, side: Side = "left", seed: int = 0) -> Coupling:
    """M of the linear step z' = (1 + K) z, by products from one side."""
    n, generator = len(k), torch.Generator().manual_seed(seed)
    noise = torch.randn(m, 1, n, generator=generator, dtype=torch.float64)
    partition = torch.rand(partitions, n, generator=generator, dtype=torch.float64)
    by = k if side == "left" else k.T
    return probed_coupling(lambda probes: probes + probes @ by, range(o), noise, partition, side=side)


# ---- what it reads --------------------------------------------------------------------------------------------------


def test_m_is_the_cross_ratio_of_the_block_norms() -> None:
    k = torch.tensor([[3.0, 2.0, 1.0], [1.0, 4.0, 0.0], [2.0, 0.0, 5.0]], dtype=torch.float64)
    found = exact(k, 1)
    norms = [found.outer_outer, found.outer_inner, found.inner_outer, found.inner_inner]
    assert [float(norm) ** 2 for norm in norms] == pytest.approx([9, 5, 5, 41])
    assert float(found.m) == pytest.approx(5 / (5 + 3 * 41**0.5))
    assert float(found.error) == 0


@pytest.mark.parametrize("by", [exact, probed])
def test_the_ends_of_the_scale(by: Any) -> None:
    assert float(by(blocks(oi=0)).m) == 0
    assert float(by(blocks(io=0)).m) == 0
    assert float(by(blocks(oo=0, ii=0)).m) == 1
    assert not bool(by(blocks(oi=0)).degenerate)


@pytest.mark.parametrize("by", [exact, probed])
def test_nothing_moving_is_degenerate_and_reads_zero(by: Any) -> None:
    found = by(torch.zeros(15, 15, dtype=torch.float64))
    assert (float(found.m), bool(found.degenerate), float(found.error)) == (0, True, 0)


def test_known_systems_read_as_they_are() -> None:
    for system in (plain_training(), meta_learning(), srwm()):
        assert float(exact_coupling(system.jacobian, system.indices).m) == pytest.approx(0, abs=1e-12)
    assert float(exact_coupling(swap().jacobian, swap().indices).m) == 1
    assert float(exact_coupling(srwm(steps=4).jacobian, srwm().indices).m) > 0.05
    slow, fast = (
        exact_coupling(s.jacobian, s.indices).m
        for s in (online_hypergradient(beta=1e-4), online_hypergradient(beta=0.1))
    )
    assert float(slow) == pytest.approx(float(fast), rel=1e-9)


@pytest.mark.parametrize(("o", "i"), [(20, 20), (5, 35), (30, 10)])
def test_a_system_without_parts_reads_one_half_like_any_partition_of_it(o: int, i: int) -> None:
    values = [float(exact(blocks(o=o, i=i, seed=seed), o).m) for seed in range(40)]
    assert np.mean(values) == pytest.approx(0.5, abs=3 * float(np.std(values)) / 40**0.5 + 0.005)
    found = exact(blocks(o=o, i=i), o)
    assert float(found.null) == pytest.approx(0.5, abs=0.05)
    assert abs(float(found.m - found.null)) < 4 * float(found.null_spread)


def test_the_null_forgets_the_partition_but_not_its_sizes() -> None:
    k = blocks(oi=0)
    assert float(exact(k).m) == 0
    assert float(exact(k).null) > 0.3
    assert float(exact(k, seed=1).null) != float(exact(k).null)
    nulls = [float(exact(k, partitions=2, seed=seed).null) for seed in range(200)]
    assert float(exact(k).null_spread) == pytest.approx(float(np.std(nulls)) * 2**0.5, rel=0.3)
    assert torch.equal(exact(k, seed=1).null, exact(k, seed=1).null)
    assert float(probed(k, partitions=20).null) == pytest.approx(float(exact(k).null), abs=0.05)


# ---- what changes nothing -------------------------------------------------------------------------------------------


@law
@given(seeds, st.floats(1e-6, 1e6), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_block_scale_and_learning_rates_change_nothing(seed: int, scale: float, outer: float, inner: float) -> None:
    k = blocks(1.0, 0.5, 2.0, 0.7, seed=seed)
    rescaled, faster = k.clone(), k.clone()
    rescaled[:6] *= scale  # z → scale · z on the outer: rows by it, columns by its inverse
    rescaled[:, :6] /= scale
    faster[:6] *= outer
    faster[6:] *= inner
    for other in (rescaled, faster):
        assert float(exact(other).m) == pytest.approx(float(exact(k).m), rel=1e-9)
        assert float(probed(other, m=20).m) == pytest.approx(float(probed(k, m=20).m), rel=1e-9)
        assert float(probed(other, m=20).error) == pytest.approx(float(probed(k, m=20).error), rel=1e-9)


@law
@given(seeds)
def test_relabelling_changes_nothing_and_swapping_sides_neither(seed: int) -> None:
    k, order = blocks(1.0, 0.5, 2.0, 0.7, seed=seed), np.random.default_rng(seed).permutation(15)
    shuffled = exact_coupling(torch.eye(15) + k[order][:, order], np.flatnonzero(order < 6))
    other_way = exact_coupling(torch.eye(15) + k, range(6, 15))
    for found in (shuffled, other_way):
        assert float(found.m) == pytest.approx(float(exact(k).m), rel=1e-12)


def test_uneven_rescaling_within_a_block_does_change_it() -> None:
    k, scale = blocks(1.0, 0.5, 2.0, 0.7), torch.ones(15, dtype=torch.float64)
    scale[0] = 100
    assert abs(float(exact(scale[:, None] * k / scale).m) - float(exact(k).m)) > 0.01


# ---- estimates ------------------------------------------------------------------------------------------------------


@law
@given(seeds, st.sampled_from(["left", "right"]))
def test_probes_find_the_exact_m_within_three_standard_errors(seed: int, side: Side) -> None:
    k = blocks(1.0, 0.5, 2.0, 0.7, seed=seed)
    found = probed(k, m=64, side=side, seed=seed)
    assert abs(float(found.m - exact(k).m)) < 3 * float(found.error)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_standard_error_is_the_spread_of_the_estimate(side: Side) -> None:
    k = blocks(1.0, 0.5, 2.0, 0.7)
    found = [probed(k, m=32, side=side, seed=seed) for seed in range(300)]
    spread = float(np.std([float(one.m) for one in found]))
    assert np.mean([float(one.error) for one in found]) == pytest.approx(spread, rel=0.15)
    assert np.mean([float(one.m) for one in found]) == pytest.approx(float(exact(k).m), abs=0.01)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_norms_are_on_the_right_sides(side: Side) -> None:
    k = blocks(1.0, 0.1, 5.0, 0.5)
    found, truth = probed(k, m=2000, side=side), exact(k)
    for name in ("outer_outer", "outer_inner", "inner_outer", "inner_inner"):
        assert float(getattr(found, name)) == pytest.approx(float(getattr(truth, name)), rel=0.1), name


def test_systems_side_by_side_are_read_each_for_itself() -> None:
    both = torch.stack([blocks(1.0, 0.5, 2.0, 0.7), blocks(oi=0), blocks() * torch.nan])
    noise = torch.randn(50, 1, 15, generator=torch.Generator().manual_seed(0), dtype=torch.float64).expand(-1, 3, -1)
    found = probed_coupling(lambda p: p + torch.einsum("psn,snk->psk", p, both), range(6), noise, torch.zeros(0, 15))
    assert float(found.m[0]) == pytest.approx(float(probed(both[0], m=50).m))
    assert float(found.m[1]) == 0
    assert found.finite.tolist() == [True, True, False]


# ---- bounds, and what is refused ------------------------------------------------------------------------------------


def test_crowding_at_bounds_is_counted() -> None:
    assert float(near_bound([0.005, 0.5, 0.999, 1.0], 0, 1)) == 0.75
    assert near_bound([[0.0, 5.0], [5.0, 5.0]], 0, 10).tolist() == [0.5, 0]
    assert float(near_bound([0.2, 0.5], 0, 1, within=0.2)) == 0.5
    assert float(exact(blocks(), near_bound=0.25).near_bound) == 0.25
    assert bool(exact(blocks()).near_bound.isnan())  # none declared


@pytest.mark.parametrize(
    ("jacobian", "outer", "message"),
    [
        (torch.ones(2, 3), [0], r"\[n, n\]; got \[2, 3\]"),
        (torch.full((2, 2), float("nan")), [0], "4 of 4 that are NaN or infinite"),
        (torch.eye(3), [], "0 outer of 3"),
        (torch.eye(3), [0, 1, 2], "3 outer of 3"),
        (torch.eye(3), [0, 0], "different indices"),
        (torch.eye(3), [3], "different indices in 0..2"),
        (torch.eye(3), [True, False], "a mask of 3 truth values"),
    ],
)
def test_malformed_input_is_refused(jacobian: Tensor, outer: list[int], message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        exact_coupling(jacobian, outer)


def test_one_probe_has_no_error_and_values_must_lie_in_their_bounds() -> None:
    with pytest.raises(MeasureError, match="at least 2 probes"):
        probed(blocks(), m=1)
    for values in ([2.0], [-0.1], []):
        with pytest.raises(MeasureError, match="some values in"):
            near_bound(values, 0, 1)
    for low, high in ((1, 0), (0.5, 0.5), (0, float("inf"))):
        with pytest.raises(MeasureError, match="finite bounds, the lower first"):
            near_bound([0.5], low, high)


# ---- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("at_once", [1, 3, 7, 64])
def test_probes_in_pieces_give_the_same_and_never_more_than_stated(side: Side, at_once: int) -> None:
    k = blocks(io=0.1)
    by = k if side == "left" else k.T
    generator = torch.Generator().manual_seed(0)
    noise, partition = torch.randn(5, 2, 15, generator=generator).double(), torch.rand(3, 15, generator=generator)
    sizes: list[int] = []

    def product(probes: Tensor) -> Tensor:
        sizes.append(len(probes))
        return probes + probes @ by

    found = probed_coupling(product, range(6), noise, partition, side=side, numbers=at_once * 30)
    assert max(sizes) <= at_once
    assert sum(sizes) == 5 * (2 + 3)  # of a random partition the outer side alone is probed
    whole = probed_coupling(lambda probes: probes + probes @ by, range(6), noise, partition, side=side)
    for name, value in vars(found).items():
        torch.testing.assert_close(value, vars(whole)[name], equal_nan=True)


def test_the_null_is_that_of_probing_both_sides_of_each_partition() -> None:
    k, generator = blocks(io=0.1), torch.Generator().manual_seed(0)
    noise, partition = torch.randn(6, 1, 15, generator=generator).double(), torch.rand(4, 15, generator=generator)
    found = probed_coupling(lambda probes: probes + probes @ k, range(6), noise, partition)
    each = [
        probed_coupling(lambda probes: probes + probes @ k, row.argsort()[:6], noise, torch.zeros(0, 15)).m
        for row in partition
    ]
    torch.testing.assert_close(found.null, torch.stack(each).mean(dim=0))
    torch.testing.assert_close(found.null_spread, torch.stack(each).std(dim=0))
