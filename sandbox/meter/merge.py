"""M over the partition that the rule declares, with its random-partition null and its four block norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Probe
from sandbox.core.random import normal, uniform, uniforms
from sandbox.core.state import detach, leaves, put
from sandbox.measure.coupling import coupling


@dataclass(frozen=True)
class Merge:
    """Outer: the leaves of `rule.outer`; inner: `params`. F is one reflective step on a stream of its own, run once
    with the tape on; M comes from `probes` products a block (vector-Jacobian, batched), the null from `partitions`
    random partitions. Read where every slot has one row a seed (one task a seed)."""

    every: int = 30
    probes: int = 6
    partitions: int = 4

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        outer = probe.world.rule.outer
        state, seeds = detach(probe.state), probe.state.seeds
        paths = {path: leaf for part in outer for path, leaf in leaves(state, part).items()}
        inner = leaves(state, "params")
        if probe.world.tasks > 1 or not paths:
            return {}
        parts = paths | inner
        leaves_in = {path: leaf.clone().requires_grad_() for path, leaf in parts.items()}
        with torch.enable_grad():
            after = probe.reflect(put(state, leaves_in), outer)
        leaves_out = [leaves(after, path)[path] for path in parts]
        sizes = [leaf[0].numel() for leaf in parts.values()]

        def vjp(probes: Tensor) -> Tensor:
            cotangents = [piece.reshape(len(probes), *leaf.shape) for piece, leaf
                          in zip(probes.split(sizes, dim=2), parts.values(), strict=True)]  # fmt: skip
            reached = [i for i, leaf in enumerate(leaves_out) if leaf.requires_grad]
            found = torch.autograd.grad(
                [leaves_out[i] for i in reached], list(leaves_in.values()), [cotangents[i] for i in reached],
                is_grads_batched=True, allow_unused=True, retain_graph=True,
            )  # fmt: skip
            whole = [torch.zeros_like(c) if g is None else g for g, c in zip(found, cotangents, strict=True)]
            return torch.cat([piece.reshape(len(probes), seeds, -1) for piece in whole], dim=2)

        n, dtype = sum(sizes), next(iter(parts.values())).dtype
        noise = normal(uniforms(state.seed, "merge/probe", probe.step, (self.probes, n))).transpose(0, 1).to(dtype)
        partition = uniform(0, "merge/partition", probe.step, (self.partitions, n))
        split = sum(leaf[0].numel() for leaf in paths.values())
        found = coupling(vjp, split, noise, partition)
        return {f"merge/{name}": value for name, value in vars(found).items()}
