"""What every engine does alike: hand out noise, draw tasks, begin lives, score them, and read the loss of one lane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.core.protocols import Batch, KnowsHuman, Life, Objective, Params, Split, Tape, Tempered, World
from sandbox.core.random import uniforms
from sandbox.core.state import State
from sandbox.core.tree import Tree, to_lanes
from sandbox.measure.temperature import fit_temperature


@dataclass(frozen=True)
class Lanes:
    """The part of an engine that is not its unroll. `over` makes a function of one row a function of all rows; only
    what calls the model goes through it."""

    over: Callable[[Callable[..., Any]], Callable[..., Any]]

    def draw(self, world: World, state: State, stream: str, *, held_out: bool = False) -> State:
        noise = noise_for(world, state, stream, "draw")
        return replace(state, task=vmap(lambda u: world.task.draw(u, held_out=held_out))(noise))

    def born(self, world: World, state: State) -> State:
        params = to_lanes(state.init, world.tasks)
        return replace(state, params=params, slots=vmap(world.rule.slots)(params))

    def scores(self, world: World, state: State, split: Split, stream: str, objective: Objective = "process") -> Tensor:
        score = scorer(world, objective)
        noise = noise_for(world, state, stream, split)
        if objective != "calibrated":
            return self.over(lambda *lane: score(*predicted(world, split, *lane)))(state.params, state.task, noise)
        temperature = self._temperature(world, state, stream).to(torch.get_default_dtype())

        def tempered(params: Params, task: Tree, u: Tensor, t: Tensor) -> Tensor:
            task, prediction, batch = predicted(world, split, params, task, u)
            return score(task, world.task.temper(prediction, t.to(prediction.dtype)), batch)

        return self.over(tempered)(state.params, state.task, noise, temperature)

    def own(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        noise = noise_for(world, state, stream, split)

        def examples(phi: Params, params: Params, slots: Params, task: Tree, u: Tensor) -> Tensor:
            batch = world.task.sample(task, params, u, split)

            def alone(example: Batch) -> Tensor:
                single = {name: value[None] for name, value in example.items()}
                return world.rule.loss(phi, params, slots, single, life(world, task))

            return self.over(alone)(dict(batch))

        return self.over(examples)(phi_by_lane(world, state), state.params, state.slots, state.task, noise)

    def _temperature(self, world: World, state: State, stream: str) -> Tensor:
        """[L]: fitted on given labels of the practice and gate data together."""
        splits: list[Split] = ["practice", "gate"]
        with torch.no_grad():
            seen = [
                self.over(lambda *lane, split=split: predicted(world, split, *lane)[1:])(
                    state.params, state.task, noise_for(world, state, stream, split)
                )
                for split in splits
            ]

            def loss(temperature: Tensor) -> Tensor:
                def at(task: Tree, prediction: Tensor, batch: Batch, t: Tensor) -> Tensor:
                    return world.task.objective(task, world.task.temper(prediction, t.to(prediction.dtype)), batch)

                found = [vmap(at)(state.task, prediction, batch, temperature) for prediction, batch in seen]
                return torch.cat(found, dim=1).double().mean(dim=1)

            return fit_temperature(loss, next(iter(state.params.values())).shape[0])


def noise_for(world: World, state: State, stream: str, name: str) -> Tensor:
    """[L, size] uniforms of the split or of "draw"; raises `ConfigError` for a split that the task does not name."""
    if name not in world.task.noise:
        raise ConfigError(explain(expected=f"a split of {type(world.task).__name__}", got=f"'{name}'",
                                  do=did_you_mean(name, world.task.noise)))  # fmt: skip
    shape = (world.tasks, world.task.noise[name])
    return uniforms(state.seed, f"{stream}/{name}", state.t, shape).flatten(0, 1)


def phi_by_lane(world: World, state: State) -> Tree:
    """phi with one row a lane."""
    return state.rule if "rule" in world.per_lane else to_lanes(state.rule, world.tasks)


def life(world: World, task: Tree) -> Life:
    """What a rule can reach in this task."""
    return Life(world.model.apply, lambda prediction, batch: world.task.objective(task, prediction, batch))


def own_loss(
    world: World, split: Split, phi: Params, params: Params, slots: Params, task: Tree, noise: Tensor
) -> Tensor:
    """A on one batch of one lane, a scalar."""
    batch = world.task.sample(task, params, noise, split)
    return world.rule.loss(phi, params, slots, batch, life(world, task))


def view(params: Mapping[str, Tensor], tape: Tape) -> Params:
    """Where the inner loss is differentiated. A slot made from the weights (a teacher, a running mean) would leak into
    the inner gradient if that were taken at the weights themselves: the tape must not change the life."""
    if tape == "off":
        return {name: weight.detach().requires_grad_() for name, weight in params.items()}
    at = {name: weight.view_as(weight) for name, weight in params.items()}
    return {name: weight if weight.requires_grad else weight.requires_grad_() for name, weight in at.items()}


def refuse_unused(names: Iterable[str], grads: Iterable[Tensor | None]) -> None:
    """Raises `ConfigError` naming the weights that have no inner gradient."""
    unused = [name for name, grad in zip(names, grads, strict=True) if grad is None]
    if unused:
        raise ConfigError(explain(expected="a loss that depends on every weight", got=f"no gradient for {unused}",
                                  do="Leave unused layers out of the model, or use them in the rule's loss."))  # fmt: skip


def scorer(world: World, objective: Objective) -> Callable[[Tree, Tensor, Batch], Tensor]:
    """The function (task, prediction, batch) -> [n] behind a name; raises `ConfigError` if the task has none."""
    if objective == "human":
        if isinstance(world.task, KnowsHuman):
            return world.task.human
    elif objective == "process" or isinstance(world.task, Tempered):
        return world.task.objective
    raise ConfigError(explain(expected=f"a task that knows '{objective}'", got=type(world.task).__name__,
                              do="Score by 'process', or give the task that protocol (core/protocols.py)."))  # fmt: skip


def predicted(world: World, split: Split, params: Params, task: Tree, noise: Tensor) -> tuple[Any, Tensor, Batch]:
    """(task, prediction, batch) of one lane."""
    batch = world.task.sample(task, params, noise, split)
    return task, world.model.apply(params, batch["x"]), batch
