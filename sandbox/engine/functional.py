"""The fast engine: one code path for one task, for a batch of tasks and for a batch of seeds.

Only the forward pass is vmapped. Losses of independent lanes are summed and differentiated outside, which is exact
(the gradient of a sum of independent losses is the stack of their gradients) and faster than vmapping the gradient.
What can't be vmapped, a host environment, a layer without a batching rule, a network that draws, is lived life by life
on the same path (`plan_of` finds out).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.contract import contract
from sandbox.core.finding import Finding
from sandbox.core.protocols import Params, World
from sandbox.core.state import State
from sandbox.core.tree import Tree, to_lanes, tree_map
from sandbox.engine.batches import batches
from sandbox.engine.lane import (
    ROW_BY_ROW,
    Lanes,
    by_static,
    cuts,
    name_of,
    noise_block,
    phi_by_lane,
    refuse_unused,
    view,
)
from sandbox.engine.network import Body, Hooked, Network, keys
from sandbox.engine.plan import plan_of
from sandbox.engine.rehearse import rehearse
from sandbox.engine.relive import Trees, relive
from sandbox.engine.rows import one_by_one
from sandbox.engine.sound import examine

LANES = Lanes(over=lambda world: plan_of(world).over, draws=lambda world: plan_of(world).over is one_by_one)
BLOCK = 64  # inner steps whose noise is drawn at once


@dataclass(frozen=True)
class Functional:
    """Lives as pure functions, all lanes side by side where they can be."""

    draw, born, scores, own_losses = LANES.draw, LANES.born, LANES.scores, LANES.own_losses

    def rehearse(self, world: World, state: State) -> None:
        rehearse(world, state)
        self.unroll(world, state, 1, "rehearse", None)

    def examine(self, world: World, seed: int) -> Sequence[Finding]:
        return examine(self, world, seed)

    def unroll(
        self, world: World, state: State, steps: int, stream: str, adjoint: Adjoint | None
    ) -> tuple[State, Tensor]:
        phi, own, left = phi_by_lane(world, state), list[Tensor](), steps
        frozen = to_lanes(state.fixed.get("frozen", {}), world.tasks)
        for noise in _stretches(world, state, stream, steps, adjoint):
            drawn = keys(world, state, stream, "train", len(noise)) if LANES.draws(world) else None
            stretch = _Stretch(world, state.task, frozen, noise, drawn, adjoint, left, begins=left == steps)
            trees = {"phi": phi, "params": state.params, "slots": state.slots, "buffers": state.buffers}
            if adjoint is not None and adjoint.checkpoint:
                lived = relive(stretch.live, trees)
            else:
                lived = stretch.live(trees, True)
            own.append(lived.pop("own"))
            state, left = replace(state, **lived, t=state.t + len(noise)), left - len(noise)
        return state, torch.cat(own)


def _stretches(world: World, state: State, stream: str, steps: int, adjoint: Adjoint | None) -> Iterator[Tensor]:
    """The noise [k, L, size] of one stretch of inner steps after the other."""
    size = adjoint.checkpoint if adjoint is not None and adjoint.checkpoint else BLOCK
    for first in range(0, steps, size):
        at = replace(state, t=state.t + first)
        yield noise_block(world, at, stream, "train", min(size, steps - first))


@dataclass(frozen=True)
class _Stretch:
    """Inner steps to live: one for each row of `noise` [k, L, size], and of `keys` [k, L] where the network draws, with
    `left` inner steps to go to the end of the horizon, which `begins` here or not."""

    world: World
    task: Params
    frozen: Params
    noise: Tensor
    keys: Tensor | None
    adjoint: Adjoint | None
    left: int
    begins: bool

    def live(self, trees: Trees, taped: bool) -> dict[str, Any]:
        """Weights, slots, buffers and own losses [k, L] afterwards; on the tape of the adjoint if `taped`."""
        adjoint, over = self.adjoint if taped else None, plan_of(self.world).over
        phi, now = trees["phi"], {name: trees[name] for name in ("params", "slots", "buffers")}
        losses_of, updates = (
            by_static(self.world, over, self._loss),
            by_static(self.world, over, self.world.rule.update),
        )
        hooked, own = self._hooked(over), list[Tensor]()
        ahead = over is not one_by_one
        for k, (u, batch) in enumerate(
            zip(self.noise, batches(self.world, self.task, self.noise, ahead=ahead), strict=True)
        ):
            if (k or not self.begins) and cuts(adjoint, self.left - k):
                now = _off_tape(now)
            body: Body = {"frozen": self.frozen, "buffers": now["buffers"],
                          "draws": {} if self.keys is None else {"key": self.keys[k]}}  # fmt: skip
            with torch.enable_grad():
                at = view(now["params"], adjoint)
                losses, buffers = self._guarded("loss", "a scalar, from a batch of the task", losses_of)(
                    phi, at, now["slots"], self.task, u, batch, body)  # fmt: skip
                with contract(f"{name_of(self.world.rule)}.loss", "a loss with a gradient in every weight"):
                    grads = hooked(_gradient(losses.sum(), at, adjoint))
            with torch.set_grad_enabled(adjoint is not None):
                params, slots = self._guarded("update", "weights and slots after one step", updates)(
                    phi, now["params"], grads, now["slots"])  # fmt: skip
            buffers = tree_map(Tensor.detach, buffers) if adjoint is None else buffers
            now = {"params": params, "slots": slots, "buffers": buffers}
            own.append(losses.detach() if adjoint is None else losses)
        return {**now, "own": torch.stack(own)}

    def _loss(self, phi: Params, params: Params, slots: Params, task: Params, u: Tensor, batch: Params,
              body: Body) -> tuple[Tensor, Params]:  # fmt: skip
        network = Network(self.world.model, body)
        found = batch or self.world.task.sample(task, network.acting(params), u, "train")
        loss = self.world.rule.loss(phi, params, slots, found, network.reach(self.world, task))
        return loss, network.body["buffers"]

    def _guarded(self, method: str, promise: str, function: Any) -> Any:
        who = f"{name_of(self.world.rule)}.{method}"

        def call(*handed: Tree) -> Any:
            with contract(who, promise, *handed, advice=ROW_BY_ROW):
                return function(*handed)

        return call

    def _hooked(self, over: Any) -> Any:
        model = self.world.model
        return over(model.hooked) if isinstance(model, Hooked) and model.hooks else lambda grads: grads


def _off_tape(trees: Trees) -> dict[str, Params]:
    return {name: tree_map(Tensor.detach, tree) for name, tree in trees.items()}


def _gradient(loss: Tensor, at: Params, adjoint: Adjoint | None) -> Params:
    """d loss / d weights. On a full tape it has a graph of its own; on a first-order one only the loss keeps its."""
    second = adjoint is not None and not adjoint.first_order
    found = torch.autograd.grad(
        loss, list(at.values()), create_graph=second, retain_graph=adjoint is not None, allow_unused=True
    )
    refuse_unused(at, found)
    return dict(zip(at, found, strict=True))
