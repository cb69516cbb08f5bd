"""The plain engine: lane after lane in Python through the `higher` library (Grefenstette et al. 2019).

It runs what the fast engine cannot: networks that vmap does not know (recurrent ones, those that branch on data) and
the optimizers of torch.optim. On what both run the two agree to rounding, by different roads. Compiled and scripted
modules it can't run, nor modules that slice a list of their own submodules (`self.layers[:-1]`), since `higher`
rebuilds every submodule under a class of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer

from sandbox.core.adjoint import Adjoint
from sandbox.core.contract import contract
from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Model, Params, Rule, World
from sandbox.core.state import State
from sandbox.core.tree import Tree, flatten, stack, tree_map
from sandbox.engine.lane import Lanes, cuts, name_of, noise_block, phi_by_lane, reach, refuse_unused, view
from sandbox.engine.rehearse import rehearse

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Python warns of escapes in its docstrings when it first compiles them
    import higher


@runtime_checkable
class HasModule(Protocol):
    """A model that wraps an `nn.Module`."""

    @property
    def template(self) -> nn.Module:
        """Lends its structure and buffers; its weights are never used."""
        ...


@runtime_checkable
class NeedsOptimizer(Protocol):
    """A rule whose update is a torch.optim optimizer: phi overrides settings of it, and the slots are {"age": inner
    steps lived}. The optimizer's own memory lasts one unroll, so a life that has an age can't go on."""

    def torch_optimizer(self, weights: Iterable[Tensor]) -> Optimizer:
        """The optimizer of these weights."""
        ...


def one_by_one(function: Callable[..., Tree]) -> Callable[..., Any]:
    """A function of one row as a function of all rows: vmap, in plain Python."""

    def over(*trees: Tree) -> Tree:
        rows = next(leaf.shape[0] for tree in trees for leaf in flatten(tree).values())
        return stack([function(*(tree_map(lambda leaf, r=r: leaf[r], tree) for tree in trees)) for r in range(rows)])

    return over


LANES = Lanes(over=one_by_one)


@dataclass(frozen=True)
class Higher:
    """Lives as patched modules under differentiable optimizers, one lane at a time."""

    draw, born, scores, own_losses = LANES.draw, LANES.born, LANES.scores, LANES.own_losses

    def rehearse(self, world: World, state: State) -> None:
        rehearse(world, state)
        self.unroll(world, state, 1, "rehearse", None)

    def unroll(
        self, world: World, state: State, steps: int, stream: str, adjoint: Adjoint | None
    ) -> tuple[State, Tensor]:
        ages = isinstance(world.rule, NeedsOptimizer)
        if ages and bool(state.slots["age"].any()):
            raise ConfigError(explain(expected="a life lived in one unroll",
                                      got=f"one that is {int(state.slots['age'].max())} inner steps old",
                                      do="Set lifetime=episodic: an optimizer's memory lasts one unroll."))  # fmt: skip
        if adjoint is not None and (adjoint.checkpoint or (ages and adjoint.truncate)):
            raise ConfigError(explain(expected="a full or first-order adjoint", got=f"{adjoint}",
                                      do="Set engine=functional: `higher` keeps every step."))  # fmt: skip
        noise = noise_block(world, state, stream, "train", steps).transpose(0, 1)
        lived = one_by_one(partial(_live, world, _module(world.model), adjoint))(
            phi_by_lane(world, state), state.params, state.slots, state.task, noise
        )
        slots = {"age": state.slots["age"] + steps} if ages else lived["slots"]
        return replace(state, params=lived["params"], slots=slots, t=state.t + steps), lived["own"].T


def _live(world: World, module: nn.Module, adjoint: Adjoint | None,
          phi: Params, params: Params, slots: Params, task: Params, noise: Tensor) -> Tree:  # fmt: skip
    """One lane, an inner step for each row of `noise` [K, size]."""
    names = [name for name, _ in module.named_parameters()]
    optimizer, settings = _optimizer(world.rule, module, phi, slots)
    patched = higher.innerloop_ctx(module, optimizer, override=settings, track_higher_grads=adjoint is not None)
    own: list[Tensor] = []
    rule, steps = name_of(world.rule), len(noise)

    def gradient(found: list[Tensor]) -> list[Tensor]:
        refuse_unused(names, found)
        return [grad.detach() for grad in found] if adjoint is not None and adjoint.first_order else found

    with patched as (network, stepper):

        def predict(weights: Params, x: Tensor) -> Tensor:
            with sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have no second derivative
                return network(x, params=[weights[name] for name in names])

        for k, u in enumerate(noise):
            if k and cuts(adjoint, steps - k):
                params, slots = (tree_map(Tensor.detach, tree) for tree in (params, slots))
                stepper.param_groups[0]["slots"] = slots
            with torch.enable_grad(), contract(f"{rule}.loss", "a scalar, from a batch of the task", slots, task, u):
                at = view({name: params[name] for name in names}, adjoint)
                batch = world.task.sample(task, partial(predict, at), u, "train")
                loss = world.rule.loss(phi, at, slots, batch, replace(reach(world, task), predict=predict))
            with torch.set_grad_enabled(adjoint is not None):
                moved = stepper.step(loss, params=at.values(), grad_callback=gradient)
                params, slots = dict(zip(names, moved, strict=True)), stepper.param_groups[0]["slots"]
            own.append(loss)
    lived: Tree = {"params": params, "slots": slots, "own": torch.stack(own)}
    return tree_map(Tensor.detach, lived) if adjoint is None else lived


def _module(model: Model) -> nn.Module:
    if isinstance(model, HasModule):
        return model.template
    raise ConfigError(explain(expected="a model that wraps an nn.Module in `template`", got=type(model).__name__,
                              do="Name a network at model._target_, or set engine=functional."))  # fmt: skip


# ---- optimizers -----------------------------------------------------------------------------------------------------


class RuleOptimizer(Optimizer):
    """Stands for a rule of ours in the eyes of `higher`; rule, phi and slots come as overrides."""


class DifferentiableRule(higher.optim.DifferentiableOptimizer):
    """A step of `RuleOptimizer` is the rule's own `update`."""

    def _update(self, grouped_grads: Sequence[Sequence[Tensor]], **kwargs: Any) -> None:
        (group,), (grads,), names = self.param_groups, grouped_grads, self.param_groups[0]["names"]
        weights = {name: weight.clone() for name, weight in zip(names, group["params"], strict=True)}
        handed = (group["phi"], weights, dict(zip(names, grads, strict=True)), group["slots"])
        with contract(f"{name_of(group['rule'])}.update", "weights and slots after one step", *handed):
            after, group["slots"] = group["rule"].update(*handed)
        group["params"] = [after[name] for name in names]


SUPPORTED: tuple[type[Optimizer], ...] = tuple(higher.optim._opt_mapping)  # pyright: ignore[reportAssignmentType]
higher.register_optim(RuleOptimizer, DifferentiableRule)  # pyright: ignore[reportArgumentType]


def _optimizer(rule: Rule, module: nn.Module, phi: Params, slots: Params) -> tuple[Optimizer, dict[str, list[Any]]]:
    """The optimizer and what overrides its settings, on the tape."""
    if not isinstance(rule, NeedsOptimizer):
        given = {"rule": rule, "phi": phi, "slots": slots, "names": [name for name, _ in module.named_parameters()]}
        return RuleOptimizer(module.parameters(), {}), {name: [value] for name, value in given.items()}
    optimizer = rule.torch_optimizer(module.parameters())
    known = {each.__name__: each for each in SUPPORTED}
    if type(optimizer) not in known.values():
        raise ConfigError(explain(expected="an optimizer that `higher` can differentiate", got=type(optimizer).__name__,
                                  do=f"Choose one of {', '.join(sorted(known))}."))  # fmt: skip
    return optimizer, {name: [value] for name, value in phi.items()} | {"slots": [slots]}
