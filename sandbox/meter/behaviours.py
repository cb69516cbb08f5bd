"""Agents on which the three objectives are compared, and what each says of them: what distance and string read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from math import nan

import numpy as np
import torch
from torch import Tensor

from sandbox.core.error import ConfigError, ContractError, explain
from sandbox.core.protocols import KnowsHuman, Params
from sandbox.core.random import normal, uniforms
from sandbox.core.state import State
from sandbox.core.tree import by_seed, stack, tree_map
from sandbox.core.watch import Probe
from sandbox.measure.behaviour import FEWEST, ranks
from sandbox.measure.distance import chord

RADII = (0.03, 0.1, 0.3, 1.0)  # of the noise on weights, in units of their root mean square
STRIDE = 0.02  # of one optimising step, in units of the length of all weights
SIDE_BY_SIDE = 8  # agents that are scored at once, fewer where they are large; more no longer fit the cache
NUMBERS = 2**22  # weights of theirs, at most, unless one agent has more


def distances(probe: Probe, count: int) -> dict[str, Tensor]:
    """{"process_agent": [S], and where the task knows H "human_process", "human_agent"}: rank-chord distances of every
    two objectives over `count` agents. Nothing where the task has no practice split.

    A quarter each: fresh agents; between a life's birth and now; now, with noise; and now, optimised for P and for A
    in turn. H has no gradient, so no agent is optimised for it. NaN for a seed one of whose scores is not finite.
    Computed once for all meters that ask for as many agents.
    """
    if count < FEWEST:
        raise ConfigError(explain(expected=f"at least {FEWEST} agents", got=f"{count}", do="256 are the default."))
    return probe.once(f"behaviours/{count}", lambda: _distances(probe, count))


def _distances(probe: Probe, count: int) -> dict[str, Tensor]:
    if "practice" not in probe.world.task.noise:
        return {}
    born, lived = probe.adapted(probe.world)
    weights = sum(leaf.numel() for leaf in lived.params.values())
    agents = _side_by_side(_agents(probe, born, lived, count), max(1, min(SIDE_BY_SIDE, NUMBERS // weights)))
    scores = [_verdicts(probe, lived, each) for each in agents]
    said = {name: torch.cat([score[name] for score in scores]).T.cpu().numpy() for name in scores[0]}
    fine = np.all([np.isfinite(rows).all(axis=1) for rows in said.values()], axis=0)

    def between(a: str, b: str) -> Tensor:
        rows = zip(said[a], said[b], fine, strict=True)
        return torch.tensor([chord(ranks(x), ranks(y)) if ok else nan for x, y, ok in rows], dtype=torch.float64)

    pairs = [(a, b) for a, b in (("human", "process"), ("process", "agent"), ("human", "agent")) if a in said]
    return {f"{a}_{b}": between(a, b) for a, b in pairs}


def _side_by_side(agents: Iterable[Params], size: int) -> Iterator[Params]:
    """`size` agents at a time, on an axis in front of all others: [size, L, ...]."""
    agents = iter(agents)
    while each := list(islice(agents, size)):
        yield stack(each)


def _verdicts(probe: Probe, lived: State, agents: Params) -> dict[str, Tensor]:
    """[agents, S] of each objective, higher is better: P and A on practice data, H on deployment."""
    world, engine = probe.world, probe.engine

    def mean(scores: Tensor) -> Tensor:
        return by_seed(scores.detach().double().mean(dim=1), world.tasks).mean(dim=1)

    found: dict[str, Callable[[State], Tensor]] = {
        "process": lambda state: -mean(engine.scores(world, state, "practice", "probe")),
        "agent": lambda state: -mean(engine.own_losses(world, state, "practice", "probe")),
    }
    if isinstance(world.task, KnowsHuman):
        split = world.task.deployment
        found["human"] = lambda state: mean(engine.scores(world, state, split, "probe", "human"))
    with torch.no_grad():
        return {name: _each(score, lived, agents) for name, score in found.items()}


def _each(score: Callable[[State], Tensor], lived: State, agents: Params) -> Tensor:
    """[agents, S]: side by side, or one by one for a network that vmap does not know."""

    def one(params: Params) -> Tensor:
        return score(replace(lived, params=params))

    try:
        return torch.func.vmap(one)(agents)
    except (RuntimeError, ContractError):
        count = len(next(iter(agents.values())))
        return torch.stack([one({name: leaf[n] for name, leaf in agents.items()}) for n in range(count)])


def _agents(probe: Probe, born: State, lived: State, count: int) -> Iterator[Params]:
    """`count` sets of weights [L, ...], for all lanes alike."""
    world, engine, quarter = probe.world, probe.engine, count // 4
    now = {name: leaf.detach() for name, leaf in lived.params.items()}
    for n in range(quarter):
        fresh = world.model.init(n)
        yield {name: fresh[name].detach().to(leaf).expand_as(leaf).clone() for name, leaf in now.items()}
    for share in torch.linspace(0, 1, quarter).tolist():
        yield {name: torch.lerp(born.params[name].detach(), leaf, share) for name, leaf in now.items()}
    for n in range(quarter):
        yield {name: _noisy(leaf, RADII[n % len(RADII)], lived.seed, f"{name}/{n}") for name, leaf in now.items()}
    objectives: tuple[Callable[[State], Tensor], ...] = (
        lambda state: engine.scores(world, state, "practice", "probe"),
        lambda state: engine.own_losses(world, state, "practice", "probe"),
    )
    left = count - 3 * quarter
    for objective, steps in zip(objectives, (left // 2, left - left // 2), strict=True):
        params: Params = dict(now)
        for _ in range(steps):
            params = _better(objective, lived, params)
            yield params


def _noisy(leaf: Tensor, radius: float, seeds: Tensor, name: str) -> Tensor:
    size = leaf.flatten(1).square().mean(dim=1).sqrt().reshape(-1, *[1] * (leaf.dim() - 1))
    shape = (leaf.shape[0] // len(seeds), *leaf.shape[1:])
    noise = normal(uniforms(seeds, f"behaviours/{name}", 0, shape)).flatten(0, 1).to(leaf)
    return leaf + radius * size * noise


def _better(objective: Callable[[State], Tensor], state: State, params: Mapping[str, Tensor]) -> Params:
    """The weights one stride down the objective, each lane for itself; a lane with no slope stays."""
    at = {name: leaf.clone().requires_grad_() for name, leaf in params.items()}
    with torch.enable_grad():
        slopes = torch.autograd.grad(objective(replace(state, params=at)).mean(dim=1).sum(), list(at.values()))

    def length(leaves: list[Tensor]) -> Tensor:
        return torch.cat([leaf.detach().flatten(1) for leaf in leaves], dim=1).norm(dim=1)

    ratio = STRIDE * length(list(at.values())) / length(list(slopes)).clamp(min=1e-12)

    def move(leaf: Tensor, slope: Tensor) -> Tensor:
        return leaf.detach() - ratio.reshape(-1, *[1] * (leaf.dim() - 1)) * slope

    return tree_map(move, at, dict(zip(at, slopes, strict=True)))
