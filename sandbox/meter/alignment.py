"""Whether the agent's own objective and the process's pull the same way, and rank examples alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sandbox.core.error import UndefinedError
from sandbox.core.tree import by_seed
from sandbox.core.watch import Probe, Reading
from sandbox.measure.agreement import cosine, rank_correlation


@dataclass(frozen=True)
class Alignment:
    """Cosine of the two objectives' gradients in the live weights, and Spearman's correlation of their values over
    examples, both on the same practice batch and averaged over tasks."""

    every: int = 10

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (
            Reading("alignment/cosine", "Cosine of the slopes of A and P", range=(-1.0, 1.0)),
            Reading("alignment/rank", "Rank correlation of A and P over examples", range=(-1.0, 1.0)),
        )

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        world, engine, state = probe.world, probe.engine, probe.state
        if "practice" not in world.task.noise:
            return {}
        params = {name: leaf.detach().requires_grad_() for name, leaf in state.params.items()}
        state = replace(state, params=params)
        with torch.enable_grad():
            try:
                own = engine.own_losses(world, state, "practice", "probe")
            except UndefinedError:
                return {}
            process = engine.scores(world, state, "practice", "probe")
            pulls = [torch.autograd.grad(score.mean(dim=1).sum(), list(params.values())) for score in (own, process)]
        lanes = own.shape[0]
        flat = [torch.cat([grad.reshape(lanes, -1) for grad in pull], dim=1) for pull in pulls]

        def mean(value: Tensor) -> Tensor:
            return by_seed(value, world.tasks).mean(dim=1)

        found = {"alignment/cosine": mean(cosine(*flat))}
        if own.shape[1] > 1:
            found["alignment/rank"] = mean(rank_correlation(own.detach(), process.detach()))
        return found
