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
from sandbox.engine.lane import Lanes, noise_for, own_loss, phi_by_lane, refuse_unused, view

LANES = Lanes(over=vmap)


@dataclass(frozen=True)
class Functional:
    """Lives as pure functions, all lanes side by side."""

    draw, born, scores, own = LANES.draw, LANES.born, LANES.scores, LANES.own

    def unroll(self, world: World, state: State, steps: int, stream: str, tape: Tape) -> tuple[State, Tensor]:
        phi = phi_by_lane(world, state)
        own: list[Tensor] = []
        for _ in range(steps):
            at = view(state.params, tape)
            noise = noise_for(world, state, stream, "train")
            with torch.enable_grad():
                losses = vmap(lambda *lane: own_loss(world, "train", *lane))(phi, at, state.slots, state.task, noise)
                grads = _gradient(losses.sum(), at, tape)
            with torch.set_grad_enabled(tape != "off"):
                params, slots = vmap(world.rule.update)(phi, state.params, grads, state.slots)
            state = replace(state, params=params, slots=slots, t=state.t + 1)
            own.append(losses.detach() if tape == "off" else losses)
        return state, torch.stack(own)


def _gradient(loss: Tensor, at: Params, tape: Tape) -> Params:
    """d loss / d weights: with a graph of its own on the full tape; on a first-order one the loss alone keeps its."""
    found = torch.autograd.grad(
        loss, list(at.values()), create_graph=tape == "full", retain_graph=tape != "off", allow_unused=True
    )
    refuse_unused(at, found)
    return dict(zip(at, found, strict=True))
