"""M and the graph of a system too large for its whole Jacobian, by random probes of a step's derivative."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sandbox.measure.array import Array
from sandbox.measure.coupling import Coupling, probed_coupling
from sandbox.measure.derivative import Method, jacobian_vector, vector_jacobian
from sandbox.measure.differences import Differences
from sandbox.measure.error import wrong
from sandbox.measure.graph import block_norms
from sandbox.measure.product import Product
from sandbox.measure.system import System

PARTITIONS = 4  # random ones, for the null
FEW = 8  # probes for each of those, and at most of each module, where a probe costs steps
TOGETHER = 64  # probes of all modules together, or two each


def probed(
    system: System, method: Method, belongs: Array, near: float, *, probes: int, spacing: float | None, seed: int
) -> tuple[Coupling, Array, Tensor]:  # fmt: skip
    """Returns M, the block norms of the modules, and how far the derivatives may put the norms of the four blocks off
    [2, 2].

    By the tape `probes` probes a block, random partition and module. By differences, where a probe costs two steps for
    each group of leaves of like size, as many for M alone, 8 for each partition, and for each module from 8 down to 2,
    where there are many. Raises where derivatives are not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(probes, 1, system.n, generator=generator, dtype=torch.float64)
    partition = torch.rand(PARTITIONS, system.n, generator=generator, dtype=torch.float64)
    side: Literal["left", "right"] = "left" if method == "tape" else "right"
    if method == "tape":
        product = vector_jacobian(system)
        assert product is not None
        found = _single(probed_coupling(product, system.outer, noise, partition, side=side, near_bound=near))
        return found, block_norms(product, noise, belongs, side=side)[0], torch.zeros(2, 2, dtype=torch.float64)
    product, few = jacobian_vector(system, spacing=spacing), noise[:FEW]
    own = probed_coupling(product, system.outer, noise, partition[:0], side=side, near_bound=near)
    null = probed_coupling(product, system.outer, few, partition, side=side) if probes > 1 else own
    found = _single(replace(own, null=null.null, null_spread=null.null_spread))
    each = noise[: max(2, min(FEW, TOGETHER // len(belongs)))]
    norms, errors = block_norms(product, each, belongs, side=side)[0], _errors(system, product, few, spacing)
    return found, np.where(norms > float(errors.norm()), norms, 0), errors  # what can't be told from 0 is no edge


def _single(found: Coupling) -> Coupling:
    """Of the one system, if its derivatives are finite."""
    single = Coupling(**{name: value[0] for name, value in _fields(found).items()})
    if not bool(single.finite):
        raise wrong(expected="finite derivatives of the step", got="NaN or infinite ones",
                    do="Look for a root, logarithm or norm at 0 in the step.")  # fmt: skip
    return single


def _fields(found: Coupling) -> dict[str, Any]:
    return dict(vars(found))


def _errors(system: System, product: Product, noise: Tensor, spacing: float | None) -> Tensor:
    """[2, 2]: by four probes a side, how far the products that were used lie from those of other spacings."""
    ways, squares = Differences(system, spacing), torch.zeros(2, 2, dtype=torch.float64)
    sides = torch.stack([torch.from_numpy(system.outer), ~torch.from_numpy(system.outer)])
    some = noise[: len(noise) // 2 or 1, 0]
    for column, source in enumerate(sides):
        for v in some * source:
            used, checked, rounding = product(v[None, None])[0, 0], v.clone(), torch.zeros_like(v)
            for part in ways.groups(v):
                one = ways.checked(part)
                checked += one.value - part
                rounding += one.error if spacing is None else one.rounding + one.spread
            off = (used - checked).abs() + rounding
            for row, target in enumerate(sides):
                squares[row, column] += float(off[target].square().sum()) / len(some)
    return squares.sqrt()
