"""What every engine does alike: hand out noise, draw tasks, begin lives and score them."""

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
from sandbox.core.tree import to_lanes
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
        if objective == "calibrated":
            return self._calibrated(world, state, split, stream)
        score = world.task.objective
        if objective == "human":
            if not isinstance(world.task, KnowsHuman):
                raise _unknown(world, objective)
            score = world.task.human
        return vmap(score)(state.task, *self._predict(world, state, split, stream))

    def own(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        def examples(phi: Params, params: Params, slots: Params, task: Params, u: Tensor) -> Tensor:
            def alone(example: Params) -> Tensor:
                single = {name: value[None] for name, value in example.items()}
                return world.rule.loss(phi, params, slots, single, life(world, task))

            return self.over(alone)(dict(world.task.sample(task, params, u, split)))

        noise = noise_for(world, state, stream, split)
        return self.over(examples)(phi_by_lane(world, state), state.params, state.slots, state.task, noise)

    def _calibrated(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        """P at one temperature a lane, fitted on given labels of the practice and gate data together."""
        task = world.task
        if not isinstance(task, Tempered):
            raise _unknown(world, "calibrated")

        def tempered(drawn: Params, prediction: Tensor, batch: Batch, temperature: Tensor) -> Tensor:
            return world.task.objective(drawn, task.temper(prediction, temperature.to(prediction.dtype)), batch)

        with torch.no_grad():
            given = [self._predict(world, state, "practice", stream), self._predict(world, state, "gate", stream)]

            def loss(temperature: Tensor) -> Tensor:
                found = [vmap(tempered)(state.task, *seen, temperature) for seen in given]
                return torch.cat(found, dim=1).double().mean(dim=1)

            temperature = fit_temperature(loss, given[0][0].shape[0])
        return vmap(tempered)(state.task, *self._predict(world, state, split, stream), temperature)

    def _predict(self, world: World, state: State, split: Split, stream: str) -> tuple[Tensor, Batch]:
        """Predictions [L, n, outputs] on the batch of each lane."""

        def one(params: Params, task: Params, u: Tensor) -> dict[str, Any]:
            batch = world.task.sample(task, params, u, split)
            return {"prediction": world.model.apply(params, batch["x"]), "batch": dict(batch)}

        seen = self.over(one)(state.params, state.task, noise_for(world, state, stream, split))
        return seen["prediction"], seen["batch"]


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
                                  do="Leave unused layers out of the model, or use them in the loss."))  # fmt: skip


def _unknown(world: World, objective: Objective) -> ConfigError:
    return ConfigError(explain(expected=f"a task that knows '{objective}'", got=type(world.task).__name__,
                               do="Score by 'process', or give the task that protocol (core/protocols)."))  # fmt: skip
