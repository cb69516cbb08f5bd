"""Derivatives of a system's step: by its tape, or by central differences where no tape runs through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.measure.error import wrong
from sandbox.measure.system import Leaf, System

Method = Literal["tape", "differences"]
CHUNK = 64  # products taken at once


@dataclass(frozen=True)
class Check:
    """What the tape `missed`, in words ("": nothing was found), and the leaves that could not be checked, since
    the step has no value next to the state."""

    missed: str
    unchecked: tuple[str, ...]


def vector_jacobian(system: System) -> Callable[[Tensor], Tensor] | None:
    """u [P, S = 1, n] -> uᵀJ, by one taped step and P products; None where the step leaves no tape."""
    try:
        taped = system.taped()
    except RuntimeError:  # an in-place change of a leaf, or an operation without a derivative
        return None
    if taped is None:
        return None
    given, after = taped

    def product(probes: Tensor) -> Tensor:
        rows = [_pulled(given, after, chunk) for chunk in probes.reshape(-1, system.n).split(CHUNK)]
        return torch.cat(rows).reshape(probes.shape)

    return product


def _pulled(given: list[Tensor], after: Tensor, probes: Tensor) -> Tensor:
    """[P, n]: uᵀJ for P probes, at once where the step's operations allow it."""
    try:
        found = torch.autograd.grad(after, given, probes, is_grads_batched=True, retain_graph=True, allow_unused=True)
    except RuntimeError:
        each = [torch.autograd.grad(after, given, u, retain_graph=True, allow_unused=True) for u in probes]
        found = [None if rows[0] is None else torch.stack(list(rows)) for rows in zip(*each, strict=True)]
    pieces = [torch.zeros(len(probes), *leaf.shape) if rows is None else rows
              for rows, leaf in zip(found, given, strict=True)]  # fmt: skip
    return torch.cat([piece.detach().double().reshape(len(probes), -1) for piece in pieces], dim=1)


def jacobian_vector(system: System, *, spacing: float | None = None) -> Callable[[Tensor], Tensor]:
    """v [P, S = 1, n] -> J v, by central differences: two steps a probe for each leaf that it touches.

    A leaf is moved alone, by `spacing` of its root mean square (or of 1, where it is 0) in the coordinate that moves
    most, so that no leaf is moved by another's scale. By default the cube root of the leaf's rounding unit, which
    balances rounding and curvature: about 1e-10 of J for float64 and 1e-4 for float32. For a step with jumps choose a
    spacing wider than they are apart. Where that leaves the domain of the step, half of the least entry is tried.
    """
    if spacing is not None and not spacing > 0:
        raise wrong(expected="a spacing > 0", got=f"{spacing}", do="It is a share of each leaf's size.")
    flat = system.flat

    def product(probes: Tensor) -> Tensor:
        found = torch.zeros(probes.shape, dtype=torch.float64).reshape(-1, system.n)
        for row, v in zip(found, probes.reshape(-1, system.n), strict=True):
            for leaf in system.leaves:
                if bool(v[leaf.coordinates].any()):
                    row += _difference(system, flat, v, leaf, spacing)[0]
        return found.reshape(probes.shape)

    return product


def _spacing(flat: Tensor, v: Tensor, leaf: Leaf, spacing: float | None = None) -> float:
    """How far to go along v."""
    here = leaf.coordinates
    scale = float(flat[here].square().mean().sqrt()) or 1.0
    share = spacing or float(torch.finfo(leaf.dtype).eps) ** (1 / 3)
    return share * scale / float(v[here].abs().max())


def _difference(
    system: System, flat: Tensor, v: Tensor, leaf: Leaf, spacing: float | None = None
) -> tuple[Tensor, float]:
    """[n]: J v for the part of v on one leaf, NaN where the step has no value on either side; and how far it went."""
    step = _spacing(flat, v, leaf, spacing)
    found = _central(system, flat, v, leaf, step)
    entries = flat[leaf.coordinates].abs()
    if not found.isfinite().all() and bool(entries.any()):
        within = 0.5 * float(entries[entries > 0].min() / v[leaf.coordinates].abs().max())
        return _central(system, flat, v, leaf, min(step, within)), min(step, within)
    return found, step


def _central(system: System, flat: Tensor, v: Tensor, leaf: Leaf, step: float) -> Tensor:
    """[n]: of the update, so that what doesn't move reads exactly no change."""
    ahead, behind, alone = flat.clone(), flat.clone(), torch.zeros_like(v)
    alone[leaf.coordinates] = v[leaf.coordinates]
    ahead += step * alone
    behind -= step * alone
    try:
        updates = (system.lived(ahead) - system.rounded(ahead)) - (system.lived(behind) - system.rounded(behind))
    except (ArithmeticError, ValueError):  # outside its domain
        return torch.full_like(v, torch.nan)
    return alone + updates / (2 * step)


def jacobian(system: System, method: Method, *, spacing: float | None = None) -> Tensor:
    """[n, n]: J, by n products. Raises where an entry is not finite."""
    eye = torch.eye(system.n, dtype=torch.float64)[:, None]
    if method == "tape":
        product = vector_jacobian(system)
        if product is None:
            raise wrong(expected="a step with a tape from its state to what it returns", got="none",
                        do="Return new tensors computed from the state, or use method='differences'.")  # fmt: skip
        found = product(eye)[:, 0]
    else:
        found = jacobian_vector(system, spacing=spacing)(eye)[:, 0].T
    if not found.isfinite().all():
        bad = [leaf.path for leaf in system.leaves if not found[:, leaf.coordinates].isfinite().all()]
        raise wrong(expected="finite derivatives of the step", got=f"NaN or infinity by {', '.join(bad)}",
                    do="Look for a root, logarithm or norm at 0 in the step.")  # fmt: skip
    return found


def check(system: System, product: Callable[[Tensor], Tensor], *, seed: int = 0) -> Check:
    """Compares the tape with the step itself: a dropped dependence (`.item()`, `.detach()`, `no_grad`, an update in
    place) would read as an influence that is absent.

    For every leaf and side, uᵀJ v by the tape is compared with central differences along a random v on the leaf alone,
    at two spacings: what these differ by (curvature, kinks, rounding) is no fault of the tape. Four steps a leaf.
    """
    generator = torch.Generator().manual_seed(seed)
    sides = torch.from_numpy(system.outer)
    u = torch.randn(system.n, generator=generator, dtype=torch.float64)
    rows = product(torch.stack([u * sides, u * ~sides])[:, None])[:, 0]  # [2, n]
    flat = system.flat
    rounding = max(float(torch.finfo(leaf.dtype).eps) for leaf in system.leaves)
    unchecked: list[str] = []
    for leaf in system.leaves:
        v = torch.zeros(system.n, dtype=torch.float64)
        v[leaf.coordinates] = torch.randn(leaf.stop - leaf.start, generator=generator, dtype=torch.float64)
        wide, step = _difference(system, flat, v, leaf)
        close = _central(system, flat, v, leaf, step / 4)
        if not (wide.isfinite().all() and close.isfinite().all()):
            unchecked.append(leaf.path)
            continue
        for name, side, row in (("outer", sides, rows[0]), ("inner", ~sides, rows[1])):
            own = float((u * side) @ v)
            by_tape, far, near = (float(value) - own for value in (row @ v, (u * side) @ wide, (u * side) @ close))
            noise = rounding * float((u * side * flat).norm()) / (step / 4)
            allowed = 10 * noise + rounding**0.25 * max(abs(by_tape), abs(near)) + 3 * abs(far - near)
            if not abs(by_tape - near) <= allowed:
                where = f"how {name} depends on {leaf.path}: along a random direction"
                return Check(f"{where} {by_tape:.6g} by the tape, {near:.6g} by differences", ())
    return Check("", tuple(unchecked))
