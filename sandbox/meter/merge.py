"""M over the partition that the rule declares, with its error, its random-partition null and its four block norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

from torch import Tensor

from sandbox.core.random import normal, uniform, uniforms
from sandbox.core.watch import Probe
from sandbox.measure.coupling import probed_coupling
from sandbox.meter.reflection import crowded, reflection


@dataclass(frozen=True)
class Merge:
    """Outer: the leaves of `rule.outer`; inner: `params`. F is one reflective step on a stream of its own, run once
    with the tape on; M comes from `probes` products a block (vector-Jacobian, batched), the null from `partitions`
    random partitions. Beside it stands the share of the rule's bounded numbers near their bound, where M misleads. Read
    where every slot has one row a seed (one task a seed)."""

    every: int = 30
    probes: int = 6
    partitions: int = 4

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        step = reflection(probe)
        if step is None:
            return {}
        noise = normal(uniforms(step.state.seed, "merge/probe", probe.step, (self.probes, step.n))).transpose(0, 1)
        partition = uniform(0, "merge/partition", probe.step, (self.partitions, step.n))
        near = crowded(probe)
        found = probed_coupling(step.vjp, range(step.outer), noise.to(step.flat.dtype), partition,
                                near_bound=nan if near is None else near)  # fmt: skip
        readings = {f"merge/{name}": value for name, value in vars(found).items()}
        if near is None:
            del readings["merge/near_bound"]
        return readings
