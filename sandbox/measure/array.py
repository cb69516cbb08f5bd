"""Input of any kind (lists, arrays, tensors) as finite float64 arrays, or an error that says what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sandbox.measure.error import wrong

Array = NDArray[np.float64]


def array(values: Any, name: str, shape: Sequence[int | None] | None = None) -> Array:
    """`values` as a finite float64 array; `shape` names the sizes that it must have, None for any."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise wrong(expected=f"{name} as numbers", got=f"{type(values).__name__}: {error}",
                    do="Pass a list, an array or a tensor of one shape.") from error  # fmt: skip
    if shape is not None:
        fits = found.ndim == len(shape) and all(
            want in (None, size) for want, size in zip(shape, found.shape, strict=True)
        )
        if not fits:
            want = "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
            raise wrong(expected=f"{name} of shape {want}", got=f"{list(found.shape)}", do="Check its axes.")
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).sum())
        raise wrong(expected=f"{name} of finite numbers", got=f"{bad} of {found.size} that are NaN or infinite",
                    do="Leave the diverged ones out by hand, and say so.")  # fmt: skip
    return found


def square(values: Any, name: str = "a Jacobian") -> Array:
    """[n, n], n ≥ 1: a finite square matrix."""
    found = array(values, name)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not found.size:
        raise wrong(expected=f"{name} [n, n]", got=f"{list(found.shape)}",
                    do="Outer and inner state together must map to a state of the same size.")  # fmt: skip
    return found


def distribution(values: Any, name: str, shape: Sequence[int | None]) -> Array:
    """Non-negative numbers whose last axis sums to 1 (to 1e-8)."""
    found = array(values, name, shape)
    sums = found.sum(axis=-1)
    worst = float(np.abs(sums - 1).max()) if sums.size else 0.0
    if (found < 0).any() or worst > 1e-8:
        got = f"the entry {found.min():.3g}" if (found < 0).any() else f"a row that is off by {worst:.3g}"
        raise wrong(expected=f"{name} whose rows are ≥ 0 and sum to 1", got=got,
                    do="Normalise them; a terminal state is absorbing (it goes to itself) and pays 0.")  # fmt: skip
    return found


def members(outer: Any, n: int) -> NDArray[np.bool_]:
    """[n]: which coordinates are outer, from a mask, or from their indices; both sides must have some.

    Raises where the partition covers nothing, everything, or a coordinate that is not there.
    """
    found = outer.detach().cpu().numpy() if isinstance(outer, torch.Tensor) else np.asarray(outer)
    if found.dtype == bool and found.shape == (n,):
        mask = found
    elif found.ndim == 1 and (not found.size or np.issubdtype(found.dtype, np.integer)):
        if found.size and (found.min() < 0 or found.max() >= n or len(set(found.tolist())) < len(found)):
            raise wrong(expected=f"different indices in 0..{n - 1}", got=f"{found.tolist()}",
                        do="Name each outer coordinate once.")  # fmt: skip
        mask = np.zeros(n, bool)
        mask[found.astype(int)] = True
    else:
        raise wrong(expected=f"a mask of {n} truth values, or indices", got=f"{found.dtype} {list(found.shape)}",
                    do="Say which coordinates are outer; the others are inner.")  # fmt: skip
    if mask.all() or not mask.any():
        raise wrong(expected="outer and inner coordinates", got=f"{int(mask.sum())} outer of {n}",
                    do="A partition needs some on either side.")  # fmt: skip
    return mask
