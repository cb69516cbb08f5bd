"""How given labels come to lie: parts of a task, so that the human's objective and the process's differ by choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.random import index, normal


@runtime_checkable
class LabelNoise(Protocol):
    """Given labels from clean ones. `uniforms(rows, features, classes)` says how many it needs for so many rows of so
    many numbers each."""

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates of which each life draws one, all alike likely."""
        ...

    def uniforms(self, rows: int, features: int, classes: int) -> int: ...

    def given(self, clean: Tensor, x: Tensor | None, noise: Tensor, rate: Tensor, classes: int) -> Tensor:
        """Labels [rows, …] from the clean ones [rows, …] of 0 … classes - 1, examples x [rows, …] (None where they are
        read by index or are no numbers), uniforms [size] and the life's rate, a scalar."""
        ...


@dataclass(frozen=True)
class Symmetric:
    """Each label is redrawn over all classes with probability rate, so that it is wrong with probability
    rate · (1 - 1 / classes)."""

    rates: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6)

    def __post_init__(self) -> None:
        _check(self.rates)

    def uniforms(self, rows: int, features: int, classes: int) -> int:
        return 2 * rows

    def given(self, clean: Tensor, x: Tensor | None, noise: Tensor, rate: Tensor, classes: int) -> Tensor:
        flip, label = noise.reshape(2, *clean.shape)
        return torch.where(flip < rate, index(label, classes), clean)


@dataclass(frozen=True)
class Swapped:
    """Each label of a pair of classes becomes the other of the pair with probability rate; classes in no pair never
    lie. `pairs` counts classes from 0, in sorted order; by default 0 and 1, 2 and 3, and so on."""

    rates: tuple[float, ...] = (0.0, 0.2, 0.4)
    pairs: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        _check(self.rates)
        named = [one for pair in self.pairs or () for one in pair]
        if len(set(named)) != len(named) or min(named, default=0) < 0:
            raise ConfigError(explain(expected="pairs of classes, each class in one pair at most",
                                      got=f"{self.pairs}", do="Name each class once, from 0."))  # fmt: skip

    def uniforms(self, rows: int, features: int, classes: int) -> int:
        return rows

    def given(self, clean: Tensor, x: Tensor | None, noise: Tensor, rate: Tensor, classes: int) -> Tensor:
        partner = torch.arange(classes)
        for one, other in self.pairs or zip(range(0, classes - 1, 2), range(1, classes, 2), strict=True):
            if max(one, other) >= classes:
                raise ConfigError(explain(expected=f"pairs of classes 0 to {classes - 1}", got=f"{(one, other)}",
                                          do="Name classes of this data set at task.labels.pairs."))  # fmt: skip
            partner[one], partner[other] = other, one
        return torch.where(noise.reshape(clean.shape) < rate, partner.to(clean.device)[clean], clean)


@dataclass(frozen=True)
class InstanceDependent:
    """Where and how a label lies depends on its example, as people err: by a random linear map of a life from examples
    to classes, a label turns into the other class that scores highest, the likelier the higher that stands above its
    own. The r-th of n examples in this order lies with probability rate · (1 + spread · (2r - 1 - n) / n), so that the
    mean is the rate. After Xia et al. 2020 (Algorithm 2), who draw a map for each class and a rate for each example.
    """

    rates: tuple[float, ...] = (0.0, 0.2, 0.4)
    spread: float = 1.0

    def __post_init__(self) -> None:
        _check(self.rates)
        if not 0 <= self.spread <= 1 or max(self.rates) * (1 + self.spread) > 1:
            raise ConfigError(explain(expected="a spread of 0 to 1 with rate · (1 + spread) of 1 or less",
                                      got=f"spread {self.spread}, rates {self.rates}",
                                      do="Lower task.labels.spread or the highest rate."))  # fmt: skip

    def uniforms(self, rows: int, features: int, classes: int) -> int:
        return rows + features * classes

    def given(self, clean: Tensor, x: Tensor | None, noise: Tensor, rate: Tensor, classes: int) -> Tensor:
        if x is None or clean.dim() != 1:
            raise ConfigError(explain(
                expected="examples of numbers, held in memory, with one label each, for instance-dependent noise",
                got="token ids, examples read by index, or a label for each place",
                do="Raise task.memory, or choose Symmetric or Swapped."))  # fmt: skip
        flip, rest = noise.split([len(clean), noise.shape[0] - len(clean)])
        flat = x.flatten(1).to(noise.dtype)
        centred = (flat - flat.mean(dim=0)) / flat.std(dim=0).clamp(min=1e-12)
        scores = centred @ normal(rest).reshape(-1, classes)
        own = scores.gather(1, clean[:, None])[:, 0]
        at_own = clean[:, None] == torch.arange(classes, device=clean.device)
        highest, other = scores.masked_fill(at_own, float("-inf")).max(dim=1)
        rank = (highest - own).argsort().argsort()
        likely = rate * (1 + self.spread * (2 * rank + 1 - len(clean)) / len(clean))
        return torch.where(flip < likely, other, clean)


def _check(rates: tuple[float, ...]) -> None:
    if not rates or not all(0 <= rate <= 1 for rate in rates):
        raise ConfigError(explain(expected="noise rates between 0 and 1 at task.labels.rates", got=f"{rates}",
                                  do="Give at least one rate."))  # fmt: skip
