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
CLOSER = (None, 1 / 16, 1 / 256, 2**-12, 2**-17, 2**-22)  # spacings at which a tape is checked, as shares of the usual
WIDER = 8  # where rounding hides all


@dataclass(frozen=True)
class Check:
    """Says what the tape `missed` ("": nothing was found), and names the leaves that could not be checked, since the
    step has no value next to the state, or none that tells (a kink or a jump lies there). `errors` [2, 2]: how far the
    Frobenius norms of the blocks of J may be off (rows outer and inner, columns likewise): what tape and differences
    differ by, and what these can't see."""

    missed: str
    unchecked: tuple[str, ...]
    errors: Tensor = field(default_factory=lambda: torch.zeros(2, 2, dtype=torch.float64), compare=False)


def vector_jacobian(system: System) -> Callable[[Tensor], Tensor] | None:
    """u [P, S = 1, n] -> uᵀJ, by one taped step and P products; None where the step leaves no tape."""
    try:
        taped = system.taped()
    except Exception:  # an in-place change of a leaf, an operation without a derivative, whatever a foreign step does
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

    The number that moves most for its size, or for the usual size in its leaf where that is larger (1 where all are 0),
    moves by `spacing` of it. By default the cube root of the step's rounding unit, which is
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
    differences' own error, if that is less than a hundredth of what is compared. Where they don't, it is differences
    that may be wrong: they look past what is finer than their spacing. So they are taken closer and closer, until
    rounding is a hundredth of what is apart, and wider, where rounding hides all. One agreement clears the tape; it has
    missed something where the closest differences disagree with it by more than an error that is small. Where no
    spacing can tell, the tape is kept, and `errors` says how much that may be. Four steps a leaf and spacing.
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
        v *= float((v != 0).sum()) ** 0.5 / v.norm()
        found = _compared(ways, v, u, rows, sides)
        if found is None:
            unchecked.append(leaf.path)
            continue
        for name, said in zip(("outer", "inner"), found, strict=True):
            if said.differs:
                where = f"how {name} depends on {leaf.path}: along a random direction"
                told = f"{where} {said.tape:.6g} by the tape, {said.steps:.6g} by differences"
                return Check(told, tuple(unchecked))
        unchecked += [leaf.path] * any(said.unclear for said in found)
        squares[:, column] += torch.tensor([said.error for said in found], dtype=torch.float64) ** 2
    return Check("", tuple(dict.fromkeys(unchecked)), 3 * squares.sqrt())


@dataclass(frozen=True)
class Compared:
    """Holds one side's dependence on one leaf, along one direction, by the `tape` and by `steps`; the `gap` between
    them, root mean square, and the differences' own `off`, of which rounding makes `rounding`."""

    tape: float
    steps: float
    gap: float
    off: float
    rounding: float
    size: float

    @property
    def error(self) -> float:
        """How far the tape may be off."""
        return self.gap + self.off

    @property
    def agrees(self) -> bool:
        return self.gap <= 3 * self.off + 1e-7 * self.size and self.off <= 0.01 * self.size

    @property
    def differs(self) -> bool:
        return self.gap > 3 * self.off + 1e-7 * self.size and self.off <= 0.1 * self.size

    @property
    def blurred(self) -> bool:
        """Whether closer differences would tell no more."""
        return self.rounding > 0.01 * max(self.gap, self.off - self.rounding)

    @property
    def unclear(self) -> bool:
        return not self.agrees and self.gap > 0.1 * self.size and self.gap > 3 * self.rounding


def _compared(
    ways: Differences, v: Tensor, u: Tensor, rows: Tensor, sides: Tensor
) -> tuple[Compared, Compared] | None:  # fmt: skip
    """Outer and inner compared along v [n], at up to seven spacings; None where the step has no value at any."""
    best: list[Compared] | None = None
    for times in CLOSER:
        now = _at(ways, v, u, rows, sides, times)
        if now is None:
            continue
        best = now if best is None else [_settled(old, new) for old, new in zip(best, now, strict=True)]
        if all(old.agrees or new.blurred for old, new in zip(best, now, strict=True)):
            break
    if best is None or not all(said.agrees or said.differs for said in best):
        now = _at(ways, v, u, rows, sides, WIDER)
        if best is not None and now is not None:
            best = [new if new.error < old.error else old for old, new in zip(best, now, strict=True)]
        best = best or now
    return None if best is None else (best[0], best[1])


def _at(
    ways: Differences, v: Tensor, u: Tensor, rows: Tensor, sides: Tensor, times: float | None
) -> list[Compared] | None:  # fmt: skip
    """Both sides at one spacing; None where the step has no value there."""
    found = ways.along(v, None if times is None else min(0.2, times * ways.share))
    if not found.value.isfinite().all():
        return None
    unit = max(float(torch.finfo(leaf.dtype).eps) for leaf in ways.system.leaves)  # what the tape itself rounds to
    bit = 2 * ways.noise / found.spacing
    return [_side(found, v, u, row, side, unit=unit, bit=bit) for row, side in zip(rows, sides, strict=True)]


def _side(
    found: Difference, v: Tensor, u: Tensor, rows: Tensor, side: Tensor, *, unit: float, bit: Tensor
) -> Compared:  # fmt: skip
    """One side compared at one spacing: `unit` is what the tape itself rounds to, `bit` [n] what rounding may hide."""
    own = (u * side) @ v
    tape, steps = rows @ v - own, (u * side) @ found.value - own
    rounding = float(found.rounding[side].norm())
    if not bool(steps.any()):  # not a bit has changed; what the tape has may be less than one
        rounding += float(bit[side].norm()) * bool(tape.any())
    rounding += unit * float((rows * v).abs().sum(dim=1).max())
    return Compared(
        tape=float(tape[0]),
        steps=float(steps[0]),
        gap=float((tape - steps).square().mean().sqrt()),
        off=float(found.error[side].norm()) + rounding - float(found.rounding[side].norm()),
        rounding=rounding,
        size=max(float(tape.square().mean().sqrt()), float(steps.square().mean().sqrt())),
    )


def _settled(old: Compared, new: Compared) -> Compared:
    """Says what is known of a side after a closer spacing: an agreement stands, if there was no difference before or it
    is gone; else the closest that rounding doesn't blur."""
    if old.agrees:
        return old
    if new.agrees and (not old.differs or new.gap <= old.gap / 4):
        return new
    if new.blurred:
        return old if old.differs or old.error <= new.error else new
    return new
