"""How agents act, written down as tables: what `revealed` and `reward_string` read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.edit import covers
from sandbox.core.protocols import Batch, KnowsHuman, Params, Split, Stateful, Table, Tabular
from sandbox.core.random import uniforms
from sandbox.core.tree import to_lanes
from sandbox.core.watch import Probe
from sandbox.measure.array import Array
from sandbox.measure.mdp import MDP


@dataclass(frozen=True, eq=False)
class Acting:
    """One life: its task, a batch of it, its policy there [n, S, A], the `tables` of what may be its goals, and phi."""

    task: Params
    policy: Tensor
    tables: Mapping[str, Table]
    batch: Batch
    phi: Params


def acting(probe: Probe, split: Split | None = None) -> Iterator[Acting]:
    """Each life as it stands, on a split: by default deployment, or else practice. None where the task is not
    `Tabular`, or where the network holds more than its weights."""
    world, state = probe.world, probe.state
    task = world.task
    if not isinstance(task, Tabular) or (isinstance(world.model, Stateful) and any(state.fixed.values())):
        return
    if split is None:
        split = task.deployment if isinstance(task, KnowsHuman) else "practice"
    noise = uniforms(state.seed, f"probe/{split}", 0, (world.tasks, task.noise[split])).flatten(0, 1)
    rule = {name: leaf if covers(world.per_lane, f"rule/{name}") else to_lanes(leaf, world.tasks)
            for name, leaf in state.rule.items()}  # fmt: skip
    for lane, u in enumerate(noise):
        params, drawn, phi = (_row(tree, lane) for tree in (state.params, state.task, rule))
        with torch.no_grad():
            batch = task.sample(drawn, lambda x, at=params: world.model.apply(at, x), u, split)
            policy = task.policy(world.model.apply(params, batch["x"]).double())
            yield Acting(drawn, policy, task.tables(drawn, batch), batch, phi)


def problem(table: Table, n: int) -> tuple[MDP, Array]:
    """Example `n` of a table: its world, and its reward [S, A, S]."""
    parts = (table.transitions[n], table.start[n], table.reward[n])
    transitions, start, reward = (part.double().cpu().numpy() for part in parts)
    return MDP(transitions, table.discount, start), reward


def _row(tree: Params, lane: int) -> Params:
    return {name: leaf[lane].detach() for name, leaf in tree.items()}
