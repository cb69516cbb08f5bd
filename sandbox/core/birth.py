"""A world's state before any learning: fresh weights, what its networks hold besides them, and phi."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sandbox.core.contract import tensors
from sandbox.core.edit import covers
from sandbox.core.error import ContractError, explain
from sandbox.core.protocols import Drawn, Rule, Stateful, World
from sandbox.core.random import uniform
from sandbox.core.state import State, map_state
from sandbox.core.tree import Params, stack


def newborn(world: World, seeds: Sequence[int]) -> State:
    """The state of these seeds with init, phi and what is fixed; no life has begun in it and no task is drawn."""
    init, numbers = stack([world.model.init(seed) for seed in seeds]), torch.tensor(list(seeds), dtype=torch.int64)
    state = State(init, {}, {}, phi_of(world, init, seeds), {}, {}, {}, numbers, fixed=fixed_of(world, seeds))

    def there(leaf: Tensor) -> Tensor:
        return leaf.to(world.device)

    return map_state(there, state)


def phi_of(world: World, init: Params, seeds: Sequence[int]) -> Params:
    """phi at birth of these seeds, whose weights begin as `init` [S, ...]: a row a seed, or a row a lane where
    `World.per_lane` says so. A seed's draw of phi, where the rule makes one, depends on the seed alone."""
    each = [_phi(world.rule, {name: leaf[s].detach() for name, leaf in init.items()}, seed)
            for s, seed in enumerate(seeds)]  # fmt: skip
    by_seed = {name: leaf.to(world.device) for name, leaf in stack(each).items()}
    return {name: leaf.repeat_interleave(world.tasks, dim=0) if covers(world.per_lane, f"rule/{name}") else leaf
            for name, leaf in by_seed.items()}  # fmt: skip


def _phi(rule: Rule, params: Params, seed: int) -> Params:
    """phi of one seed; raises `ContractError` where it is no tree of tensors, or where a draw has other leaves."""
    phi, name = rule.init(params), type(rule).__name__
    tensors(f"{name}.init", phi)
    size = rule.draws(params) if isinstance(rule, Drawn) else 0
    if not isinstance(rule, Drawn) or not size:
        return phi
    drawn = rule.drawn(params, uniform(seed, "rule/draw", 0, (size,)).to(next(iter(params.values())).device))
    tensors(f"{name}.drawn", drawn)
    kinds = [{leaf: f"{value.dtype} {list(value.shape)}" for leaf, value in one.items()} for one in (phi, drawn)]
    if kinds[0] != kinds[1]:
        raise ContractError(explain(expected=f"{name}.drawn: {kinds[0]}, as {name}.init has them", got=f"{kinds[1]}",
                                    do="Draw other numbers, never other leaves."))  # fmt: skip
    return drawn


def fixed_of(world: World, seeds: Sequence[int]) -> dict[str, Params]:
    """What each seed's network holds besides its weights, at birth; empty where that is nothing."""
    model = world.model
    if not isinstance(model, Stateful):
        return {}
    held = {"frozen": [model.frozen(seed) for seed in seeds], "buffers": [model.buffers(seed) for seed in seeds]}
    for name, each in held.items():
        tensors(f"{type(model).__name__}.{name}", each[0])
    return {name: stack(each) for name, each in held.items()} if any(each[0] for each in held.values()) else {}
