"""Whether every number is reached by gradient: derivatives on the tape beside central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sandbox.core.error import ContractError, explain
from sandbox.core.protocols import Batch, Model, Params, Reach, Static, World
from sandbox.core.random import uniform
from sandbox.core.state import State
from sandbox.core.tree import tree_map
from sandbox.engine.batches import on_policy
from sandbox.engine.network import Body, Network
from sandbox.engine.plan import body_row

STEPS = 3  # inner steps of a rule; fewer would not reach what only its memory is made of
WIDTHS = (1e-4, 2e-4)  # of two central differences, which must agree with one another before a tape is held to them
APART, NOTHING = 1e-3, 1e-7  # relative, and absolute


def rule_reached(world: World, state: State) -> None:
    """Every real number of phi has its part in P after a few inner steps. Raises `ContractError`."""
    if hasattr(world.rule, "torch_optimizer"):  # of torch.optim, which has no phi to be edited by gradient
        return
    world = still(world)
    params, task, phi = (_row(tree) for tree in (state.init, state.task, state.rule))
    if "train" in world.task.noise and on_policy(world, task, uniform(0, "reached", 0, (world.task.noise["train"],))):
        return  # trajectories jump: differences say nothing
    static = world.rule.static if isinstance(world.rule, Static) else ()
    reals = {name: leaf for name, leaf in phi.items() if leaf.is_floating_point() and name not in static}
    batches = [_batch(world, state, "train", k) for k in range(STEPS)]
    judged = _batch(world, state, "practice" if "practice" in world.task.noise else "train", STEPS)
    reach = Reach(world.model.apply, partial(world.task.objective, task))
    before = _double(world.rule.slots(params))

    def outcome(leaves: Params) -> Tensor:
        now, slots = {name: weight.clone() for name, weight in params.items()}, before
        for batch in batches:
            at = {name: weight if weight.requires_grad else weight.requires_grad_() for name, weight in now.items()}
            loss = world.rule.loss({**phi, **leaves}, at, slots, batch, reach)
            grads = torch.autograd.grad(loss, list(at.values()), create_graph=True)
            now, slots = world.rule.update({**phi, **leaves}, now, dict(zip(at, grads, strict=True)), slots)
        return world.task.objective(task, world.model.apply(now, judged["x"]), judged).mean()

    _agree(outcome, reals, f"phi of {_name(world.rule)}", "P after three inner steps")


def task_reached(world: World, state: State) -> None:
    """P has a finite derivative in what is predicted. It need not be that of its value: of an episode that is over, the
    reward depends on no prediction, and its policy gradient does. Raises `ContractError`."""
    world, params, task = still(world), _row(state.init), _row(state.task)
    batch = _batch(world, state, "train", 0)
    prediction = {"prediction": world.model.apply(params, batch["x"]).detach()}
    found = _derivatives(lambda at: world.task.objective(task, at["prediction"], batch).mean(), prediction,
                         f"what {_name(world.task)} judges", "P")  # fmt: skip
    if not all(bool(torch.isfinite(grad).all()) for grad in found.values()):
        raise ContractError(explain(expected=f"a finite derivative of P in what {_name(world.task)} judges",
                                    got="one that is not", do="Look at what divides or takes a root."))  # fmt: skip


def _agree(outcome: Callable[[Params], Tensor], leaves: Params, whose: str, of: str) -> None:
    """Every leaf has a derivative on the tape, and they agree with central differences along one direction."""
    for name, grad in _derivatives(outcome, leaves, whose, of).items():
        _holds(outcome, leaves, name, grad, f"'{name}' of {whose}", of)


def _derivatives(outcome: Callable[[Params], Tensor], leaves: Params, whose: str, of: str) -> Params:
    """d outcome / d leaf; raises `ContractError` for a leaf that has none."""
    with torch.enable_grad():
        at = {name: leaf.clone().requires_grad_() for name, leaf in leaves.items()}
        value = outcome(at) if at else torch.zeros(())
        tied = value.requires_grad
        found = torch.autograd.grad(value, list(at.values()), allow_unused=True) if tied else [None] * len(at)
    lost = [name for name, grad in zip(at, found, strict=True) if grad is None]
    if lost:
        raise ContractError(explain(
            expected=f"{of} to depend on every number of {whose}", got=f"no derivative for {lost}",
            do="Use it, or look for what takes it off the tape: .detach(), .data, .item(), float(), torch.no_grad, "
               "torch.tensor(…) of a tensor."))  # fmt: skip
    return {name: grad for name, grad in zip(at, found, strict=True) if grad is not None}


def _holds(outcome: Callable[[Params], Tensor], leaves: Params, name: str, grad: Tensor, whose: str, of: str) -> None:
    direction = (uniform(0, f"reached/{name}", 0, tuple(grad.shape)) - 0.5).to(grad)
    direction = direction / direction.norm().clamp(min=1e-12)
    tape = float((grad * direction).sum())
    near, far = (_difference(outcome, leaves, name, direction, width) for width in WIDTHS)
    size = max(abs(tape), abs(near), NOTHING)
    if abs(near - far) > APART * size:  # not smooth here, so that it says nothing
        return
    if abs(tape - near) > 10 * APART * size + NOTHING:
        raise ContractError(explain(
            expected=f"the tape of {of} to agree with finite differences at {whose}",
            got=f"a derivative of {tape:.6g} on the tape and {near:.6g} by differences",
            do="A part of the way is off the tape: .detach(), .data, .item(), float(), torch.no_grad, or an operation "
               "whose derivative is another's."))  # fmt: skip


def _difference(
    outcome: Callable[[Params], Tensor], leaves: Params, name: str, direction: Tensor, width: float
) -> float:
    ends = [float(outcome({**leaves, name: leaves[name] + sign * width * direction}).detach()) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * width)


def _row(tree: Params) -> Params:
    """The first row of each leaf, in float64 where it is real."""
    return _double(tree_map(lambda leaf: leaf[0].detach().clone(), tree))


def _double(tree: Params) -> Params:
    return tree_map(lambda leaf: leaf.double() if leaf.is_floating_point() else leaf, tree)


def _batch(world: World, state: State, split: Any, k: int) -> Batch:
    """A batch of the first life, collected in its own dtype, in float64."""
    params, task = ({name: leaf[0].detach() for name, leaf in tree.items()} for tree in (state.init, state.task))
    noise = uniform(int(state.seed[0]), f"reached/{split}", k, (world.task.noise[split],))
    return _double(dict(world.task.sample(task, partial(world.model.apply, params), noise, split)))


def _name(member: object) -> str:
    return type(member).__name__


def still(world: World) -> World:
    """The world with a network that stands still: its buffers stay as they are at birth, and each call draws alike, so
    that what the network does, which has laws of its own, is not put down to a rule or a task."""
    return replace(world, model=_Still(world.model, body_row(world)))


@dataclass(frozen=True)
class _Still:
    model: Model
    body: Body

    def init(self, rng: int) -> Params:
        return self.model.init(rng)

    def apply(self, params: Params, x: Tensor) -> Tensor:
        dtype = next(iter(params.values())).dtype
        held = {slot: {name: leaf.to(dtype) if leaf.is_floating_point() else leaf for name, leaf in tree.items()}
                for slot, tree in self.body.items()}  # fmt: skip
        return Network(self.model, {**held, "draws": {"key": torch.tensor(0)}}).predict(params, x)
