"""The fast engine: one code path for one task, for a batch of tasks and for a batch of seeds.

Only the forward pass is vmapped. Losses of independent lanes are summed and differentiated outside, which is exact
(the gradient of a sum of independent losses is the stack of their gradients) and faster than vmapping the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.adjoint import Adjoint
from sandbox.core.contract import contract
from sandbox.core.protocols import Params, World
from sandbox.core.state import State
from sandbox.core.tree import tree_map
from sandbox.engine.batches import batches
from sandbox.engine.lane import (
    ROW_BY_ROW,
    Lanes,
    by_static,
    cuts,
    name_of,
    noise_block,
    phi_by_lane,
    reach,
    refuse_unused,
    view,
)
from sandbox.engine.rehearse import rehearse
from sandbox.engine.relive import Stretch, relive

LANES = Lanes(over=vmap)
BLOCK = 64  # inner steps whose noise is drawn at once


@dataclass(frozen=True)
class Functional:
    """Lives as pure functions, all lanes side by side."""

    draw, born, scores, own_losses = LANES.draw, LANES.born, LANES.scores, LANES.own_losses

    def rehearse(self, world: World, state: State) -> None:
        rehearse(world, state)
        self.unroll(world, state, 1, "rehearse", None)

    def unroll(
        self, world: World, state: State, steps: int, stream: str, adjoint: Adjoint | None
    ) -> tuple[State, Tensor]:
        phi, own = phi_by_lane(world, state), list[Tensor]()
        left = steps
        for noise in _stretches(world, state, stream, steps, adjoint):
            live = partial(_live, world, state, noise, adjoint, left, left == steps)
            if adjoint is not None and adjoint.checkpoint:
                params, slots, losses = relive(live, phi, state.params, state.slots)
            else:
                params, slots, losses = live(phi, state.params, state.slots, True)
            state, left = replace(state, params=params, slots=slots, t=state.t + len(noise)), left - len(noise)
            own.append(losses)
        return state, torch.cat(own)


def _stretches(world: World, state: State, stream: str, steps: int, adjoint: Adjoint | None) -> Iterator[Tensor]:
    """The noise [k, L, size] of one stretch of inner steps after the other."""
    size = adjoint.checkpoint if adjoint is not None and adjoint.checkpoint else BLOCK
    for first in range(0, steps, size):
        at = replace(state, t=state.t + first)
        yield noise_block(world, at, stream, "train", min(size, steps - first))


def _live(
    world: World, state: State, noise: Tensor, adjoint: Adjoint | None, left: int, begins: bool, phi: Params,
    params: Params, slots: Params, taped: bool,
) -> Stretch:  # fmt: skip
    """Weights, slots and own losses [k, L] after an inner step for each row of `noise` [k, L, size], with `left` inner
    steps to go to the end of the horizon, which `begins` here or not; on the tape of `adjoint` if `taped`."""
    adjoint = adjoint if taped else None

    def loss(phi: Params, params: Params, slots: Params, task: Params, u: Tensor, batch: Params) -> Tensor:
        found = batch or world.task.sample(task, partial(world.model.apply, params), u, "train")
        return world.rule.loss(phi, params, slots, found, reach(world, task))

    rule, own = name_of(world.rule), list[Tensor]()
    losses_of, updates = by_static(world, vmap, loss), by_static(world, vmap, world.rule.update)
    state = replace(state, params=params, slots=slots)
    for k, (u, batch) in enumerate(zip(noise, batches(world, state.task, noise), strict=True)):
        if (k or not begins) and cuts(adjoint, left - k):
            state = replace(state, params=tree_map(Tensor.detach, state.params),
                            slots=tree_map(Tensor.detach, state.slots))  # fmt: skip
        with torch.enable_grad():
            at = view(state.params, adjoint)
            handed = (phi, at, state.slots, state.task, u, batch)
            with contract(f"{rule}.loss", "a scalar, from a batch of the task", *handed, advice=ROW_BY_ROW):
                losses = losses_of(*handed)
            grads = _gradient(losses.sum(), at, adjoint)
        handed = (phi, state.params, grads, state.slots)
        with (
            torch.set_grad_enabled(adjoint is not None),
            contract(f"{rule}.update", "weights and slots after one step", *handed, advice=ROW_BY_ROW),
        ):
            params, slots = updates(*handed)
        state = replace(state, params=params, slots=slots)
        own.append(losses.detach() if adjoint is None else losses)
    return state.params, state.slots, torch.stack(own)


def _gradient(loss: Tensor, at: Params, adjoint: Adjoint | None) -> Params:
    """d loss / d weights. On a full tape it has a graph of its own; on a first-order one only the loss keeps its."""
    second = adjoint is not None and not adjoint.first_order
    found = torch.autograd.grad(
        loss, list(at.values()), create_graph=second, retain_graph=adjoint is not None, allow_unused=True
    )
    refuse_unused(at, found)
    return dict(zip(at, found, strict=True))
