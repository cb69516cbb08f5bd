"""The plain engine: life after life in Python, under the differentiable optimizers of the `higher` library
(Grefenstette et al. 2019).

It runs the optimizers of torch.optim as rules. On what both engines run, the two agree to rounding, by different roads:
here each life is a graph of its own. Of `higher` only the optimizers are used: its patched modules lose hooks, and
weights that are read from outside their layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sandbox.core.adjoint import Adjoint
from sandbox.core.contract import contract
from sandbox.core.error import ConfigError, explain
from sandbox.core.finding import Finding
from sandbox.core.protocols import Params, Rule, World
from sandbox.core.state import State
from sandbox.core.tree import Tree, to_lanes, tree_map
from sandbox.engine.lane import Lanes, cuts, name_of, noise_block, phi_by_lane, refuse_unused, view
from sandbox.engine.network import Body, Hooked, Network, keys
from sandbox.engine.rehearse import rehearse
from sandbox.engine.rows import one_by_one
from sandbox.engine.sound import examine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Python warns of escapes in its docstrings when it first compiles them
    import higher


@runtime_checkable
class NeedsOptimizer(Protocol):
    """A rule whose update is a torch.optim optimizer: phi overrides settings of it, and the slots are {"age": inner
    steps lived}. The optimizer's own memory lasts one unroll, so a life that has an age can't go on."""

    def torch_optimizer(self, weights: Iterable[Tensor]) -> Optimizer:
        """The optimizer of these weights."""
        ...


LANES = Lanes(over=lambda world: one_by_one, draws=lambda world: True)  # it may draw only later


@dataclass(frozen=True)
class Higher:
    """Lives under differentiable optimizers, one life at a time."""

    draw, born, scores, own_losses = LANES.draw, LANES.born, LANES.scores, LANES.own_losses

    def rehearse(self, world: World, state: State) -> None:
        rehearse(world, state)
        self.unroll(world, state, 1, "rehearse", None)

    def examine(self, world: World, seed: int) -> Sequence[Finding]:
        return examine(self, world, seed)

    def unroll(
        self, world: World, state: State, steps: int, stream: str, adjoint: Adjoint | None
    ) -> tuple[State, Tensor]:
        ages = isinstance(world.rule, NeedsOptimizer)
        if ages and bool(state.slots["age"].any()):
            raise ConfigError(explain(expected="a life lived in one unroll",
                                      got=f"one that is {int(state.slots['age'].max())} inner steps old",
                                      do="Set lifetime=episodic: an optimizer's memory lasts one unroll. That of "
                                         "rule=adam, adamw, rmsprop and momentum lasts a life."))  # fmt: skip
        if adjoint is not None and ages and adjoint.truncate:
            raise ConfigError(explain(expected="an optimizer of torch.optim on a whole tape", got=f"{adjoint}",
                                      do="Set truncate=0, or rule=adam, adamw, rmsprop or momentum."))  # fmt: skip
        if adjoint is not None and adjoint.checkpoint:
            raise ConfigError(explain(expected="a full or first-order adjoint", got=f"{adjoint}",
                                      do="Set engine=functional: `higher` keeps every step."))  # fmt: skip
        drawn = {"key": keys(world, state, stream, "train", steps).T}
        body: Body = {"frozen": to_lanes(state.fixed.get("frozen", {}), world.tasks), "buffers": state.buffers,
                      "draws": drawn}  # fmt: skip
        noise = noise_block(world, state, stream, "train", steps).transpose(0, 1)
        lived = one_by_one(partial(_live, world, adjoint))(
            phi_by_lane(world, state), state.params, state.slots, state.task, noise, body
        )
        slots = {"age": state.slots["age"] + steps} if ages else lived["slots"]
        after = replace(state, params=lived["params"], slots=slots, buffers=lived["buffers"], t=state.t + steps)
        return after, lived["own"].T


def _live(world: World, adjoint: Adjoint | None, phi: Params, params: Params, slots: Params, task: Params,
          noise: Tensor, body: Body) -> Tree:  # fmt: skip
    """One lane, an inner step for each row of `noise` [K, size]; in `body` are the keys [K] of what it draws."""
    names, stand = list(params), [nn.Parameter(weight.detach().clone()) for weight in params.values()]
    optimizer, settings = _optimizer(world.rule, names, stand, phi, slots)
    stepper = higher.get_diff_optim(optimizer, stand, override=settings, track_higher_grads=adjoint is not None)
    own: list[Tensor] = []
    rule, steps, hooked = name_of(world.rule), len(noise), isinstance(world.model, Hooked) and world.model.hooks

    def gradient(found: Sequence[Tensor]) -> list[Tensor]:
        refuse_unused(names, found)
        grads = dict(zip(names, found, strict=True))
        grads = world.model.hooked(grads) if hooked else grads  # type: ignore[attr-defined]
        return [grad.detach() if adjoint is not None and adjoint.first_order else grad for grad in grads.values()]

    buffers = body["buffers"]
    for k, u in enumerate(noise):
        if k and cuts(adjoint, steps - k):
            params, slots, buffers = (tree_map(Tensor.detach, tree) for tree in (params, slots, buffers))
            stepper.param_groups[0]["slots"] = slots
        network = Network(world.model, {"frozen": body["frozen"], "buffers": buffers,
                                        "draws": {name: key[k] for name, key in body["draws"].items()}})  # fmt: skip
        with torch.enable_grad(), contract(f"{rule}.loss", "a scalar, from a batch of the task", slots, task, u):
            at = view(params, adjoint)
            batch = world.task.sample(task, network.acting(at), u, "train")
            loss = world.rule.loss(phi, at, slots, batch, network.reach(world, task))
        with torch.set_grad_enabled(adjoint is not None), contract(f"{rule}.update", "a step down its loss", task, u):
            moved = stepper.step(loss, params=at.values(), grad_callback=gradient)
        params, slots = dict(zip(names, moved, strict=True)), stepper.param_groups[0]["slots"]
        buffers = network.body["buffers"]
        if adjoint is None:
            loss, buffers = loss.detach(), tree_map(Tensor.detach, buffers)
        own.append(loss)
    lived: Tree = {"params": params, "slots": slots, "buffers": buffers, "own": torch.stack(own)}
    return tree_map(Tensor.detach, lived) if adjoint is None else lived


# ---- optimizers -----------------------------------------------------------------------------------------------------


class TorchAdam(higher.optim.DifferentiableOptimizer):
    """Adam as torch.optim has it (Kingma & Ba 2015, algorithm 1): eps is added after the bias correction, where
    `higher` adds it before. Finite, also in its derivative, where every gradient has been exactly 0."""

    def _update(self, grouped_grads: Sequence[Sequence[Tensor]], **kwargs: Any) -> None:
        (group,), (grads,) = self.param_groups, grouped_grads
        beta1, beta2 = group["betas"]
        for number, grad in enumerate(grads):
            memory, weight = self.state[0][number], group["params"][number]
            age = memory["age"] = memory.get("age", 0) + 1
            mean = memory["mean"] = beta1 * memory.get("mean", 0) + (1 - beta1) * grad
            square = memory["square"] = beta2 * memory.get("square", 0) + (1 - beta2) * grad * grad
            still = square == 0
            root = torch.where(still, 0, torch.where(still, 1, square).sqrt())  # the slope of sqrt at 0 is infinite
            step = mean / (1 - beta1**age) / (root / (1 - beta2**age) ** 0.5 + group["eps"])
            group["params"][number] = weight - group["lr"] * step


class TorchASGD(higher.optim.DifferentiableOptimizer):
    """ASGD as torch.optim has it (Polyak & Juditsky 1992), whose rate decays with the steps taken; `higher` takes the
    decay off the tape. The average of the weights is left out, for nothing reads it."""

    def _update(self, grouped_grads: Sequence[Sequence[Tensor]], **kwargs: Any) -> None:
        (group,), (grads,) = self.param_groups, grouped_grads
        for number, grad in enumerate(grads):
            memory, weight = self.state[0][number], group["params"][number]
            age, lr, fading = memory.get("age", 0), group["lr"], group["lambd"]
            rate = lr / (1 + fading * lr * age) ** group["alpha"]
            memory["age"] = age + 1
            group["params"][number] = weight * (1 - fading * rate) - rate * grad


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
higher.register_optim(torch.optim.Adam, TorchAdam)  # pyright: ignore[reportArgumentType]
higher.register_optim(torch.optim.ASGD, TorchASGD)  # pyright: ignore[reportArgumentType]
higher.register_optim(RuleOptimizer, DifferentiableRule)  # pyright: ignore[reportArgumentType]


def _optimizer(rule: Rule, names: Sequence[str], weights: Sequence[Tensor], phi: Params,
               slots: Params) -> tuple[Optimizer, dict[str, list[Any]]]:  # fmt: skip
    """The optimizer of these weights, and what overrides its settings, on the tape."""
    if not isinstance(rule, NeedsOptimizer):
        given = {"rule": rule, "phi": phi, "slots": slots, "names": names}
        return RuleOptimizer(weights, {}), {name: [value] for name, value in given.items()}
    optimizer = rule.torch_optimizer(weights)
    more = [name for name in ("weight_decay", "amsgrad", "maximize") if optimizer.defaults.get(name)]
    if type(optimizer) in (torch.optim.Adam, torch.optim.ASGD) and more:
        raise ConfigError(explain(expected=f"{type(optimizer).__name__} without weight decay and variants",
                                  got=", ".join(more), do="Leave it at torch's default."))  # fmt: skip
    known = {each.__name__: each for each in SUPPORTED}
    if type(optimizer) not in known.values():
        raise ConfigError(explain(expected="an optimizer that `higher` can differentiate", got=type(optimizer).__name__,
                                  do=f"Choose one of {', '.join(sorted(known))}."))  # fmt: skip
    return optimizer, {name: [value] for name, value in phi.items()} | {"slots": [slots]}
