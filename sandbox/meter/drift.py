"""How far the agent and its rule have come from where they started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.state import State, leaves
from sandbox.core.watch import Probe, Reading

FEW = 8  # numbers of one parameter that are still read one by one


@dataclass(frozen=True)
class Drift:
    """Relative distances from the start, and phi in the units that a person reads: each of a few numbers, or the mean
    of many."""

    every: int = 10

    @property
    def readings(self) -> tuple[Reading, ...]:
        slots = {"init": "the initial weights", "params": "the weights", "rule": "phi"}
        return (
            Reading("rule/*", "phi, in readable units"),
            *(Reading(f"drift/{slot}", f"Relative distance of {what} from the start", range=(0.0, None))
              for slot, what in slots.items()),
        )  # fmt: skip

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        rows = probe.state.seeds
        phi = probe.state.rule
        read = torch.func.vmap(probe.world.rule.readable)(phi) if phi else {}
        readings: dict[str, Tensor] = {}
        for name, value in read.items():
            numbers = value.reshape(rows, -1)
            if 1 < numbers.shape[1] <= FEW:
                readings |= {f"rule/{name}.{i}": number for i, number in enumerate(numbers.T)}
            else:
                readings[f"rule/{name}"] = numbers.mean(dim=1)
        for slot in ("init", "params", "rule"):
            if leaves(probe.state, slot):
                readings[f"drift/{slot}"] = _distance(probe.state, probe.start, slot)
        return readings


def _distance(now: State, start: State, slot: str) -> Tensor:
    """[S]: norm of the change over the norm at the start (or the norm alone, for a start at zero)."""

    def flat(state: State) -> Tensor:
        return torch.cat([leaf.detach().reshape(state.seeds, -1).double() for leaf in leaves(state, slot).values()], 1)

    begin = flat(start).norm(dim=1)
    change = (flat(now) - flat(start)).norm(dim=1)
    return torch.where(begin > 0, change / begin, change)
