"""The reflective step as a map of a flat state [S, n], outer coordinates first: what merge and separability read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Bounded
from sandbox.core.state import State, detach, leaves, put
from sandbox.core.watch import Probe
from sandbox.measure.coupling import near_bound


@dataclass(frozen=True)
class Reflection:
    """F at the state of a probe. `leaves` are the outer leaves, then those of `params`, each [S, ...]."""

    probe: Probe
    state: State
    leaves: Mapping[str, Tensor]
    outer: int

    @property
    def sizes(self) -> list[int]:
        return [leaf[0].numel() for leaf in self.leaves.values()]

    @property
    def n(self) -> int:
        return sum(self.sizes)

    @property
    def flat(self) -> Tensor:
        """[S, n]."""
        return torch.cat([leaf.reshape(self.state.seeds, -1) for leaf in self.leaves.values()], dim=1)

    def step(self, flat: Tensor) -> Tensor:
        """[S, n]: F, off the tape."""
        pieces = zip(flat.split(self.sizes, dim=1), self.leaves.items(), strict=True)
        return self.after({path: piece.reshape(leaf.shape) for piece, (path, leaf) in pieces}).detach()

    def vjp(self, probes: Tensor) -> Tensor:
        """[P, S, n]: uᵀJ of probes u [P, S, n], by one taped step."""
        given = {path: leaf.clone().requires_grad_() for path, leaf in self.leaves.items()}
        with torch.enable_grad():
            flat = self.after(given)
        found = torch.autograd.grad(flat, list(given.values()), probes, is_grads_batched=True, allow_unused=True)
        whole = [torch.zeros(len(probes), *leaf.shape, dtype=leaf.dtype) if grad is None else grad
                 for grad, leaf in zip(found, self.leaves.values(), strict=True)]  # fmt: skip
        return torch.cat([piece.reshape(len(probes), self.state.seeds, -1) for piece in whole], dim=2)

    def after(self, given: Mapping[str, Tensor]) -> Tensor:
        """[S, n]: F with these leaves in place of its own, on the tape."""
        after = self.probe.reflect(put(self.state, given), (*self.probe.world.rule.outer, "params"))
        found = [leaves(after, path)[path] for path in self.leaves]
        return torch.cat([leaf.reshape(self.state.seeds, -1) for leaf in found], dim=1)


def reflection(probe: Probe) -> Reflection | None:
    """The step between `rule.outer` and `params`; None where the rule declares no outer leaf, or where several tasks
    share a seed, so that not every leaf has one row a seed."""
    state = detach(probe.state)
    outer = {path: leaf for part in probe.world.rule.outer for path, leaf in leaves(state, part).items()}
    if probe.world.tasks > 1 or not outer:
        return None
    split = sum(leaf[0].numel() for leaf in outer.values())
    return Reflection(probe, state, outer | leaves(state, "params"), split)


def crowded(probe: Probe) -> Tensor | None:
    """[S]: the share of the rule's bounded numbers that stand near a bound; None where it has none."""
    rule, phi = probe.world.rule, probe.state.rule
    if not isinstance(rule, Bounded) or not phi:
        return None
    places = torch.func.vmap(rule.place)({name: leaf.detach() for name, leaf in phi.items()})
    rows = torch.cat([place.reshape(probe.state.seeds, -1) for place in places.values()], dim=1)
    return torch.from_numpy(near_bound(rows, 0, 1))
