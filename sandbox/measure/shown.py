"""A reading as the table that `print` shows."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.measure.reading import Reading

Row = tuple[str, float | None, str]


def table(found: Reading) -> str:
    """One line for each thing read: its name, its value, and what it must be read against."""
    head = f"{found.outer} outer and {found.n - found.outer} inner numbers; derivatives by {found.method}"
    lines = [head + (f" ({found.note})" if found.note else "")]
    rows = [*_coupling(found), *_merge_index(found), *_graph(found), *_cut(found), *_direction(found)]
    lines += [f"{name:9} {'' if value is None else f'{value:.3f}':>6}  {text}".rstrip() for name, value, text in rows]
    return "\n".join(lines)


def _coupling(found: Reading) -> list[Row]:
    c, off = found.coupling, found.errors.reshape(-1)
    norms = [float(norm) for norm in (c.outer_outer, c.outer_inner, c.inner_outer, c.inner_inner)]
    names = ("|K_oo|", "|K_oi|", "|K_io|", "|K_ii|")
    told = [f"{name} {norm:.3g}" + (f" ± {error:.1g}" if error > 1e-3 * norm else "")
            for name, norm, error in zip(names, norms, off, strict=True)]  # fmt: skip
    null = f"random partitions {float(c.null):.3f} ± {float(c.null_spread):.3f}"
    near = "none declared" if isnan(c.near_bound) else f"{float(c.near_bound):.2f}"
    degenerate = ", degenerate: 0/0 read as 0" if bool(c.degenerate) else ""
    rows: list[Row] = [("M", float(c.m), f"{_error(found)}{degenerate}; {null}")]
    rows += [("", None, found.blind)] if found.blind else []
    return [*rows, ("", None, "  ".join(told)), ("", None, f"near a bound: {near}")]


def _error(found: Reading) -> str:
    error = float(found.coupling.error)
    if found.blind:
        return "of what has a derivative"
    if found.jacobian is None:
        return f"± {error:.3f} (standard error, and what derivatives may be off)"
    if found.method == "tape" and error < 1e-4 and "unverified" not in found.note:
        return "exact"
    return f"± {error:.1g} (by {'two spacings' if found.method == 'differences' else 'its precision'})"


def _merge_index(found: Reading) -> list[Row]:
    if found.merge_index is None:
        return []
    kappa = "skipped" if found.merge_index.kappa is None else f"{found.merge_index.kappa:.3g}"
    return [("MI", found.merge_index.value, f"modal {found.merge_index.modal:.3f}, kappa {kappa}")]


def _graph(found: Reading) -> list[Row]:
    parts = " ".join("{" + ", ".join(names) + "}" for names in found.components.components)
    return [("LSCC", found.components.share, f"largest first: {parts}")]


def _cut(found: Reading) -> list[Row]:
    if isinstance(found.cut, str):
        return [("LCD", None, found.cut)]
    moved = bool(found.cut.moved[-1])
    what = "the outer's course, loop cut against intact" if moved else "the outer did not move at all"
    return [(f"LCD_{len(found.cut.divergence)}", float(found.cut.divergence[-1]), what)]


def _direction(found: Reading) -> list[Row]:
    rows: list[Row] = []
    if found.integrability is not None:
        gap = found.integrability
        told = f"one-way {gap.one_way:.3f}, raw {gap.raw:.3f}, rates apart {gap.spread:.3g}"
        rows.append(("IOG", gap.gap, told))
    if found.feedback is not None:
        rows.append(("direction", found.feedback.direction, f"tr(K_oi K_io) {found.feedback.trace:.3g}"))
    return rows
