"""The seam of what stands outside the loop: a system that is measured under a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Measured = Mapping[str, Mapping[str, float]]
"""{arm: {reading: number}}."""


class Exhibit(Protocol):
    """A system that is no run of the loop, such as an exact planner or a game in closed form. Its fields are its
    configuration; whatever it draws comes from the seed, so that all its arms share their draws, and seeds are pairs.
    """

    def measure(self, seed: int) -> Measured:
        """What each of its arms shows under this seed: the same numbers at every call, all of them finite."""
        ...
