"""M over a declared partition of the state, with its error, its random-partition null and its four block norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import ClassVar

from torch import Tensor

from sandbox.core.random import normal, uniform, uniforms
from sandbox.core.watch import Probe, Reading
from sandbox.measure.coupling import probed_coupling
from sandbox.meter.reflection import INNER, OUTER, crowded, reflection


@dataclass(frozen=True)
class Merge:
    """M between the leaves at or below `outer` and those at or below `inner`, read as `name`/m and so on. By default
    the outer side is everything that decides how the agent learns (its rule, the rule's memory, and what edits them)
    and the inner side its weights; see `reflection.reflection` for what is left out.

    F is one reflective step on a stream of its own with its edit taken unjudged, run once with the tape on for all
    meters; M comes from `probes` products a block (vector-Jacobian, batched), the null from `partitions` random
    partitions. Memory grows with `numbers`, the numbers of probes that go through the tape at once (see
    `probed_coupling`). Beside M stands the share of the rule's bounded numbers near their bound, where M misleads. Read
    where every leaf named has one row a seed (one task a seed).

    M counts what the tape sees. An editor whose answer carries no derivative (a step function, a call to the outside)
    reads as one that nothing feeds: K_oi lacks its part, and M is 0 where there is no other feedback. Measure such a
    system by differences (`measure.reading.read`). A number in psi that the step sets to a constant, as `reflective`
    does with its count of refusals after an edit that is taken, counts as one that erases itself, K = -1.
    """

    taped: ClassVar[bool] = True  # it differentiates through a step

    every: int = 30
    probes: int = 6
    partitions: int = 4
    name: str = "merge"
    outer: tuple[str, ...] = OUTER
    inner: tuple[str, ...] = INNER
    numbers: int = 2**20

    @property
    def readings(self) -> tuple[Reading, ...]:
        named, share, group = "" if self.name == "merge" else f" ({self.name})", (0.0, 1.0), self.name
        norms = {"outer_outer": "K_oo", "outer_inner": "K_oi, feedback", "inner_outer": "K_io", "inner_inner": "K_ii"}
        return (
            Reading(f"{group}/m", f"M, merge of outer and inner{named}", range=share, null=f"{group}/null",
                    headline=True),
            Reading(f"{group}/null", f"M of random partitions{named}", range=share, headline=True),
            Reading(f"{group}/error", f"Standard error of M over probes{named}", range=(0.0, None)),
            Reading(f"{group}/null_spread", f"Spread of M over random partitions{named}", range=(0.0, None)),
            Reading(f"{group}/near_bound", "Share of the rule's bounded numbers near a bound", range=share),
            *(Reading(f"{group}/{key}", f"Norm of {block}{named}", range=(0.0, None)) for key, block in norms.items()),
        )  # fmt: skip

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        step = reflection(probe, self.outer, self.inner)
        if step is None:
            return {}
        noise = normal(uniforms(step.state.seed, "merge/probe", probe.step, (self.probes, step.n))).transpose(0, 1)
        partition = uniform(0, "merge/partition", probe.step, (self.partitions, step.n))
        near = crowded(probe)
        found = probed_coupling(step.vjp, range(step.outer), noise.to(step.flat.dtype), partition,
                                near_bound=nan if near is None else near, numbers=self.numbers)  # fmt: skip
        readings = {f"{self.name}/{name}": value for name, value in vars(found).items()}
        if near is None:
            del readings[f"{self.name}/near_bound"]
        return readings
