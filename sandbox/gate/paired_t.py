"""A one-sided paired t-test on fresh trials, with a level that shrinks as more edits are asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Params, Score

SCORE = Score()


@dataclass(frozen=True)
class PairedT:
    """Accepts if incumbent - candidate is above 0 at a level of `alpha`.

    The units of the test are the means of `trials`, each a life on a fresh stream; or, cheaper, all single examples,
    which share their trial's training noise and so promise more than they keep: a form for screening.

    With harmonic spending the k-th edit is tested at alpha / (k · H), H = 1 + 1/2 + … + 1/`budget`. By the union bound
    the chance of any false accept among the first `budget` edits is then at most alpha. Beyond, testing goes on at
    alpha / (k · H) and that bound grows by alpha / H for each e-fold of edits. With spending "none" each edit is tested
    at alpha, and among 100 edits that change nothing about 100 · alpha pass. (`variants`: what `sandbox check` shows
    beside it.)
    """

    trials: int = 5
    alpha: float = 0.05
    unit: Literal["trial", "example"] = field(default="trial", metadata={"variants": ("example",)})
    score: Score = SCORE
    spending: Literal["harmonic", "none"] = field(default="harmonic", metadata={"variants": ("none",)})
    budget: int = 100

    def __post_init__(self) -> None:
        least = 2 if self.unit == "trial" else 1
        if self.trials < least:
            raise ConfigError(explain(expected=f"gate.trials of {least} or more with unit '{self.unit}'",
                                      got=f"{self.trials}", do="A t-test needs two units."))  # fmt: skip
        if not 0 < self.alpha < 0.5 or self.budget < 1:
            raise ConfigError(explain(expected="gate.alpha in (0, .5) and gate.budget of 1 or more",
                                      got=f"{self.alpha} and {self.budget}", do="Usual: .05 and 100."))  # fmt: skip

    def init(self) -> Params:
        """{"asked": edits judged so far}."""
        return {"asked": torch.zeros((), dtype=torch.float64)}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        gain = incumbent.double() - candidate.double()
        units = gain.mean(dim=1) if self.unit == "trial" else gain.flatten()
        asked = memory["asked"] + 1
        alpha = self.alpha_at(int(asked))
        t, p = paired_t(units)
        why = f"t {t:.2f}, p {p:.2g} against {alpha:.2g}, over {len(units)} {self.unit}s"
        return p < alpha, why, {"asked": asked}

    def alpha_at(self, k: int) -> float:
        """The level at which the k-th edit is tested, from 1."""
        if self.spending == "none":
            return self.alpha
        return self.alpha / (k * sum(1 / j for j in range(1, self.budget + 1)))


def paired_t(gain: Tensor) -> tuple[float, float]:
    """t and its one-sided p for a mean of `gain` [n] above 0; t is 0 where nothing differs, ±∞ where all gain alike.

    Raises `ConfigError` for fewer than two units.
    """
    from scipy.special import stdtr

    n = len(gain)
    if n < 2:
        raise ConfigError(explain(expected="two paired scores or more", got=f"{n}", do="Raise gate.trials."))
    t = float((gain.mean() / (gain.std() / sqrt(n))).nan_to_num(nan=0.0, posinf=inf, neginf=-inf))
    return t, float(stdtr(n - 1, -t))
