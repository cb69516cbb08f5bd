"""What is told of a whole run at its end: headline readings as curves with intervals, the last and best of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from sandbox.mirror.names import AXIS, ENDS

POINTS = 300  # of a curve at most: a chart of W&B holds ten thousand in all


@dataclass
class Curves:
    """Mean, low and high of each of some `keys`, thinned by half whenever there are twice as many points as shown."""

    keys: tuple[str, ...]
    points: dict[str, list[tuple[float, ...]]] = field(default_factory=dict[str, list[tuple[float, ...]]])
    seen: dict[str, int] = field(default_factory=dict[str, int])
    stride: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, row: Mapping[str, Any]) -> None:
        """Keep what a row says of the keys, where it has an interval."""
        for key in self.keys:
            if f"{key}_low" not in row or row[AXIS] < 0:
                continue
            seen, stride = self.seen.get(key, 0), self.stride.get(key, 1)
            self.seen[key] = seen + 1
            if seen % stride:
                continue
            kept = self.points.setdefault(key, [])
            kept.append((row[AXIS], row[key], row[f"{key}_low"], row[f"{key}_high"]))
            if len(kept) >= 2 * POINTS:
                self.points[key], self.stride[key] = kept[::2], 2 * stride

    def told(self) -> Iterator[tuple[str, list[float], list[list[float]]]]:
        """Each key, its steps, and its three curves."""
        for key, points in self.points.items():
            steps, *curves = map(list, zip(*points, strict=True))
            yield key, steps, curves


@dataclass
class Standings:
    """The last of each reading, and its best by the better side that it has. `better`: {key, or family `rule/*`: side}.
    What is not finite is never the best."""

    better: Mapping[str, str]
    found: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])

    def take(self, row: Mapping[str, Any]) -> None:
        """Compare a row with those before."""
        for key, value in row.items():
            side = self._side(key)
            if side is None:
                continue
            known = self.found.setdefault(key, {})
            known["last"] = value
            if side and isfinite(value):
                known["best"] = (max if side == "higher" else min)(value, known.get("best", value))

    def _side(self, key: str) -> str | None:
        """The better side of a key, empty where it has none; None for a key that is no reading."""
        if key in self.better:
            return self.better[key]
        families = (side for name, side in self.better.items() if name.endswith("/*") and key.startswith(name[:-1]))
        return None if key.endswith(ENDS) else next(families, None)

    def told(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each key with its last value and its best."""
        yield from self.found.items()
