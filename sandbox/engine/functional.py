"""The fast engine: one code path for one task, for a batch of tasks and for a batch of seeds.

Only the forward pass is vmapped. Losses of independent lanes are summed and differentiated outside, which is exact
(the gradient of a sum of independent losses is the stack of their gradients) and faster than vmapping the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.protocols import Params, Tape, World
from sandbox.core.state import State
from sandbox.engine.lane import Lanes, life, noise_for, phi_by_lane, refuse_unused, view

LANES = Lanes(over=vmap)


@dataclass(frozen=True)
class Functional:
    """Lives as pure functions, all lanes side by side."""

    draw, born, scores, own = LANES.draw, LANES.born, LANES.scores, LANES.own

    def unroll(self, world: World, state: State, steps: int, stream: str, tape: Tape) -> tuple[State, Tensor]:
        def loss(phi: Params, params: Params, slots: Params, task: Params, noise: Tensor) -> Tensor:
            batch = world.task.sample(task, params, noise, "train")
            return world.rule.loss(phi, params, slots, batch, life(world, task))

        phi = phi_by_lane(world, state)
        own: list[Tensor] = []
        for _ in range(steps):
            noise = noise_for(world, state, stream, "train")
            with torch.enable_grad():
                at = view(state.params, tape)
                losses = vmap(loss)(phi, at, state.slots, state.task, noise)
                grads = _gradient(losses.sum(), at, tape)
            with torch.set_grad_enabled(tape != "off"):
                params, slots = vmap(world.rule.update)(phi, state.params, grads, state.slots)
            state = replace(state, params=params, slots=slots, t=state.t + 1)
            own.append(losses.detach() if tape == "off" else losses)
        return state, torch.stack(own)


def _gradient(loss: Tensor, at: Params, tape: Tape) -> Params:
    """d loss / d weights. On the full tape it has a graph of its own; on a first-order one only the loss keeps its."""
    found = torch.autograd.grad(
        loss, list(at.values()), create_graph=tape == "full", retain_graph=tape != "off", allow_unused=True
    )
    refuse_unused(at, found)
    return dict(zip(at, found, strict=True))
