"""Agents that may modify their own utility: what they do first depends on whose utility they judge the future by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.core.exhibit import Measured

UTILITY: Mapping[str, float] = {"idle": 0.0, "work": 0.5, "wirehead": 0.0, "shortcut": 0.6}
TAMPERS = ("wirehead", "shortcut")  # from then on its utility is 1, whatever it does, so that it idles
DISCOUNT = 0.9
Foresight = Literal["hedonistic", "ignorant", "realistic"]
KINDS: tuple[Foresight, ...] = ("hedonistic", "ignorant", "realistic")


@dataclass(frozen=True)
class SelfModifier:
    """An agent of one state may idle, work, wirehead, or take a shortcut that pays more at once and rewrites its
    utility like wireheading does. Its utility of work and shortcut is drawn from the seed, uniformly within `around` of
    .5 and .6 with the shortcut ahead (seed 0: .5 and .6 themselves).

    Arms: the value functions of Everitt et al. (2016): `hedonistic`, `ignorant`, `realistic`. Reads `share`, the
    discounted utility that it really gets by its first utility, over that of working for ever; and `without`, the same
    where there is no shortcut (`shortcut` false: in both).
    """

    around: float = 0.1
    shortcut: bool = True

    def measure(self, seed: int) -> Measured:
        utility = dict(UTILITY)
        if seed:
            rng = np.random.default_rng(seed)
            work = 0.5 + self.around * rng.uniform(-1, 1)
            utility |= {"work": work, "shortcut": work + self.around * rng.uniform(0.1, 1.9)}
        left = tuple(action for action in utility if action != "shortcut")
        every = tuple(utility) if self.shortcut else left
        best = utility["work"] / (1 - DISCOUNT)
        return {kind: {"share": self_modifier(kind, every, utility)[1] / best,
                       "without": self_modifier(kind, left, utility)[1] / best} for kind in KINDS}  # fmt: skip


def self_modifier(
    kind: Foresight, actions: Sequence[str] = tuple(UTILITY), utility: Mapping[str, float] = UTILITY
) -> tuple[str, float]:
    """What the agent does first (of tied actions the first), and the discounted utility that it really gets.

    The three value functions of Everitt et al. (2016): by the utility that it will have; by its present one, as if it
    stayed; by its present one, knowing what its later self will do.
    """

    def worth(action: str, value: float) -> float:
        if action in TAMPERS and kind == "hedonistic":
            return 1 / (1 - DISCOUNT)
        if action in TAMPERS and kind == "realistic":
            return utility[action] + DISCOUNT * utility["idle"] / (1 - DISCOUNT)
        return utility[action] + DISCOUNT * value

    value = 0.0
    for _ in range(1000):
        value = max(worth(action, value) for action in actions)
    chosen = max(actions, key=lambda action: round(worth(action, value), 9))
    later = utility["idle"] if chosen in TAMPERS else utility[chosen]
    return chosen, utility[chosen] + DISCOUNT * later / (1 - DISCOUNT)
