"""One call that measures any step: whether its outer and its inner are still two things, and how that was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sandbox.measure.array import Array
from sandbox.measure.coupling import Coupling, exact_coupling, near_bound, probed_coupling
from sandbox.measure.cut import LoopCut, loop_cut
from sandbox.measure.derivative import Method, check, jacobian, jacobian_vector, vector_jacobian
from sandbox.measure.error import wrong
from sandbox.measure.graph import Components, belonging, block_norms, components
from sandbox.measure.integrability import Integrability, integrability
from sandbox.measure.modes import MergeIndex, merge_index
from sandbox.measure.partition import Feedback, feedback
from sandbox.measure.system import Step, System, declare

LARGEST = 1500  # numbers in the state up to which the whole Jacobian is taken


@dataclass(frozen=True, eq=False)
class Reading:
    """What five instruments say of one step at one state; `print` shows it as a table.

    `coupling`: M with its error, null, four block norms and share of bounded numbers near a bound. `merge_index`: MI,
    the timescale-aware one. `components`: LSCC over the modules. `cut`: LCD, by intervention, or why there is none (the
    state diverges within the steps asked for). `integrability`: IOG.
    `feedback`: whether the two sides reinforce each other. `merge_index`, `integrability` and `feedback` need the whole
    `jacobian` [n, n] and are None beyond the size up to which it is taken. `method` says how derivatives were taken,
    `note` why not by the tape, or "".
    """

    n: int
    outer: int
    method: Method
    note: str
    coupling: Coupling
    merge_index: MergeIndex | None
    components: Components
    cut: LoopCut | str
    integrability: Integrability | None
    feedback: Feedback | None
    jacobian: Array | None

    def __str__(self) -> str:
        c = self.coupling
        norms = [float(norm) for norm in (c.outer_outer, c.outer_inner, c.inner_outer, c.inner_inner)]
        m = f"± {float(c.error):.3f} (standard error)" if self.jacobian is None else "exact"
        if bool(c.degenerate):
            m += ", degenerate: 0/0 read as 0"
        rows = [
            ("M", float(c.m), f"{m}; random partitions {float(c.null):.3f} ± {float(c.null_spread):.3f}"),
            ("", None, "|K_oo| {:.3g}  |K_oi| {:.3g}  |K_io| {:.3g}  |K_ii| {:.3g}".format(*norms)),
            ("", None, "near a bound: " + ("none declared" if isnan(c.near_bound) else f"{float(c.near_bound):.2f}")),
        ]
        if self.merge_index is not None:
            kappa = "skipped" if self.merge_index.kappa is None else f"{self.merge_index.kappa:.3g}"
            rows.append(("MI", self.merge_index.value, f"modal {self.merge_index.modal:.3f}, kappa {kappa}"))
        parts = " ".join("{" + ", ".join(names) + "}" for names in self.components.components)
        rows.append(("LSCC", self.components.share, f"largest first: {parts}"))
        if isinstance(self.cut, str):
            rows.append(("LCD", None, self.cut))
        else:
            steps, moved = len(self.cut.divergence), bool(self.cut.moved[-1])
            what = "the outer's course, loop cut against intact" if moved else "the outer did not move at all"
            rows.append((f"LCD_{steps}", float(self.cut.divergence[-1]), what))
        if self.integrability is not None:
            gap = self.integrability
            rows.append(("IOG", gap.gap, f"one-way {gap.one_way:.3f}, raw {gap.raw:.3f}, rates apart {gap.spread:.3g}"))
        if self.feedback is not None:
            rows.append(("direction", self.feedback.direction, f"tr(K_oi K_io) {self.feedback.trace:.3g}"))
        head = f"{self.outer} outer and {self.n - self.outer} inner numbers; derivatives by {self.method}"
        lines = [head + (f" ({self.note})" if self.note else "")]
        lines += [f"{name:9} {'' if value is None else f'{value:.3f}':>6}  {text}" for name, value, text in rows]
        return "\n".join(lines)


def read(
    step: Step,
    state: Any,
    *,
    outer: Any,
    inner: Any = None,
    modules: Mapping[str, str | Sequence[str]] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    method: Literal["auto", "tape", "differences"] = "auto",
    spacing: float | None = None,
    cut_steps: int = 20,
    probes: int = 32,
    partitions: int = 50,
    largest: int = LARGEST,
    seed: int = 0,
) -> Reading:
    """Measure a step function at a state under a declared partition.

    `step`, `state`, `outer`, `inner`: as in `system.declare`. `modules` {name: paths} are the nodes of the graph, by
    default the first part of each path (for a flat tensor: outer and inner). `bounds` {path: (low, high)} are those of
    the state's bounded numbers. `method` "auto" takes derivatives by the tape, checks every leaf against central
    differences, and goes by differences where the step leaves no tape or the tape misses an influence; "tape" raises
    then. `spacing`: see `derivative.jacobian_vector`. Up to `largest` numbers the Jacobian is exact: n products by the
    tape, 2 n steps by differences. Beyond, M comes from `probes` probes a block and four random partitions, the graph
    from as many a module; MI, IOG and direction are left out. `cut_steps` is the k of LCD_k, two steps each.

    Raises MeasureError for whatever of this is malformed, and for derivatives that are not finite.
    """
    system = declare(step, state, outer, inner=inner, seed=seed)
    parts = _modules(system, modules)
    belongs = belonging(parts, system.n)
    near = _near(system, bounds)
    if partitions < 2:
        raise wrong(expected="at least 2 partitions", got=f"{partitions}", do="One has no spread; 50 are the default.")
    if spacing is not None and method == "tape":
        raise wrong(expected="a spacing with differences", got="method='tape'", do="Use method='differences'.")
    chosen, note = _method(system, "differences" if spacing is not None and method == "auto" else method, seed)
    if torch.equal(system.lived(system.flat), system.flat):
        note = "; ".join(filter(None, [note, "the step changes nothing: is it given what it works on?"]))
    if system.n <= largest:
        j = jacobian(system, chosen, spacing=spacing).numpy()
        coupling = exact_coupling(j, system.outer, partitions=partitions, seed=seed, near_bound=near)
        norms = np.sqrt(belongs @ np.square(j - np.eye(system.n)) @ belongs.T)
    else:
        j = None
        coupling, norms = _probed(system, chosen, belongs, near, probes=probes, spacing=spacing, seed=seed)
    return Reading(
        n=system.n,
        outer=int(system.outer.sum()),
        method=chosen,
        note=note,
        coupling=coupling,
        merge_index=None if j is None else merge_index(j, system.outer),
        components=components(norms, dict(zip(parts, belongs.sum(axis=1), strict=True))),
        cut=_cut(system, cut_steps),
        integrability=None if j is None else integrability(j),
        feedback=None if j is None else feedback(j, system.outer),
        jacobian=j,
    )


def _method(system: System, method: str, seed: int) -> tuple[Method, str]:
    """How derivatives are taken, and why not by the tape."""
    if method == "differences":
        return "differences", ""
    if method not in ("auto", "tape"):
        raise wrong(expected="method 'auto', 'tape' or 'differences'", got=f"'{method}'", do="'auto' checks the tape.")
    product = vector_jacobian(system)
    found = None if product is None else check(system, product, seed=seed)
    if found is not None and not found.missed:
        return "tape", f"unverified by {', '.join(found.unchecked)}" if found.unchecked else ""
    fault = "the step leaves no tape" if found is None else f"the tape misses {found.missed}"
    if method == "tape":
        raise wrong(expected="a tape from the state to all that depends on it", got=fault,
                    do="Compute in tensors, without .item(), .detach() or no_grad; or use method='auto'.")  # fmt: skip
    return "differences", fault


def _modules(system: System, modules: Mapping[str, str | Sequence[str]] | None) -> dict[str, NDArray[np.int64]]:
    """The coordinates of each module."""
    if modules is not None:
        return {name: system.indices(paths) for name, paths in modules.items()}
    if len(system.leaves) == 1:
        return {"outer": np.flatnonzero(system.outer), "inner": np.flatnonzero(~system.outer)}
    heads = dict.fromkeys(leaf.path.partition("/")[0] for leaf in system.leaves)
    return {head: system.indices(head) for head in heads}


def _cut(system: System, steps: int) -> LoopCut | str:
    """LCD, or why it can't be had: a course that diverges later on is no reason to lose what is known of this step."""
    if steps < 1:
        raise wrong(expected="at least one step", got=f"{steps}", do="LCD_k is defined from k = 1.")
    try:
        whole = system.whole
        compared = np.arange(len(system.sides)) < system.n if system.discrete else None
        return loop_cut(whole.lived, whole.flat, whole.sides, steps, compared=compared)
    except (ArithmeticError, ValueError) as error:  # of the step too; a MeasureError is a ValueError
        return str(error)


def _near(system: System, bounds: Mapping[str, tuple[float, float]] | None) -> float:
    """The share of all bounded numbers that are near a bound."""
    if not bounds:
        return nan
    flat = system.flat.numpy()
    found = [(system.indices(path), ends) for path, ends in bounds.items()]
    shares = [float(near_bound(flat[indices], *ends)) for indices, ends in found]
    return float(np.average(shares, weights=[len(indices) for indices, _ in found]))


def _probed(
    system: System, method: Method, belongs: Array, near: float, *, probes: int, spacing: float | None, seed: int
) -> tuple[Coupling, Array]:  # fmt: skip
    """M and the block norms of the modules by random probes."""
    product = vector_jacobian(system) if method == "tape" else jacobian_vector(system, spacing=spacing)
    assert product is not None
    side: Literal["left", "right"] = "left" if method == "tape" else "right"
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(probes, 1, system.n, generator=generator, dtype=torch.float64)
    partition = torch.rand(4, system.n, generator=generator, dtype=torch.float64)
    found = probed_coupling(product, system.outer, noise, partition, side=side, near_bound=near)
    single = Coupling(**{name: value[0] for name, value in vars(found).items()})
    if not bool(single.finite):
        raise wrong(expected="finite derivatives of the step", got="NaN or infinite ones",
                    do="Look for a root, logarithm or norm at 0 in the step.")  # fmt: skip
    return single, block_norms(product, noise, belongs, side=side)[0]
