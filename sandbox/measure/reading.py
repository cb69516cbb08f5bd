"""One call that measures any step: whether its outer and its inner are still two things, and how that was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sandbox.measure.array import Array
from sandbox.measure.coupling import Coupling, exact_coupling, near_bound
from sandbox.measure.cut import LoopCut, loop_cut
from sandbox.measure.derivative import Method, check, finite, jacobian, vector_jacobian
from sandbox.measure.differences import jacobian_by_differences
from sandbox.measure.doubt import blindness, error_of_m, total, uncertain
from sandbox.measure.error import wrong
from sandbox.measure.graph import Components, belonging, components
from sandbox.measure.integrability import Integrability, integrability
from sandbox.measure.jumps import unseen
from sandbox.measure.lift import Lifted, coarsest, lift
from sandbox.measure.modes import MergeIndex, merge_index
from sandbox.measure.partition import Feedback, feedback
from sandbox.measure.probed import probed
from sandbox.measure.shown import table
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
    `note` what must be known of them (why not by the tape, in which precision, of which draw), or "".
    `blind`: why M is not to be believed at this state, or "". `errors` [2, 2]: how far the norms of the blocks of K may
    be off by the derivatives (rows outer and inner, columns likewise); the `error` of M follows from them, and where M
    is probed holds the standard error over probes as well. `calls`: how often the step was called.
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
    blind: str
    errors: Array
    calls: int

    def __str__(self) -> str:
        return table(self)


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
    if not callable(step):
        raise wrong(expected="a step: a function of the state", got=f"{step!r}"[:80], do="Pass the function itself.")
    _whole_number("seed", seed, 0, "It is less than 2^32; 0 is the default.")
    _whole_number("cut_steps", cut_steps, 1, "LCD_k is defined from k = 1.")
    _whole_number("partitions", partitions, 2, "One has no spread; 50 are the default.")
    _whole_number("probes", probes, 2, "One probe has no standard error; 32 give about .02.")
    _whole_number("largest", largest, 0, f"It is the size up to which J is taken; {LARGEST} is the default.")
    if spacing is not None and not (isinstance(spacing, int | float) and spacing > 0):
        raise wrong(expected="a spacing > 0", got=f"{spacing!r}", do="It is a share of each leaf's size.")
    counted = Counted(step)
    system = declare(counted, state, outer, inner=inner, seed=seed)
    first = system.lived(system.flat)
    parts = _modules(system, modules)
    belongs = belonging(parts, system.n)
    near = _near(system, bounds)
    if spacing is not None and method == "tape":
        raise wrong(expected="a spacing with differences", got="method='tape'", do="Use method='differences'.")
    lifted = lift(system, seed=seed)
    high = lifted.system
    way = _method(high, "differences" if spacing is not None and method == "auto" else method, seed)
    if system.n <= largest:
        j, norms, coupling, errors = _exact(
            high, way, belongs=belongs, near=near, spacing=spacing, partitions=partitions, seed=seed
        )
    else:
        j = None
        coupling, norms, errors = probed(high, way.method, belongs, near, probes=probes, spacing=spacing, seed=seed)
    cut = _cut(system, cut_steps)
    of_k = total([coupling.outer_outer, coupling.outer_inner, coupling.inner_outer, coupling.inner_inner])
    errors = errors + way.errors + (lifted.unit * of_k if lifted.lifted else 0)
    doubt = error_of_m(of_k, errors)
    known = None if j is None else torch.from_numpy(j)
    found = () if spacing else unseen(high, of_k > errors, jacobian=known, seed=seed)  # a wide one looks past jumps
    if not torch.equal(system.lived(system.flat), first):
        raise wrong(expected="a function of the state", got="another state after the same one, many calls later",
                    do="Put its memory into the state.")  # fmt: skip
    gone = 0.0 if isinstance(cut, str) else float(cut.divergence.max())
    return Reading(
        n=system.n,
        outer=int(system.outer.sum()),
        method=way.method,
        note=_note(system, first, lifted, way.note, uncertain(float(coupling.m), doubt)),
        coupling=replace(coupling, error=coupling.error + doubt),
        merge_index=None if j is None else merge_index(j, system.outer),
        components=components(norms, dict(zip(parts, belongs.sum(axis=1), strict=True))),
        cut=cut,
        integrability=None if j is None else integrability(j),
        feedback=None if j is None else feedback(j, system.outer),
        jacobian=j,
        blind=blindness(of_k, errors, found, gone, max(1e-9, min(64 * lifted.unit, 0.01))),
        errors=errors.numpy(),
        calls=counted.calls,
    )


def _exact(
    system: System,
    way: Way,
    *,
    belongs: Array,
    near: float,
    spacing: float | None,
    partitions: int,
    seed: int,
) -> tuple[Array, Array, Coupling, Tensor]:
    """J, the norms of its blocks by module, M, and how far the norms of the four blocks of K may be off."""
    if way.method == "tape":
        found, off = jacobian(system, "tape"), torch.zeros(system.n, system.n, dtype=torch.float64)
    else:
        found, off = jacobian_by_differences(system, spacing=spacing)
    j, squares = finite(system, found).numpy(), off.square().numpy()
    norms = np.sqrt(belongs @ np.square(j - np.eye(system.n)) @ belongs.T)
    norms = np.where(norms > np.sqrt(belongs @ squares @ belongs.T), norms, 0)  # what can't be told from 0 is no edge
    sides = np.stack([system.outer, ~system.outer]).astype(float)
    errors = torch.from_numpy(np.sqrt(sides @ squares @ sides.T))
    return j, norms, exact_coupling(j, system.outer, partitions=partitions, seed=seed, near_bound=near), errors


def _note(system: System, first: Tensor, lifted: Lifted, *words: str) -> str:
    precision = "read in float64, without the step's own rounding" if lifted.lifted else ""
    if lifted.unjudged:
        precision += f" (which hides the update of {', '.join(lifted.unjudged)}: nothing shows that it is the same)"
    if lifted.why and coarsest(system) > 1e-15:
        precision = f"read in the step's own precision: {lifted.why}"
    draw = f"the step draws random numbers: of the draw of seed {system.seed}" if system.draws() else ""
    still = torch.equal(first, system.flat)
    idle = "the step changes nothing: is it given what it works on?" if still else ""
    return "; ".join(word for word in (*words, precision, draw, idle) if word)


@dataclass(frozen=True, eq=False)
class Way:
    """How derivatives are taken, why not by the tape, and how far the tape's block norms [2, 2] may be off."""

    method: Method
    note: str
    errors: Tensor


def _method(system: System, method: str, seed: int) -> Way:
    none = torch.zeros(2, 2, dtype=torch.float64)
    if method == "differences":
        return Way("differences", "", none)
    if method not in ("auto", "tape"):
        raise wrong(expected="method 'auto', 'tape' or 'differences'", got=f"'{method}'", do="'auto' checks the tape.")
    product = vector_jacobian(system)
    found = None if product is None else check(system, product, seed=seed)
    if found is not None and not found.missed:
        note = f"unverified by {', '.join(found.unchecked)}" if found.unchecked else ""
        return Way("tape", note, found.errors)
    fault = "the step leaves no tape" if found is None else f"the tape misses {found.missed}"
    if method == "tape":
        raise wrong(expected="a tape from the state to all that depends on it", got=fault,
                    do="Compute in tensors, without .item(), .detach() or no_grad; or use method='auto'.")  # fmt: skip
    return Way("differences", fault, none)


def _whole_number(name: str, value: Any, least: int, do: str) -> None:
    if not isinstance(value, int | np.integer) or not least <= value < 2**32:
        raise wrong(expected=f"{name}: a whole number of at least {least}", got=f"{value!r}"[:80], do=do)


def _modules(system: System, modules: Mapping[str, str | Sequence[str]] | None) -> dict[str, NDArray[np.int64]]:
    """The coordinates of each module."""
    if modules is not None:
        if not isinstance(modules, Mapping):
            raise wrong(expected="modules {name: paths}", got=f"{modules!r}"[:80], do="Every leaf belongs to one.")
        return {name: system.indices(paths) for name, paths in modules.items()}
    if len(system.leaves) == 1:
        return {"outer": np.flatnonzero(system.outer), "inner": np.flatnonzero(~system.outer)}
    heads = dict.fromkeys(leaf.path.partition("/")[0] for leaf in system.leaves)
    return {head: system.indices(head) for head in heads}


def _cut(system: System, steps: int) -> LoopCut | str:
    """LCD, or why it can't be had: a course that diverges later on is no reason to lose what is known of this step."""
    try:
        run = system.with_discrete
        compared = np.arange(len(system.sides)) < system.n if system.discrete else None
        return loop_cut(run.lived, run.flat, run.sides, steps, compared=compared, numbered=True)
    except Exception as error:  # of a foreign step too, whatever it is
        return str(error) or type(error).__name__


def _near(system: System, bounds: Mapping[str, tuple[float, float]] | None) -> float:
    """The share of all bounded numbers that are near a bound."""
    if not bounds:
        return nan
    flat = system.flat.numpy()
    pairs = isinstance(bounds, Mapping) and all(
        isinstance(ends, tuple | list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)
        for ends in bounds.values()
    )
    if not pairs:
        raise wrong(expected="bounds {path: (low, high)}", got=f"{bounds!r}"[:80], do="Give numbers.")
    found = [(system.indices(path), ends) for path, ends in bounds.items()]
    shares = [float(near_bound(flat[indices], *ends)) for indices, ends in found]
    return float(np.average(shares, weights=[len(indices) for indices, _ in found]))


class Counted:
    """A step that counts its calls."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.calls = 0

    def __call__(self, state: Any) -> Any:
        self.calls += 1
        return self.step(state)
