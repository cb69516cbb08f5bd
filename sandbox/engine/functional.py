"""The fast engine: one code path for one task, for a batch of tasks and for a batch of seeds.

Only the forward pass is vmapped. Losses of independent lanes are summed and differentiated outside, which is exact
(the gradient of a sum of independent losses is the stack of their gradients) and faster than vmapping the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.core.protocols import Batch, KnowsHuman, Life, Objective, Params, Split, Tape, Tempered, World
from sandbox.core.random import uniforms
from sandbox.core.state import State
from sandbox.core.tree import to_lanes
from sandbox.measure.temperature import fit_temperature


@dataclass(frozen=True)
class Functional:
    """Lives as pure functions, all lanes side by side."""

    def draw(self, world: World, state: State, stream: str, *, held_out: bool = False) -> State:
        noise = noise_for(world, state, stream, "draw")
        return replace(state, task=vmap(lambda u: world.task.draw(u, held_out=held_out))(noise))

    def born(self, world: World, state: State) -> State:
        params = to_lanes(state.init, world.tasks)
        return replace(state, params=params, slots=vmap(world.rule.slots)(params))

    def unroll(self, world: World, state: State, steps: int, stream: str, tape: Tape) -> tuple[State, Tensor]:
        own: list[Tensor] = []
        for _ in range(steps):
            state, losses = self._step(world, state, stream, tape)
            own.append(losses)
        return state, torch.stack(own)

    def _step(self, world: World, state: State, stream: str, tape: Tape) -> tuple[State, Tensor]:
        """One inner step. The loss is differentiated at a view of the weights, so that a slot made from them (a
        teacher, a running mean) does not leak into the inner gradient: the tape must not change the life."""
        noise = noise_for(world, state, stream, "train")
        phi = phi_by_lane(world, state)
        with torch.enable_grad():
            if tape == "off":
                at = {name: weight.detach().requires_grad_() for name, weight in state.params.items()}
            else:
                at = {name: weight.view_as(weight) for name, weight in state.params.items()}
                at = {name: weight if weight.requires_grad else weight.requires_grad_() for name, weight in at.items()}
            losses = vmap(lambda *lane: own_loss(world, "train", *lane))(phi, at, state.slots, state.task, noise)
            grads = inner_gradient(losses.sum(), at, create_graph=tape == "full")
        with torch.set_grad_enabled(tape != "off"):
            params, slots = vmap(world.rule.update)(phi, state.params, grads, state.slots)
        if tape == "off":
            losses = losses.detach()
        return replace(state, params=params, slots=slots, t=state.t + 1), losses

    def scores(self, world: World, state: State, split: Split, stream: str, objective: Objective = "process") -> Tensor:
        score = scorer(world, objective)
        noise = noise_for(world, state, stream, split)
        if objective != "calibrated":
            return vmap(lambda *lane: score(*_predicted(world, split, *lane)))(state.params, state.task, noise)
        temperature = self._temperature(world, state, stream).to(torch.get_default_dtype())

        def tempered(params: Params, task: Params, u: Tensor, t: Tensor) -> Tensor:
            task, prediction, batch = _predicted(world, split, params, task, u)
            return score(task, world.task.temper(prediction, t.to(prediction.dtype)), batch)

        return vmap(tempered)(state.params, state.task, noise, temperature)

    def own(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        noise = noise_for(world, state, stream, split)

        def examples(phi: Params, params: Params, slots: Params, task: Params, u: Tensor) -> Tensor:
            batch = world.task.sample(task, params, u, split)

            def alone(example: Batch) -> Tensor:
                single = {name: value[None] for name, value in example.items()}
                return world.rule.loss(phi, params, slots, single, life(world, task))

            return vmap(alone)(dict(batch))

        return vmap(examples)(phi_by_lane(world, state), state.params, state.slots, state.task, noise)

    def _temperature(self, world: World, state: State, stream: str) -> Tensor:
        """[L]: fitted on given labels of the practice and gate data together."""
        splits: list[Split] = ["practice", "gate"]
        with torch.no_grad():
            predicted = [
                vmap(lambda *lane, split=split: _predicted(world, split, *lane)[1:])(
                    state.params, state.task, noise_for(world, state, stream, split)
                )
                for split in splits
            ]

            def loss(temperature: Tensor) -> Tensor:
                def at(task: Params, prediction: Tensor, batch: Batch, t: Tensor) -> Tensor:
                    return world.task.objective(task, world.task.temper(prediction, t.to(prediction.dtype)), batch)

                found = [vmap(at)(state.task, prediction, batch, temperature) for prediction, batch in predicted]
                return torch.cat(found, dim=1).double().mean(dim=1)

            return fit_temperature(loss, next(iter(state.params.values())).shape[0])


def noise_for(world: World, state: State, stream: str, name: str) -> Tensor:
    """[L, size] uniforms of the split or of "draw"; raises `ConfigError` for a split that the task does not name."""
    if name not in world.task.noise:
        raise ConfigError(explain(expected=f"a split of {type(world.task).__name__}", got=f"'{name}'",
                                  do=did_you_mean(name, world.task.noise)))  # fmt: skip
    shape = (world.tasks, world.task.noise[name])
    return uniforms(state.seed, f"{stream}/{name}", state.t, shape).flatten(0, 1)


def phi_by_lane(world: World, state: State) -> Params:
    """phi with one row a lane."""
    return state.rule if "rule" in world.per_lane else to_lanes(state.rule, world.tasks)


def life(world: World, task: Params) -> Life:
    """What a rule can reach in this task."""
    return Life(world.model.apply, lambda prediction, batch: world.task.objective(task, prediction, batch))


def own_loss(
    world: World, split: Split, phi: Params, params: Params, slots: Params, task: Params, noise: Tensor
) -> Tensor:
    """A on one batch of one lane, a scalar."""
    batch = world.task.sample(task, params, noise, split)
    return world.rule.loss(phi, params, slots, batch, life(world, task))


def inner_gradient(loss: Tensor, params: Mapping[str, Tensor], *, create_graph: bool) -> Params:
    """d loss / d params; raises `ConfigError` naming the weights that the loss does not use."""
    grads = torch.autograd.grad(loss, list(params.values()), create_graph=create_graph, allow_unused=True)
    unused = [name for name, grad in zip(params, grads, strict=True) if grad is None]
    if unused:
        raise ConfigError(explain(expected="a loss that depends on every weight", got=f"no gradient for {unused}",
                                  do="Leave unused layers out of the model, or use them in the rule's loss."))  # fmt: skip
    return dict(zip(params, grads, strict=True))


def scorer(world: World, objective: Objective) -> Callable[[Params, Tensor, Batch], Tensor]:
    """The function (task, prediction, batch) -> [n] behind a name; raises `ConfigError` if the task has none."""
    if objective == "human":
        if isinstance(world.task, KnowsHuman):
            return world.task.human
    elif objective == "process" or isinstance(world.task, Tempered):
        return world.task.objective
    raise ConfigError(explain(expected=f"a task that knows '{objective}'", got=type(world.task).__name__,
                              do="Score by 'process', or give the task that protocol (core/protocols.py)."))  # fmt: skip


def _predicted(world: World, split: Split, params: Params, task: Params, noise: Tensor) -> tuple[Any, Tensor, Batch]:
    batch = world.task.sample(task, params, noise, split)
    return task, world.model.apply(params, batch["x"]), batch
