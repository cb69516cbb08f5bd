"""A world's state before any learning: fresh weights, what its networks hold besides them, and phi."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sandbox.core.contract import tensors
from sandbox.core.edit import covers
from sandbox.core.protocols import Stateful, World
from sandbox.core.state import State, map_state
from sandbox.core.tree import Params, stack


def newborn(world: World, seeds: Sequence[int]) -> State:
    """The state of these seeds with init, phi and what is fixed; no life has begun in it and no task is drawn."""
    init, numbers = stack([world.model.init(seed) for seed in seeds]), torch.tensor(list(seeds), dtype=torch.int64)
    state = State(init, {}, {}, phi_of(world, init, len(seeds)), {}, {}, {}, numbers, fixed=fixed_of(world, seeds))

    def there(leaf: Tensor) -> Tensor:
        return leaf.to(world.device)

    return map_state(there, state)


def phi_of(world: World, init: Params, seeds: int) -> Params:
    """phi at birth: a row a seed, or a row a lane where `World.per_lane` says so."""
    each = [world.rule.init({name: leaf[s].detach() for name, leaf in init.items()}) for s in range(seeds)]
    tensors(f"{type(world.rule).__name__}.init", each[0])
    by_seed = {name: leaf.to(world.device) for name, leaf in stack(each).items()}
    return {name: leaf.repeat_interleave(world.tasks, dim=0) if covers(world.per_lane, f"rule/{name}") else leaf
            for name, leaf in by_seed.items()}  # fmt: skip


def fixed_of(world: World, seeds: Sequence[int]) -> dict[str, Params]:
    """What each seed's network holds besides its weights, at birth; empty where that is nothing."""
    model = world.model
    if not isinstance(model, Stateful):
        return {}
    held = {"frozen": [model.frozen(seed) for seed in seeds], "buffers": [model.buffers(seed) for seed in seeds]}
    for name, each in held.items():
        tensors(f"{type(model).__name__}.{name}", each[0])
    return {name: stack(each) for name, each in held.items()} if any(each[0] for each in held.values()) else {}
