"""Derivatives of a system's step: by its tape, or by central differences where no tape runs through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from sandbox.measure.differences import Difference, Differences, jacobian_by_differences
from sandbox.measure.error import wrong
from sandbox.measure.system import System

Method = Literal["tape", "differences"]
CHUNK = 64  # products taken at once
PROBES = 4  # of what a step returns, in the check of a tape


@dataclass(frozen=True)
class Check:
    """What the tape `missed`, in words ("": nothing was found), and the leaves that could not be checked, since
    the step has no value next to the state. `errors` [2, 2]: how far the Frobenius norms of the blocks of J may be off
    (rows outer and inner, columns likewise): what tape and differences differ by, and what these can't see."""

    missed: str
    unchecked: tuple[str, ...]
    errors: Tensor = field(default_factory=lambda: torch.zeros(2, 2, dtype=torch.float64), compare=False)


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
        with system.around():
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
    """v [P, S = 1, n] -> J v, by central differences: two steps a probe for each group of leaves of like size.

    A leaf is moved by `spacing` of its root mean square (or of 1, where it is 0) in the coordinate that moves most, or
    less, where another of its group is smaller. By default the cube root of the step's rounding unit, which is
    measured: about 1e-10 of J for float64 and 1e-4 for float32. For a step with jumps choose a spacing wider than they
    are apart. Where that leaves the domain of the step, closer points are tried.
    """
    ways = Differences(system, spacing)

    def product(probes: Tensor) -> Tensor:
        return torch.stack([ways.quick(v) for v in probes.reshape(-1, system.n)]).reshape(probes.shape)

    return product


def jacobian(system: System, method: Method, *, spacing: float | None = None) -> Tensor:
    """[n, n]: J, by n products. Raises where an entry is not finite."""
    if method == "differences":
        return finite(system, jacobian_by_differences(system, spacing=spacing)[0])
    product = vector_jacobian(system)
    if product is None:
        raise wrong(expected="a step with a tape from its state to what it returns", got="none",
                    do="Return new tensors computed from the state, or use method='differences'.")  # fmt: skip
    return finite(system, product(torch.eye(system.n, dtype=torch.float64)[:, None])[:, 0])


def finite(system: System, found: Tensor) -> Tensor:
    """[n, n]: the same J; raises where an entry is not finite."""
    if not found.isfinite().all():
        bad = [leaf.path for leaf in system.leaves if not found[:, leaf.coordinates].isfinite().all()]
        raise wrong(expected="finite derivatives of the step", got=f"NaN or infinity by {', '.join(bad)}",
                    do="Look for a root, logarithm or norm at 0 in the step.")  # fmt: skip
    return found


def check(system: System, product: Callable[[Tensor], Tensor], *, seed: int = 0) -> Check:
    """Compares the tape with the step itself: a dropped dependence (`.item()`, `.detach()`, `no_grad`, an update in
    place) would read as an influence that is absent.

    For every leaf and side, uᵀJ v by the tape is compared with differences along a random v on the leaf alone (on its
    part of one side, where it has two), for four u. They agree where they differ by no more than thrice the
    differences' own error, if that is less than a hundredth of what is compared. Otherwise other spacings are tried, up
    to four: closer, for curvature and kinks, and wider, for rounding. Where they disagree by more than an error that is
    small, the tape has missed something. Where
    no spacing can tell, nothing is found, and `errors` says how much that may be. Four steps a leaf and spacing.
    """
    generator = torch.Generator().manual_seed(seed)
    sides = torch.stack([torch.from_numpy(system.outer), ~torch.from_numpy(system.outer)])
    u = torch.randn(PROBES, system.n, generator=generator, dtype=torch.float64)
    rows = product((u * sides[:, None]).reshape(-1, 1, system.n)).reshape(2, PROBES, system.n)
    ways, unchecked, squares = Differences(system), [], torch.zeros(2, 2, dtype=torch.float64)
    for leaf, column in ((leaf, column) for leaf in system.leaves for column in (0, 1)):
        v = torch.zeros(system.n, dtype=torch.float64)
        v[leaf.coordinates] = torch.randn(leaf.stop - leaf.start, generator=generator, dtype=torch.float64)
        v *= sides[column]
        if not bool(v.any()):  # a leaf is on one side, but for flat states
            continue
        found = _compared(ways, v, u, rows, sides)
        if found is None:
            unchecked.append(leaf.path)
            continue
        for name, said in zip(("outer", "inner"), found, strict=True):
            if said.differs:
                where = f"how {name} depends on {leaf.path}: along a random direction"
                told = f"{where} {said.tape:.6g} by the tape, {said.steps:.6g} by differences"
                return Check(told, tuple(unchecked))
        squares[:, column] += torch.tensor([said.error for said in found], dtype=torch.float64) ** 2
    return Check("", tuple(dict.fromkeys(unchecked)), 3 * squares.sqrt())


@dataclass(frozen=True)
class Compared:
    """One side's dependence on one leaf, along one direction, by the `tape` and by `steps`; how far the tape may be off
    (`error`), whether they agree (`agrees`), and whether they surely differ."""

    tape: float
    steps: float
    error: float
    agrees: bool
    differs: bool


def _compared(
    ways: Differences, v: Tensor, u: Tensor, rows: Tensor, sides: Tensor
) -> tuple[Compared, Compared] | None:  # fmt: skip
    """Outer and inner compared along v [n], at up to four spacings; None where the step has no value at any."""
    best: list[Compared] | None = None
    unit = max(float(torch.finfo(leaf.dtype).eps) for leaf in ways.system.leaves)
    for times in (None, 1 / 16, 1 / 256, 8):
        found = ways.along(v, None if times is None else min(0.2, times * ways.share))
        if not found.value.isfinite().all():
            continue
        now = [_side(found, v, u, row, side, unit) for row, side in zip(rows, sides, strict=True)]
        best = now if best is None else [_settled(old, new) for old, new in zip(best, now, strict=True)]
        if all(said.agrees for said in best):
            break
    return None if best is None else (best[0], best[1])


def _side(found: Difference, v: Tensor, u: Tensor, rows: Tensor, side: Tensor, unit: float) -> Compared:
    """`unit`: what the tape itself rounds to."""
    own = (u * side) @ v
    tape, steps = rows @ v - own, (u * side) @ found.value - own
    gap, off = float((tape - steps).square().mean().sqrt()), float(found.error[side].norm())
    off += unit * float((rows * v).abs().sum(dim=1).max())
    size = max(float(tape.square().mean().sqrt()), float(steps.square().mean().sqrt()))
    allowed = 3 * off + 1e-7 * size
    return Compared(
        tape=float(tape[0]),
        steps=float(steps[0]),
        error=gap + off,
        agrees=gap <= allowed and off <= 0.01 * size,
        differs=gap > allowed and off <= 0.1 * size,
    )


def _settled(old: Compared, new: Compared) -> Compared:
    """What is known of a side after one more spacing: an agreement settles it, then a sure difference."""
    if old.agrees or new.agrees:
        return old if old.agrees else new
    if old.differs or new.differs:
        return old if old.differs else new
    return old if old.error <= new.error else new
