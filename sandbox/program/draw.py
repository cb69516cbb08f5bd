"""Uniforms taken one after the other, for choices that need now more and now fewer of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import TypeVar

from scipy.special import ndtri
from torch import Tensor

T = TypeVar("T")
FLIPS = 0.1  # of changed numbers, how many change their sign
DIGITS = 3  # of a drawn number, so that a formula can be read and is the same in every dtype
PLAIN = (0.0, 0.5, 0.9, 0.99, 1.0, 2.0, -1.0, 0.1)


class Spent(Exception):  # noqa: N818  # nobody's mistake
    """All uniforms have been taken."""


@dataclass
class Draw:
    """Choices from uniforms in [0, 1), in order; raises `Spent` at their end."""

    left: list[float]

    @staticmethod
    def of(noise: Tensor | Sequence[float]) -> Draw:
        return Draw(list(reversed(noise.tolist() if isinstance(noise, Tensor) else list(noise))))

    def uniform(self) -> float:
        if not self.left:
            raise Spent
        return self.left.pop()

    def chance(self, share: float) -> bool:
        return self.uniform() < share

    def index(self, n: int) -> int:
        return min(int(self.uniform() * n), n - 1)

    def choose(self, among: Sequence[T]) -> T:
        return among[self.index(len(among))]

    def normal(self) -> float:
        return float(ndtri(min(max(self.uniform(), 1e-12), 1 - 1e-12)))

    def number(self) -> float:
        """One of a few plain numbers, or a log-normal one, of either sign alike seldom."""
        if self.chance(0.5):
            return self.choose(PLAIN)
        return rounded(exp(self.normal()) * (-1 if self.chance(FLIPS) else 1))

    def scaled(self, old: float) -> float:
        """A number times e^z, z standard normal, seldom with the other sign; z itself where it is 0."""
        factor = exp(self.normal()) * (-1 if self.chance(FLIPS) else 1)
        return rounded(old * factor) if old else rounded(self.normal())


def rounded(value: float) -> float:
    """The number in `DIGITS` digits, at most a million in size."""
    return float(f"{min(max(value, -1e6), 1e6):.{DIGITS}g}") + 0.0
