"""M against systems whose blocks are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sandbox.measure.coupling import Coupling, probed_coupling


def measured(k: Tensor, outer: int, *, m: int = 400, partitions: int = 20, seed: int = 0) -> Coupling:
    """M of the linear step z' = (1 + K) z, for one seed."""
    n, generator = len(k), torch.Generator().manual_seed(seed)
    noise = torch.randn(m, 1, n, generator=generator, dtype=torch.float64)
    partition = torch.rand(partitions, n, generator=generator, dtype=torch.float64)
    return probed_coupling(lambda probes: probes + probes @ k, range(outer), noise, partition)


def blocks(oo: float, oi: float, io: float, ii: float, o: int = 6, i: int = 9, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    k = torch.randn(o + i, o + i, generator=generator, dtype=torch.float64)
    k[:o, :o] *= oo
    k[:o, o:] *= oi
    k[o:, :o] *= io
    k[o:, o:] *= ii
    return k


def exact(k: Tensor, o: int) -> float:
    a, b, c, e = k[:o, :o].norm(), k[:o, o:].norm(), k[o:, :o].norm(), k[o:, o:].norm()
    return float(b * c / (b * c + a * e))


def test_probes_recover_the_exact_m_and_its_norms() -> None:
    k = blocks(1.0, 0.5, 2.0, 0.7)
    found = measured(k, 6)
    assert float(found.m) == pytest.approx(exact(k, 6), abs=0.02)
    assert float(found.outer_inner) == pytest.approx(float(k[:6, 6:].norm()), rel=0.05)
    assert float(found.inner_outer) == pytest.approx(float(k[6:, :6].norm()), rel=0.05)


@pytest.mark.parametrize("absent", [{"oi": 0.0}, {"io": 0.0}])
def test_one_direction_absent_is_a_hierarchy(absent: dict[str, float]) -> None:
    assert float(measured(blocks(**{"oo": 1.0, "oi": 1.0, "io": 1.0, "ii": 1.0, **absent}), 6).m) == 0


def test_a_pure_swap_is_one() -> None:
    assert float(measured(blocks(0, 1, 1, 0), 6).m) == 1


def test_nothing_moving_is_degenerate_and_reads_zero() -> None:
    found = measured(torch.zeros(15, 15, dtype=torch.float64), 6)
    assert float(found.m) == 0
    assert float(found.null) == 0


def test_a_dense_system_has_no_parts_so_its_own_partition_is_like_any() -> None:
    k = blocks(1, 1, 1, 1, o=20, i=20)
    found = measured(k, 20)
    assert float(found.m) == pytest.approx(0.5, abs=0.05)
    assert float(found.null) == pytest.approx(0.5, abs=0.05)


def test_rescaling_a_block_of_coordinates_or_a_learning_rate_changes_nothing() -> None:
    k = blocks(1.0, 0.5, 2.0, 0.7)
    scale = torch.ones(15, dtype=torch.float64)
    scale[:6] = 1e7
    rescaled = k * scale[:, None] / scale[None]  # z → scale · z
    faster = k.clone()
    faster[:6] *= 10  # the outer learning rate
    for other in (rescaled, faster):
        assert exact(other, 6) == pytest.approx(exact(k, 6), rel=1e-12)
        assert float(measured(other, 6).m) == pytest.approx(float(measured(k, 6).m), rel=1e-9)
