"""Whether a system has any two-part structure: its modules as a graph, and the parts that rewrite each other.

The graph has an edge j → i where module j changes how module i is updated. Modules on a common cycle have no order
among them; what is left between such components is a hierarchy. Unlike M it asks for no partition into two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from sandbox.measure.array import Array, array, square
from sandbox.measure.error import wrong
from sandbox.measure.product import NUMBERS, Product, at_once


@dataclass(frozen=True)
class Components:
    """`share` in (0, 1]: coordinates in the largest strongly connected component over all (LSCC). 1 means that every
    part rewrites every other, directly or not; its least is the share of the largest single module, so read it next to
    `components`: the names in each, largest first. `edges` holds (from, to): |K_[to, from]||_F of those above tau."""

    share: float
    components: tuple[tuple[str, ...], ...]
    edges: Mapping[tuple[str, str], float]


def largest_component(jacobian: Any, modules: Mapping[str, Any], *, tau: float = 1e-8) -> Components:
    """LSCC of J [n, n] for `modules`: the coordinates of each by name, every coordinate in exactly one.

    `tau` is in the units of K = J - I: an edge is a block of larger Frobenius norm. The default asks whether there is
    an influence at all, beyond rounding; see `sweep` for how strong it must be. Raises where J is not square or not
    finite, where a coordinate is in no module or in two, and for a negative tau.
    """
    j = square(jacobian)
    belongs = belonging(modules, len(j))
    norms = np.sqrt(belongs @ np.square(j - np.eye(len(j))) @ belongs.T)
    return components(norms, dict(zip(modules, belongs.sum(axis=1), strict=True)), tau=tau)


def components(norms: Any, sizes: Mapping[str, float], *, tau: float = 1e-8) -> Components:
    """The same from block norms |K_[i, j]|_F [modules, modules], however they were found, and the size of each."""
    names, weights = tuple(sizes), array(list(sizes.values()), "sizes of modules")
    norms = array(norms, "block norms", [len(names), len(names)]) * (1 - np.eye(len(names)))
    if not tau >= 0:
        raise wrong(expected="tau ≥ 0", got=f"{tau}", do="It is the least norm that counts as an influence.")
    count, labels = connected_components(norms > tau, connection="strong")
    coordinates = np.bincount(labels, weights, count)
    order = sorted(range(count), key=lambda c: (-coordinates[c], labels.tolist().index(c)))
    return Components(
        float(coordinates.max() / weights.sum()),
        tuple(tuple(name for name, label in zip(names, labels, strict=True) if label == c) for c in order),
        {(names[f], names[t]): float(norms[t, f]) for t, f in zip(*np.nonzero(norms > tau), strict=True)},
    )


def block_norms(
    product: Product,
    noise: Tensor,
    belongs: Array,
    *,
    side: Literal["left", "right"] = "left",
    numbers: int = NUMBERS,
) -> Array:
    """[S, modules, modules]: |K_[to, from]|_F of S systems by products of their Jacobians, for `components`.

    `product`, `noise` [m, S, n] and `side` are as in `coupling.probed_coupling`; `belongs` [modules, n] is 1 where a
    coordinate is in a module. A module of at most m numbers is read exactly, by one product a number, a larger one by
    m random probes (Hutchinson 1990). Memory: at most `numbers` numbers of probes (or one probe) go through `product`
    at once, and this function holds at most three times as many.
    """
    m, systems, n = noise.shape
    within = torch.from_numpy(belongs).to(noise.dtype)
    coordinates = [np.flatnonzero(row) for row in belongs]
    plan = [(i, r) for i, found in enumerate(coordinates) for r in range(min(m, len(found)))]
    squares = torch.zeros(systems, len(belongs), len(belongs), dtype=noise.dtype)

    def probe(i: int, r: int) -> Tensor:
        if len(coordinates[i]) > m:
            return noise[r] * within[i] / m**0.5
        alone = torch.zeros(systems, n, dtype=noise.dtype)
        alone[:, coordinates[i][r]] = 1
        return alone

    for part in (plan[at : at + most] for most in [at_once(systems, n, numbers)] for at in range(0, len(plan), most)):
        probes = torch.stack([probe(i, r) for i, r in part])
        lengths = torch.einsum("psn,jn->psj", (product(probes) - probes).square(), within)
        squares.index_add_(1, torch.tensor([i for i, _ in part]), lengths.transpose(0, 1))
    norms = squares.sqrt().double().numpy()
    return norms if side == "left" else norms.swapaxes(1, 2)


def sweep(jacobian: Any, modules: Mapping[str, Any], taus: Sequence[float] | Array) -> Array:
    """[len(taus)]: the share at each tau; it never rises with tau. Raises as `largest_component`."""
    return np.array([largest_component(jacobian, modules, tau=float(tau)).share for tau in array(taus, "taus", [None])])


def belonging(modules: Mapping[str, Any], n: int) -> Array:
    """[m, n]: 1 where a coordinate is in a module; raises where one is in none or in two."""
    belongs = np.zeros((len(modules), n))
    for row, (name, coordinates) in zip(belongs, modules.items(), strict=True):
        found = np.atleast_1d(np.asarray(coordinates))
        if found.dtype == bool and found.shape == (n,):
            found = np.flatnonzero(found)
        fits = found.ndim == 1 and found.size and np.issubdtype(found.dtype, np.integer)
        if not fits or found.min() < 0 or found.max() >= n:
            raise wrong(expected=f"module '{name}' as a mask [{n}] or indices in 0..{n - 1}, at least one",
                        got=f"{np.asarray(coordinates).tolist()}"[:80], do="Leave empty modules out.")  # fmt: skip
        np.add.at(row, found, 1)
    times = belongs.sum(axis=0)
    if (times != 1).any():
        first = int(np.flatnonzero(times != 1)[0])
        raise wrong(expected="every coordinate in one module", got=f"coordinate {first} in {int(times[first])}",
                    do="Cover the state once; put what is left in a module of its own.")  # fmt: skip
    return belongs
