"""The check at the start of a run: a network is the pure function that it claims to be, and the tape is its derivative.

Everything is lived by the engine's own road, on one or two lanes and a few inner steps. What a class does can't be told
by looking at it, so each law is tried.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sandbox.core.adjoint import FULL
from sandbox.core.birth import newborn
from sandbox.core.contract import told
from sandbox.core.error import SandboxError, UndefinedError
from sandbox.core.finding import Finding
from sandbox.core.protocols import Batch, Engine, Params, World
from sandbox.core.random import untouched
from sandbox.core.state import State
from sandbox.engine.batches import on_policy
from sandbox.engine.lane import noise_for
from sandbox.engine.marks import marks, restored, weights
from sandbox.engine.network import Body, Hooked, Network, drawing, row_of
from sandbox.engine.plan import plan_of
from sandbox.engine.slope import compare

KNOWN = 8  # worlds whose findings are kept
STEPS = 2  # inner steps lived
PURE = "Hand over a network whose forward pass depends on its weights, its buffers and x alone."
STATE = "Keep what a call changes in a buffer: self.register_buffer(name, tensor)."
HOLDS = ("Reach weights by their own name as the network runs: a hook, a closure, a list or a shared memory (.data) "
         "holds on to the tensors of another seed.")  # fmt: skip
DETACHED = ("Something between weights and loss is detached (with scored=eval: the statistics it is scored by), or "
            "torch has its derivative wrong: mend it, say scored=built, edit by meta_learner=es, which takes none, or "
            "say check=off if it is meant so.")  # fmt: skip

_known: OrderedDict[tuple[Any, ...], tuple[tuple[Finding, ...], tuple[object, ...]]] = OrderedDict()


def examine(engine: Engine, world: World, seed: int) -> tuple[Finding, ...]:
    """What was found of these members under this engine; found once for them."""
    members = (world.task, world.model, world.rule)
    key = (type(engine), world.device, *map(id, members))
    if key not in _known:
        with untouched(), restored(world.model), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _known[key] = tuple(_findings(engine, world, seed)), members
        while len(_known) > KNOWN:
            _known.popitem(last=False)
    return _known[key][0]


def _findings(engine: Engine, world: World, seed: int) -> Iterator[Finding]:
    world = replace(world, tasks=1)
    yield _same_weights(world, seed)
    state = engine.born(world, engine.draw(world, newborn(world, [seed, seed + 1]), "examine"))
    batch = _batch(world, state)
    yield from _calls(world, state, batch)
    yield _of_its_seed(world, seed + 1, state, batch)
    yield _learns(world, seed + 1, state, batch)
    yield _alone(engine, world, state, seed)
    yield _of_each(engine, world, state)
    yield _taped(engine, world, state)
    yield _slope(engine, world, state)


# ---- the network ----------------------------------------------------------------------------------------------------


def _same_weights(world: World, seed: int) -> Finding:
    law, again = "one seed, one initialisation", newborn(world, [seed])
    first = newborn(world, [seed])
    wrong = [name for name, leaf in _held(first).items() if not _equal(leaf, _held(again)[name])]
    if wrong:
        return Finding(law, fault=f"'{wrong[0]}' is another each time that seed {seed} is built",
                       do="Draw from the global generators of torch, NumPy or Python, which a seed sets.")  # fmt: skip
    return Finding(law, f"{len(_held(first))} tensors alike")


def _calls(world: World, state: State, batch: Batch) -> Iterator[Finding]:
    """Whether a call depends on its arguments alone, and leaves no mark on them or on the network."""
    own, other = (_row(state, row) for row in (0, 1))
    kept = {name: leaf.clone() for name, leaf in {**own[0], **batch}.items()}
    once = _call(world, *own, batch["x"])
    _call(world, *other, batch["x"])
    _call(world, *own, batch["x"])  # what is made of the weights, and kept, is now made of these
    before = marks(world.model)
    again = _call(world, *own, batch["x"])
    wrong = [name for name, leaf in {**own[0], **batch}.items() if not _equal(leaf, kept[name])]
    fault = f"a call writes into '{wrong[0]}'" if wrong else ""
    yield Finding("weights and inputs stay as they are handed over", "untouched", fault, PURE)
    late = [name for name in weights(world.model) if name not in _held(state)]
    fault = f"'{late[0]}' is made by a call" if late else ""
    yield Finding("the network's weights are there before it is called", "all there", fault, "Make them in __init__.")
    differ = [name for name, leaf in once.items() if not _near(leaf, again[name], 1e-6)]
    changed = _changed(before, marks(world.model))
    fault = f"a second call with the same arguments gives other {differ[0]}" if differ else ""
    if changed:
        fault = f"{fault or 'each call changes the network'}; '{changed}' changes with each call"
    yield Finding("a call twice gives the same", "alike", fault, STATE if changed else PURE)


def _of_its_seed(world: World, seed: int, state: State, batch: Batch) -> Finding:
    """Whether the network of a seed is what its class builds under that seed."""
    law = "the network of a seed is what its class builds under that seed"
    built = getattr(world.model, "built", None)
    if built is None:
        return Finding(law, "not an nn.Module")
    with drawing(0), torch.no_grad():
        plain = built(seed).to(world.device)(batch["x"].clone())
    ours = _call(world, *_row(state, 1), batch["x"])["predictions"]
    if not _near(plain, ours, 1e-4):
        return Finding(law, fault="something that the seed decides is neither a weight nor a buffer",
                       do="Register it: nn.Parameter, register_buffer, nn.ModuleList in place of a list.")  # fmt: skip
    return Finding(law, "alike")


def _learns(world: World, seed: int, state: State, batch: Batch) -> Finding:
    """Whether predictions and gradients are, step by step, those of the module itself as torch trains it in place. A
    hook, a closure or a shared memory that holds on to the module's own tensors shows here."""
    law, built = "the network learns as its class does in a plain loop of torch", getattr(world.model, "built", None)
    if built is None:
        return Finding(law, "not an nn.Module")
    plain, (params, body) = built(seed).to(world.device), _row(state, 1)
    task = {name: leaf[1] for name, leaf in state.task.items()}
    for step in range(STEPS + 1):
        body = {**body, "draws": {"key": torch.tensor(step)}}
        at, network = {name: leaf.clone().requires_grad_() for name, leaf in params.items()}, Network(world.model, body)
        try:
            with torch.enable_grad(), drawing(step):
                theirs = plain(batch["x"].clone())
                world.task.objective(task, theirs, batch).mean().backward()
        except Exception as error:
            return Finding(law, fault=f"torch itself can't train it: {told(error)}",
                           do="Detach what one call keeps for the next.")  # fmt: skip
        with torch.enable_grad():
            ours = network.predict(at, batch["x"])
            found = torch.autograd.grad(world.task.objective(task, ours, batch).mean(), list(at.values()),
                                        allow_unused=True)  # fmt: skip
        grads = {name: torch.zeros_like(at[name]) if grad is None else grad.detach()
                 for name, grad in zip(at, found, strict=True)}  # fmt: skip
        if isinstance(world.model, Hooked) and world.model.hooks:
            grads = world.model.hooked(grads)
        named = dict(plain.named_parameters())
        wanted = {
            name: torch.zeros_like(leaf) if (own := named[name].grad) is None else own for name, leaf in at.items()
        }
        wrong = [name for name, grad in grads.items() if not _near(wanted[name], grad, 1e-3)]
        if wrong or not _near(theirs.detach(), ours.detach(), 1e-3):
            what = f"the gradient of '{wrong[0]}'" if wrong else "its predictions"
            return Finding(law, fault=f"{what} after {step} steps {'are' if not wrong else 'is'} another",
                           do=HOLDS)  # fmt: skip
        rate = 0.1 / max(1.0, *(float(grad.norm()) for grad in wanted.values()))
        params = {name: leaf - rate * grads[name] for name, leaf in params.items()}
        with torch.no_grad():
            for name, grad in wanted.items():
                named[name].sub_(rate * grad)
        plain.zero_grad()
        body = {**network.body}
    return Finding(law, "alike")


def _alone(engine: Engine, world: World, state: State, seed: int) -> Finding:
    """Whether the second of two seeds lives as it does alone."""
    law = "a seed alone is that seed in a batch"
    single = engine.born(world, engine.draw(world, newborn(world, [seed + 1]), "examine"))
    (both, owns), (one, own) = (engine.unroll(world, each, STEPS, "examine", None) for each in (state, single))
    second = {name: leaf[1:] for name, leaf in _lived(both, owns.T).items()}
    wrong = [name for name, leaf in _lived(one, own.T).items() if not _near(second[name], leaf, 1e-3)]
    how = plan_of(world).why
    return Finding(law, "life by life" if how else "side by side",
                   f"'{wrong[0]}' depends on who lives beside it" if wrong else "", PURE,
                   note=f"lives go one by one, which takes longer: {how}" if how else "")  # fmt: skip


def _of_each(engine: Engine, world: World, state: State) -> Finding:
    """Whether the rule has a loss of one example alone, which some meters read."""
    law, split = "each example has a loss of its own", next(name for name in world.task.noise if name != "draw")
    try:
        engine.own_losses(world, state, split, "examine")  # type: ignore[arg-type]
    except UndefinedError as error:
        why = error.__cause__ and error.__cause__.__cause__
        said = told(why) if isinstance(why, Exception) else str(error)
        return Finding(law, "none has", note=f"readings of single examples' own losses are left out: {said}")
    return Finding(law, "each has")


# ---- the tape -------------------------------------------------------------------------------------------------------


def _taped(engine: Engine, world: World, state: State) -> Finding:
    law = "a life on the tape is the life off it"
    try:
        (off, owns), (on, own) = (engine.unroll(world, state, STEPS, "examine", adjoint) for adjoint in (None, FULL))
    except SandboxError:
        raise
    except Exception as error:
        return Finding(law, fault=told(error), do=_without_tape(error), tape=True)
    plain = _lived(off, owns)
    wrong = [name for name, leaf in _lived(on, own).items() if not _near(plain[name], leaf, 1e-5)]
    return Finding(law, "alike", f"'{wrong[0]}' is another with the tape on" if wrong else "", PURE, tape=True)


def _slope(engine: Engine, world: World, state: State) -> Finding:
    """Whether the hypergradient is the slope of P after a life, along a random direction of the weights at birth."""
    law = "the hypergradient is the slope of P"
    task, noise = {name: leaf[0] for name, leaf in state.task.items()}, noise_for(world, state, "examine", "train")[0]
    if on_policy(world, task, noise):
        return Finding(law, "not compared: the data follow the policy", tape=True)
    try:
        found = compare(engine, world, state, STEPS)
    except SandboxError:
        raise
    except Exception as error:
        return Finding(law, fault=told(error), do=_without_tape(error), tape=True)
    return Finding(law, found.told, found.fault, DETACHED, tape=True)


def _without_tape(error: Exception) -> str:
    if "derivative" in str(error) or "double backward" in str(error):
        return "A layer has no second derivative: use another, or an editor that needs none (meta_learner=es)."
    return "Use an editor that takes no hypergradient (meta_learner=es), or another layer."


# ---- parts ----------------------------------------------------------------------------------------------------------


def _batch(world: World, state: State) -> Batch:
    """The first lane's batch of the first split."""
    split: Any = next(name for name in ("train", *world.task.noise) if name in world.task.noise)
    params, body = _row(state, 0)
    task = {name: leaf[0] for name, leaf in state.task.items()}
    noise = noise_for(world, state, "examine", split)[0]
    with torch.no_grad():
        return dict(world.task.sample(task, Network(world.model, body).acting(params), noise, split))


def _row(state: State, row: int) -> tuple[Params, Body]:
    """One seed's weights, and what its network holds besides."""
    return {name: leaf[row] for name, leaf in state.params.items()}, row_of(state, row)


def _call(world: World, params: Params, body: Body, x: Tensor) -> dict[str, Tensor]:
    network = Network(world.model, body)
    with torch.no_grad():
        found = network.predict(params, x)
    return {"predictions": found.clone(), **{name: leaf.clone() for name, leaf in network.body["buffers"].items()}}


def _lived(state: State, own: Tensor) -> dict[str, Tensor]:
    """Where a life has led, by name [L, …]."""
    return {name: leaf.detach() for name, leaf in {**state.params, **state.buffers, "own losses": own}.items()}


def _held(state: State) -> dict[str, Tensor]:
    return {**state.init, **state.fixed.get("frozen", {}), **state.fixed.get("buffers", {})}


def _changed(before: dict[str, str], after: dict[str, str]) -> str:
    return next((name for name in after if after[name] != before.get(name)), "")


def _equal(one: Tensor, other: Tensor) -> bool:
    return (
        torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))
        if one.is_floating_point()
        else torch.equal(one, other)
    )


def _near(one: Tensor, other: Tensor, near: float) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    near = near * 1e-3 if one.dtype == torch.float64 else near
    finite = one.detach()[torch.isfinite(one.detach())]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(one, other, rtol=near, atol=near * max(scale, 1e-2), equal_nan=True)
