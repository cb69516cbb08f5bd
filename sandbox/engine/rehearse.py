"""Every author's method once, on one lane and in plain Python, before the first step: a broken contract has a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sandbox.core.contract import contract, shape_of
from sandbox.core.error import ContractError, explain
from sandbox.core.protocols import Batch, KnowsHuman, Params, World
from sandbox.core.random import generators, untouched
from sandbox.core.state import State
from sandbox.core.tree import Tree, tree_map
from sandbox.engine.lane import name_of, noise_for, phi_by_lane
from sandbox.engine.marks import restored
from sandbox.engine.network import Body, Network, row_of

DRAWN = "All randomness is drawn beforehand: use the `noise` that is handed in."


def rehearse(world: World, state: State) -> None:
    """Task, model and rule on the first lane; raises `ContractError` for the first that breaks its contract."""
    with untouched(), restored(world.model), torch.no_grad():
        phi, params, slots, task = (
            tree_map(lambda leaf: leaf[0].detach().clone(), tree)
            for tree in (phi_by_lane(world, state), state.params, state.slots, state.task)
        )
        body = row_of(state, 0)
        batches = {name: _sample(world, state, task, params, body, name) for name in world.task.noise if name != "draw"}
        for batch in batches.values():
            _judge(world, task, params, body, batch)
        if "train" in batches:
            _learn(world, phi, params, slots, task, body, batches["train"])


def _sample(world: World, state: State, task: Params, params: Params, body: Body, split: Any) -> Batch:
    who = f"{name_of(world.task)}.sample"
    noise = noise_for(world, state, "rehearse", split)[0]
    promise = f"a batch of the split '{split}' from noise {list(noise.shape)} (`noise` of the task says how many)"
    batch = _call(who, promise, world.task.sample, task, Network(world.model, body).acting(params), noise, split)
    if not isinstance(batch, Mapping) or not isinstance(batch.get("x"), Tensor) or batch["x"].dim() < 1:
        got = f"{sorted(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise ContractError(explain(expected=f"{who}: a dict of tensors with at least `x` [n, …]", got=got,
                                    do='Return {"x": inputs [n, …], …}, as core/protocols.Task says.'))  # fmt: skip
    return batch


def _judge(world: World, task: Params, params: Params, body: Body, batch: Batch) -> None:
    """Prediction, P and H of one batch."""
    x, n, model = batch["x"], len(batch["x"]), name_of(world.model)
    weight = next(iter(params.values()), x)
    if x.is_floating_point() and weight.is_floating_point() and x.dtype != weight.dtype:
        raise ContractError(explain(expected=f"inputs `x` of the weights' {weight.dtype}", got=f"{shape_of(x)}",
                                    do="Give task and model one dtype."))  # fmt: skip
    promise = f"predictions [{n}, …, {world.task.outputs}] for x {list(x.shape)}"
    prediction = _call(f"{model}.apply", promise, Network(world.model, body).predict, params, x)
    shape = tuple(prediction.shape) if isinstance(prediction, Tensor) else ()
    if len(shape) < 2 or (shape[0], shape[-1]) != (n, world.task.outputs):
        raise ContractError(explain(expected=f"{model}.apply: {promise}", got=shape_of(prediction),
                                    do=f"Mend the network, or `outputs` of {name_of(world.task)}."))  # fmt: skip
    judges: dict[str, Callable[..., Tensor]] = {"objective": world.task.objective}
    if isinstance(world.task, KnowsHuman):
        judges["human"] = world.task.human
    for name, judge in judges.items():
        who = f"{name_of(world.task)}.{name}"
        found = _call(who, f"one number an example [{n}]", judge, task, prediction, batch)
        if not isinstance(found, Tensor) or tuple(found.shape) != (n,):
            raise ContractError(explain(expected=f"{who}: one number an example, shape [{n}]", got=shape_of(found),
                                        do="Leave out the mean: a gate compares example by example."))  # fmt: skip
        _one_by_one(who, judge, task, prediction, batch, found)


def _one_by_one(who: str, judge: Callable[..., Tensor], task: Params, prediction: Tensor, batch: Batch,
                found: Tensor) -> None:  # fmt: skip
    """The first half of a batch alone must be given what it is given in the whole batch: predictions [n, 1] against
    targets [n], which broadcast to [n, n], show here."""
    n = len(found)
    half = (n + 1) // 2
    some = {name: leaf[:half] if leaf.dim() and len(leaf) == n else leaf for name, leaf in batch.items()}
    alone = _call(who, f"one number an example [{half}]", judge, task, prediction[:half], some)
    if tuple(alone.shape) != (half,) or not torch.allclose(alone, found[:half], rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ContractError(explain(
            expected=f"{who}: of each example a number of its own", got="other numbers where other examples stand by",
            do=f"Compare like with like: predictions {list(prediction.shape)}, "
               f"{', '.join(f'{name} {list(leaf.shape)}' for name, leaf in batch.items())}."))  # fmt: skip


def _learn(world: World, phi: Params, params: Params, slots: Params, task: Params, body: Body, batch: Batch) -> None:
    """One loss and one update."""
    rule, at = name_of(world.rule), {name: weight.clone().requires_grad_() for name, weight in params.items()}
    with torch.enable_grad():
        loss = _call(
            f"{rule}.loss",
            "a scalar",
            world.rule.loss,
            phi,
            at,
            slots,
            batch,
            Network(world.model, body).reach(world, task),
        )
    if not isinstance(loss, Tensor) or loss.shape != ():
        raise ContractError(explain(expected=f"{rule}.loss: a scalar, shape []", got=shape_of(loss),
                                    do="Take the mean over the batch."))  # fmt: skip
    if hasattr(world.rule, "torch_optimizer"):  # its update is the optimizer's own
        return
    grads = {name: torch.zeros_like(weight) for name, weight in params.items()}
    promise = "(weights, slots), each of the kind that came in"
    found: Any = _call(f"{rule}.update", promise, world.rule.update, phi, params, grads, slots)
    pair = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    wrong = [
        _differs(*trees) for trees in zip((params, slots), pair, strict=True) if _kind(trees[0]) != _kind(trees[1])
    ]
    if wrong:
        raise ContractError(explain(expected=f"{rule}.update: {promise}", got=" and ".join(wrong),
                                    do="Return (weights, slots) under the same names, shapes and dtypes."))  # fmt: skip


def _call(who: str, promise: str, method: Callable[..., Any], *handed: Any) -> Any:
    trees: list[Tree] = [tree for tree in handed if isinstance(tree, Tensor | Mapping)]
    before = generators()
    with contract(who, promise, *trees):
        found = method(*handed)
    if before != generators():
        raise ContractError(explain(expected=f"{who}: {promise}", got="a draw from a global generator", do=DRAWN))
    return found


def _kind(tree: Any) -> Any:
    return {name: shape_of(leaf) for name, leaf in tree.items()} if isinstance(tree, Mapping) else type(tree).__name__


def _differs(old: Params, new: Any) -> str:
    """The first leaf that differs between what came in and what came out."""
    if not isinstance(new, Mapping):
        return type(new).__name__
    was, now = _kind(old), _kind(new)
    return next((f"'{name}' {now.get(name, 'missing')} for {was.get(name, 'nothing')}"
                 for name in sorted({*was, *now}) if was.get(name) != now.get(name)), "the same")  # fmt: skip
