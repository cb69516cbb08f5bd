"""How differently the human, the process and the agent rank agents: rank-chord distances on a common set of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sandbox.core.watch import Probe, Reading
from sandbox.meter.behaviours import distances


@dataclass(frozen=True)
class Distance:
    """d(H, P), d(P, A) and d(H, A) in [0, 1] over `agents` agents: fresh ones, those along the life, noisy ones, and
    those optimised for P and for A. 0 is one order, 1 the opposite, .71 unrelated, and 1/2 to an objective that ranks
    nothing. It costs three passes over the data an agent."""

    every: int = 30
    agents: int = 256

    @property
    def readings(self) -> tuple[Reading, ...]:
        pairs = {"human_process": "d(H, P)", "process_agent": "d(P, A)", "human_agent": "d(H, A)"}
        return tuple(
            Reading(f"distance/{pair}", f"{title}, rank-chord distance over agents",
                    "lower" if "human" in pair else "", range=(0.0, 1.0))
            for pair, title in pairs.items()
        )  # fmt: skip

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        return {f"distance/{pair}": value for pair, value in distances(probe, self.agents).items()}
