"""What the feedback from inner to outer has done, by cutting it: for steps of any kind, also symbolic ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sandbox.measure.array import Array, array, members
from sandbox.measure.error import wrong


@dataclass(frozen=True, eq=False)
class LoopCut:
    """`divergence` [steps, ...], LCD_k in [0, 1] after k = 1, 2, ... steps: 0 where the outer went where it would have
    gone without feedback; 1 where it went the opposite way, or only one of both moved. `moved` [steps, ...]: truth
    values; where neither course of the outer has left its start, LCD_k is 0."""

    divergence: Array
    moved: Array


def loop_cut(
    step: Callable[..., Any],
    state: Any,
    outer: Any,
    steps: int,
    *,
    compared: Any = None,
    together: bool = False,
    numbered: bool = False,
) -> LoopCut:
    """The outer's course against its course while it reads the inner as it was at the start.

    LCD_k = |Δθ - Δθ_cut| / (|Δθ| + |Δθ_cut|), Δ since the start; LCD_1 is 0, as both then read the same. `step` maps a
    flat state [n], or a batch of them [..., n], tensor or array as given, to the next; `outer` is a mask [n] or
    indices, and Δ is taken over those of them that are `compared` (a mask or indices; by default all), which leaves
    out clocks. The step must be a function of the state: fix its noise. `together` says that it takes a batch with one
    more axis in front, so that both courses [2, ..., n] go through each call after the first; then nothing checks that
    two calls agree. `numbered` says that it takes the number of the step too, from 0, so that noise may be fresh in
    each, and the same for both courses. Raises where two calls differ, where a state is not finite (and at which step),
    where the partition leaves a side empty, and for fewer than one step.
    """
    start = array(state, "the state")
    side = members(outer, start.shape[-1] if start.ndim else 0)
    seen = side.copy()
    if compared is not None:
        chosen = np.zeros(len(side), bool)
        chosen[np.asarray(compared)] = True
        seen &= chosen
    if not seen.any():
        raise wrong(expected="an outer coordinate to compare", got="none", do="Name some of the outer ones.")
    form = (state if state.is_floating_point() else state.double()) if isinstance(state, torch.Tensor) else None
    if steps < 1:
        raise wrong(expected="at least one step", got=f"{steps}", do="LCD_k is defined from k = 1.")

    def after(z: Array, name: str, k: int) -> Array:
        handed = torch.from_numpy(z.copy()).to(form) if form is not None else z.copy()
        return array(step(handed, k) if numbered else step(handed), name, z.shape).copy()

    first = after(start, "the state after step 1", 0)
    if not together and not np.array_equal(first, after(start, "the state after step 1", 0)):
        raise wrong(expected="a step that is a function of the state", got="two calls that differ",
                    do="Draw its noise once and hand it in, or make its generator inside the step.")  # fmt: skip
    both = np.stack([first, first])  # the intact course and the cut one, which read the same in the first step
    divergence, moved = np.zeros((steps, *start.shape[:-1])), np.zeros((steps, *start.shape[:-1]), bool)
    for k in range(steps):
        if k and together:
            both = after(both, f"the states after step {k + 1}", k)
        elif k:
            names = (f"the state after step {k + 1}", f"the cut state after step {k + 1}")
            both = np.stack([after(course, name, k) for course, name in zip(both, names, strict=True)])
        both[1] = np.where(side, both[1], start)  # the inner stays as it was
        gone, alone = (both - start)[..., seen]
        with np.errstate(over="ignore"):
            length = array(
                np.linalg.norm(gone, axis=-1) + np.linalg.norm(alone, axis=-1), f"a course up to step {k + 1}"
            )
        moved[k] = length > 0
        divergence[k] = np.linalg.norm(gone - alone, axis=-1) / np.where(moved[k], length, 1)
    return LoopCut(divergence, moved)
