"""What every engine does alike: hand out noise, draw tasks, begin lives and score them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.contract import contract
from sandbox.core.edit import covers
from sandbox.core.error import ConfigError, ContractError, UndefinedError, did_you_mean, explain
from sandbox.core.protocols import Batch, KnowsHuman, Objective, Params, Split, Static, Tempered, World
from sandbox.core.random import block
from sandbox.core.state import State
from sandbox.core.tree import to_lanes, tree_map
from sandbox.engine.network import Body, Network, bodies
from sandbox.engine.rows import Over, joined
from sandbox.measure.temperature import fit_temperature

UNUSED = ("Leave unused layers out, or use them in the loss. A weight that is used after all is reached in another way "
          "than by its name (a list, a closure, a hook), or is frozen or replaced as the network runs.")  # fmt: skip
ROW_BY_ROW = "set engine=higher, which goes life by life"


@dataclass(frozen=True)
class Lanes:
    """The part of an engine that is not its unroll. `over` makes a function of one row a function of all rows of a
    world; `draws` says whether its network draws random numbers."""

    over: Callable[[World], Over]
    draws: Callable[[World], bool]

    def draw(self, world: World, state: State, stream: str, *, held_out: bool = False) -> State:
        noise = noise_for(world, state, stream, "draw")
        with contract(f"{name_of(world.task)}.draw", "one task {name: tensor} from noise [size]", noise):
            return replace(state, task=self.over(world)(lambda u: dict(world.task.draw(u, held_out=held_out)))(noise))

    def born(self, world: World, state: State) -> State:
        params = to_lanes(state.init, world.tasks)
        with contract(f"{name_of(world.rule)}.slots", "memory {name: tensor} for these weights", params):
            slots = self.over(world)(world.rule.slots)(params)
        return replace(state, params=params, slots=slots, buffers=to_lanes(state.fixed["buffers"], world.tasks)
                       if state.fixed else {})  # fmt: skip

    def scores(self, world: World, state: State, split: Split, stream: str, objective: Objective = "process") -> Tensor:
        if objective == "calibrated":
            return self._calibrated(world, state, split, stream)
        score = world.task.objective
        if objective == "human":
            if not isinstance(world.task, KnowsHuman):
                raise _unknown(world, objective)
            score = world.task.human
        return self.over(world)(score)(state.task, *self._predict(world, state, split, stream))

    def own_losses(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        over = self.over(world)

        def examples(phi: Params, params: Params, slots: Params, task: Params, u: Tensor, body: Body) -> Tensor:
            def alone(example: Params) -> Tensor:
                single = {name: value[None] for name, value in example.items()}
                network = Network(world.model, body)
                return world.rule.loss(phi, params, slots, single, network.reach(world, task))

            return over(alone)(dict(world.task.sample(task, Network(world.model, body).acting(params), u, split)))

        noise, phi = noise_for(world, state, stream, split), phi_by_lane(world, state)
        handed = (phi, state.params, state.slots, state.task, noise, self._bodies(world, state, split, stream))
        try:
            with contract(f"{name_of(world.rule)}.loss", "a scalar for one example [1, …]", *handed, advice=ROW_BY_ROW):
                return by_static(world, over, examples)(*handed)
        except ContractError as error:
            raise UndefinedError(str(error)) from error

    def _calibrated(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        """P at one temperature a lane, fitted on given labels of the practice and gate data together."""
        task = world.task
        if not isinstance(task, Tempered):
            raise _unknown(world, "calibrated")

        def tempered(drawn: Params, prediction: Tensor, batch: Batch, temperature: Tensor) -> Tensor:
            return world.task.objective(drawn, task.temper(prediction, temperature.to(prediction.dtype)), batch)

        over = self.over(world)
        with torch.no_grad():
            given = [self._predict(world, state, "practice", stream), self._predict(world, state, "gate", stream)]

            def loss(temperature: Tensor) -> Tensor:
                found = [over(tempered)(state.task, *seen, temperature) for seen in given]
                return torch.cat(found, dim=1).double().mean(dim=1)

            temperature = fit_temperature(loss, given[0][0].shape[0], device=world.device)
        seen = (
            given[1] if split == "gate" and not torch.is_grad_enabled() else self._predict(world, state, split, stream)
        )
        return over(tempered)(state.task, *seen, temperature)

    def _predict(self, world: World, state: State, split: Split, stream: str) -> tuple[Tensor, Batch]:
        """Predictions [L, n, …, outputs] on the batch of each lane; what the network changes in itself is forgotten."""

        def one(params: Params, task: Params, u: Tensor, body: Body) -> dict[str, Any]:
            network = Network(world.model, body, scoring=True)
            batch = world.task.sample(task, network.acting(params), u, split)
            return {"prediction": network.predict(params, batch["x"]), "batch": dict(batch)}

        handed = (state.params, state.task, noise_for(world, state, stream, split),
                  self._bodies(world, state, split, stream))  # fmt: skip
        promise = f"a prediction for the batch of the split '{split}'"
        with contract(f"{name_of(world.model)}.apply", promise, *handed, advice=ROW_BY_ROW):
            seen = self.over(world)(one)(*handed)
        return seen["prediction"], seen["batch"]

    def _bodies(self, world: World, state: State, split: str, stream: str) -> Body:
        return bodies(world, state, stream, split, draws=self.draws(world))


def noise_for(world: World, state: State, stream: str, name: str) -> Tensor:
    """[L, size] uniforms of the split or of "draw"; raises `ConfigError` for a split that the task does not name."""
    return noise_block(world, state, stream, name, 1)[0]


def noise_block(world: World, state: State, stream: str, name: str, steps: int) -> Tensor:
    """[steps, L, size]: the noise of so many inner steps from now on, drawn at once."""
    if name not in world.task.noise:
        raise ConfigError(explain(expected=f"a split of {name_of(world.task)}", got=f"'{name}'",
                                  do=did_you_mean(name, world.task.noise)))  # fmt: skip
    shape = (world.tasks, world.task.noise[name])
    return block(state.seed, f"{stream}/{name}", state.t, steps, shape).flatten(1, 2).to(world.device)


def phi_by_lane(world: World, state: State) -> Params:
    """phi with one row a lane."""
    return {name: leaf if covers(world.per_lane, f"rule/{name}") else to_lanes(leaf, world.tasks)
            for name, leaf in state.rule.items()}  # fmt: skip


def view(params: Mapping[str, Tensor], adjoint: Adjoint | None) -> Params:
    """Where the inner loss is differentiated. A slot made from the weights (a teacher, a running mean) would leak into
    the inner gradient if that were taken at the weights themselves: the tape must not change the life."""
    if adjoint is None:
        return {name: weight.detach().requires_grad_() for name, weight in params.items()}
    at = {name: weight.view_as(weight) for name, weight in params.items()}
    return {name: weight if weight.requires_grad else weight.requires_grad_() for name, weight in at.items()}


def cuts(adjoint: Adjoint | None, left: int) -> bool:
    """Whether a truncated tape begins anew `left` inner steps before its end."""
    return adjoint is not None and adjoint.truncate > 0 and left % adjoint.truncate == 0


def by_static(world: World, over: Over, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of (phi, …) over all lanes. Where the rule names static leaves, lanes that share them run as one
    group, and see them as plain tensors."""
    names = world.rule.static if isinstance(world.rule, Static) else ()
    if not names:
        return over(function)

    def run(phi: Params, *trees: Any) -> Any:
        lanes = next(iter(phi.values())).shape[0]
        groups: dict[bytes, list[int]] = {}
        for lane in range(lanes):
            key = b"".join(phi[name][lane].cpu().numpy().tobytes() for name in names)
            groups.setdefault(key, []).append(lane)
        found: list[Any] = []
        for members in groups.values():
            at = torch.tensor(members, device=next(iter(phi.values())).device)
            shared = {name: phi[name][members[0]] for name in names}
            mine = tree_map(lambda leaf, at=at: leaf[at], {k: v for k, v in phi.items() if k not in names})
            rest = [tree_map(lambda leaf, at=at: leaf[at], tree) for tree in trees]
            found.append(over(lambda phi, *rest, shared=shared: function({**phi, **shared}, *rest))(mine, *rest))
        order = torch.tensor([lane for members in groups.values() for lane in members]).argsort()
        return joined(found, order.to(world.device))

    return run


def refuse_unused(names: Iterable[str], grads: Iterable[Tensor | None]) -> None:
    """Raises `ConfigError` naming the weights that have no inner gradient."""
    unused = [name for name, grad in zip(names, grads, strict=True) if grad is None]
    if unused:
        raise ConfigError(explain(expected="a loss that depends on every weight", got=f"no gradient for {unused}",
                                  do=UNUSED))  # fmt: skip


def name_of(member: object) -> str:
    """The class of a member, for a message."""
    return type(member).__name__


def _unknown(world: World, objective: Objective) -> ConfigError:
    return ConfigError(explain(expected=f"a task that knows '{objective}'", got=name_of(world.task),
                               do="Score by 'process', or give the task that protocol (core/protocols)."))  # fmt: skip
