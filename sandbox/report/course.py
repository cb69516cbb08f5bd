"""A reading's course over reflective steps, as figures and page show it: few points, no start that squeezes them."""

from __future__ import annotations

import numpy as np

from sandbox.core.reading import Reading
from sandbox.report.arms import Arm
from sandbox.report.read import Array

POINTS = 400  # about as many as a panel is wide in pixels
COUNTED = {"edits/accepted": "Edits accepted", "edits/refused": "Edits not accepted"}  # so far, not as shares


def track(arm: Arm, reading: Reading, points: int = POINTS) -> tuple[Array, Array]:
    """Steps [n] and values [n, S] of a reading, at most so many `points`. Edits as their sum so far, and nothing where
    there never was one; what has a better side without the start, which would squeeze all that was learned into a
    strip."""
    steps, values = arm.series(reading.name)
    seen = np.isfinite(values).any(axis=1)
    if reading.name in COUNTED:
        seen = seen & values.any()
        values = values.cumsum(axis=0)
    if reading.better:
        seen = seen & (steps > 0)
    rows = np.flatnonzero(seen)
    if len(rows) > points:
        rows = rows[np.linspace(0, len(rows) - 1, points).astype(int)]
    return steps[rows], values[rows]
