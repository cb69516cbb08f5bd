"""Whether self-edits read the agent's own course, and whether it helps that they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.measure.array import Array, array
from sandbox.measure.error import wrong
from sandbox.measure.interval import Interval, interval, paired


@dataclass(frozen=True, eq=False)
class ClosedLoop:
    """`share` in [0, 1]: how far edits under the own trace are from those under another's (CL), 0 where the trace isn't
    read, 1 where the edits are opposite or only one is made. `unrelated` is the same between own edits of different
    seeds; two unrelated edits of equal size in many dimensions read 1/√2 = .71, so a share as high as this says that
    the trace is read and nothing of use. `gain` is the paired difference of outcomes, own - yoked: only its sign says
    that reading helps. All with 95 % intervals over seeds. `course` [steps] is the share step by step; `silent` in
    [0, 1] is the part of the steps at which neither edits, which read 0."""

    share: Interval
    unrelated: Interval
    gain: Interval
    course: Array
    silent: float


def closed_loop(own_edits: Any, other_edits: Any, own_outcome: Any, yoked_outcome: Any) -> ClosedLoop:
    """CL = |e_own - e_other| / (|e_own| + |e_other|) step by step, with what it must be read against.

    `own_edits` [seeds, steps, n] are the edits made under the agent's own trace, `other_edits` those that the same
    agents make under another's trace; `own_outcome` [seeds] is what came of a run that edits itself, `yoked_outcome`
    that of a run given another run's edits, higher being better. Seeds in one order throughout. Raises for shapes that
    don't fit, what is not finite, and fewer than two seeds, which have no interval.
    """
    own = array(own_edits, "own edits", [None, None, None])
    other = array(other_edits, "other edits", own.shape)
    seeds = len(own)
    if seeds < 2 or not own.size:
        raise wrong(expected="edits [seeds, steps, n] of at least two seeds", got=f"{list(own.shape)}",
                    do="One run has no interval; run more seeds.")  # fmt: skip
    outcomes = (array(own_outcome, "own outcomes", [seeds]), array(yoked_outcome, "yoked outcomes", [seeds]))
    apart = _apart(own, other)
    strangers = np.mean([_apart(own, np.roll(own, shift, axis=0)).mean(axis=1) for shift in range(1, seeds)], axis=0)
    silent = ~(own.any(axis=2) | other.any(axis=2))
    return ClosedLoop(
        interval(apart.mean(axis=1)), interval(strangers), paired(*outcomes), apart.mean(axis=0), float(silent.mean())
    )


def _apart(a: Array, b: Array) -> Array:
    """[seeds, steps]: |a - b| / (|a| + |b|), 0 where both are 0."""
    both = np.linalg.norm(a, axis=2) + np.linalg.norm(b, axis=2)
    return np.linalg.norm(a - b, axis=2) / np.where(both > 0, both, 1)
