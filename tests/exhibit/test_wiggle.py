"""The midpoint of the string stiffens with worlds that differ, and with no others."""

from __future__ import annotations

import numpy as np

from sandbox.exhibit.wiggle import Wiggle


def test_processes_that_serve_are_fewer_and_nearer_in_more_worlds() -> None:
    found = Wiggle(samples=300, worlds=(1, 2, 8)).measure(1000)
    for reading in ("wiggle", "share"):
        each = [found[f"worlds_{k}"][reading] for k in (1, 2, 8)]
        assert (np.diff(each) <= 0).all()
        assert each[0] > 2 * each[2]


def test_the_same_world_again_takes_nothing_away() -> None:
    alike = Wiggle(samples=100, worlds=(1, 4), alike=True).measure(1000)
    assert alike["worlds_1"] == alike["worlds_4"]
    assert alike["worlds_1"]["wiggle"] > 0
