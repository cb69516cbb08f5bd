"""How the lives of a world are run: side by side where that gives what each gives alone, else life by life."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.contract import told
from sandbox.core.protocols import Batch, Params, Stateful, World
from sandbox.core.random import generators, uniform, untouched
from sandbox.core.tree import flatten, stack
from sandbox.engine.lane import by_static
from sandbox.engine.marks import restored
from sandbox.engine.network import Body, Hooked, Network, drawing
from sandbox.engine.rows import Over, one_by_one

LANES = 2  # lives that are tried
KNOWN = 8  # worlds whose plan is kept


@dataclass(frozen=True)
class Plan:
    """`over` makes a function of one life a function of all; `why`, in one line, if lives are run one by one."""

    over: Over
    why: str = ""


_known: OrderedDict[tuple[int, ...], tuple[Plan, tuple[object, ...]]] = OrderedDict()


def plan_of(world: World) -> Plan:
    """The plan for these members, found once by living one inner step of two lives both ways."""
    key = _key(world)
    if key not in _known:
        _keep(world, _found(world))
    return _known[key][0]


def share_plan(world: World, other: World) -> None:
    """Let `other`, the same world in other numbers, be run as `world` is."""
    _keep(other, plan_of(world))


def _key(world: World) -> tuple[int, ...]:
    return id(world.task), id(world.model), id(world.rule)


def _keep(world: World, plan: Plan) -> None:
    """The members are kept too, so that their ids stay theirs."""
    _known[_key(world)] = plan, (world.task, world.model, world.rule)
    while len(_known) > KNOWN:
        _known.popitem(last=False)


def _found(world: World) -> Plan:
    """A world that can't be lived at all is planned one by one: its rehearsal says what is wrong with it."""

    def tried(trial: Callable[[], Any]) -> Any:
        with restored(world.model):  # what one way leaves on the network must not help the other
            return trial()

    with untouched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*performance drop.*")  # vmap would run it row by row, and slowly
        try:
            alone = tried(lambda: _Trial(world, draws=True).run(one_by_one))
        except Exception:
            return Plan(one_by_one)
        try:
            if tried(lambda: _draws(world)):
                return Plan(one_by_one, why=f"{_name(world.model)} draws random numbers as it runs")
            together = tried(lambda: _Trial(world, draws=False).run(vmap))
        except Exception as error:
            hidden = "accessing `data`" in str(error)  # a write that no counter sees; refused as the plan is followed
            return Plan(vmap) if hidden else Plan(one_by_one, why=told(error))
        wrong = [name for name, value in alone.items() if not _alike(value, together.get(name))]
        return Plan(one_by_one, why=f"side by side, {wrong[0]} is not what it is alone") if wrong else Plan(vmap)


class _Trial:
    """One inner step and all scores of two lives, with what that takes."""

    def __init__(self, world: World, *, draws: bool) -> None:
        self.world, model, seeds = world, world.model, range(LANES)
        self.params = stack([model.init(seed) for seed in seeds])
        phi = [world.rule.init({name: leaf[seed] for name, leaf in self.params.items()}) for seed in seeds]
        self.phi, self.body = stack(phi), body_of(world, *seeds, draws=draws)

    def noise(self, name: str) -> Tensor:
        return torch.stack([uniform(seed, f"plan/{name}", 0, (self.world.task.noise[name],)) for seed in range(LANES)])

    def run(self, over: Over) -> dict[str, Tensor]:
        """Everything that two lives come to, by name [2, …]."""
        world, splits = self.world, [name for name in self.world.task.noise if name != "draw"]
        task = over(lambda u: dict(world.task.draw(u, held_out=False)))(self.noise("draw"))
        slots = over(world.rule.slots)(self.params)
        handed = {split: (self.params, task, self.noise(split), self.body) for split in splits}
        found = {f"the objective on {split}": over(partial(self._scores, split))(*handed[split]) for split in splits}
        if "train" not in splits:
            return found
        at = {name: weight.clone().requires_grad_() for name, weight in self.params.items()}
        with torch.enable_grad():
            losses, _ = by_static(world, over, self._loss)(self.phi, at, slots, task, self.noise("train"), self.body)
            grads = torch.autograd.grad(losses.sum(), list(at.values()), allow_unused=True)
        found["the loss"] = losses.detach()
        taken = {name: torch.zeros_like(at[name]) if grad is None else grad
                 for name, grad in zip(at, grads, strict=True)}  # fmt: skip
        if isinstance(world.model, Hooked) and world.model.hooks:
            taken = over(world.model.hooked)(taken)
        found |= {f"the gradient of {name}": grad for name, grad in taken.items()}
        if not hasattr(world.rule, "torch_optimizer"):
            moved, kept = by_static(world, over, world.rule.update)(self.phi, self.params, taken, slots)
            found |= {f"{name} after a step": leaf for name, leaf in flatten({"": moved, "slots": kept}).items()}
        return found

    def _scores(self, split: Any, params: Params, task: Params, u: Tensor, body: Body) -> Tensor:
        network = Network(self.world.model, body, scoring=True)
        batch = self.world.task.sample(task, network.acting(params), u, split)
        return self.world.task.objective(task, network.predict(params, batch["x"]), batch)

    def _loss(self, phi: Params, params: Params, slots: Params, task: Params, u: Tensor, body: Body) -> Any:
        network = Network(self.world.model, body)
        batch: Batch = self.world.task.sample(task, network.acting(params), u, "train")
        return self.world.rule.loss(phi, params, slots, batch, network.reach(self.world, task)), network.body["buffers"]


def body_of(world: World, *seeds: int, draws: bool) -> Body:
    """What the networks of these seeds hold at birth, a row each."""
    held: dict[str, Params] = {"frozen": {}, "buffers": {}}
    if isinstance(world.model, Stateful):
        held = {"frozen": stack([world.model.frozen(seed) for seed in seeds]),
                "buffers": stack([world.model.buffers(seed) for seed in seeds])}  # fmt: skip
    return {**held, "draws": {"key": torch.tensor(seeds)} if draws else {}}


def _draws(world: World) -> bool:
    """Whether a prediction moves a global generator."""
    trial, network = _Trial(world, draws=False), Network(world.model, body_row(world))
    moved: list[bool] = []

    def watched(params: Params, x: Tensor) -> Tensor:
        before = generators()
        found = network.predict(params, x)
        moved.append(before != generators())
        return found

    params = {name: leaf[0] for name, leaf in trial.params.items()}
    task = world.task.draw(trial.noise("draw")[0], held_out=False)
    with drawing(0):
        for split in (name for name in world.task.noise if name != "draw"):
            watched(params, world.task.sample(task, partial(watched, params), trial.noise(split)[0], split)["x"])  # type: ignore[arg-type]
    return any(moved)


def body_row(world: World, seed: int = 0) -> Body:
    """What the network of one seed holds at birth."""
    return {slot: {name: leaf[0] for name, leaf in held.items()}
            for slot, held in body_of(world, seed, draws=False).items()}  # fmt: skip


def _alike(one: Tensor, other: Tensor | None) -> bool:
    if other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    near = 1e-9 if one.dtype == torch.float64 else 1e-3
    finite = one.detach()[torch.isfinite(one.detach())]
    scale = 1 + float(finite.abs().max()) if finite.numel() else 1.0
    return bool(torch.allclose(one, other, rtol=near, atol=near * scale, equal_nan=True))


def _name(member: Any) -> str:
    template = getattr(member, "template", None)
    return type(getattr(template, "net", member)).__name__
