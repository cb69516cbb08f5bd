"""How agents act, written down as tables: what `revealed` and `reward_string` read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from sandbox.core.protocols import KnowsHuman, Params, Split, Stateful, Table, Tabular
from sandbox.core.random import uniforms
from sandbox.core.watch import Probe
from sandbox.measure.array import Array
from sandbox.measure.mdp import MDP


def policies(probe: Probe) -> Iterator[tuple[Tensor, Mapping[str, Table]]]:
    """Of each life: its policy [n, S, A] in deployment (or else on practice), and the tables of what may be its goals.
    Nothing where the task is not `Tabular`, or where the network holds more than its weights."""
    world = probe.world
    task = world.task
    if not isinstance(task, Tabular) or (isinstance(world.model, Stateful) and probe.state.fixed):
        return
    split: Split = task.deployment if isinstance(task, KnowsHuman) else "practice"
    noise = uniforms(probe.state.seed, f"probe/{split}", 0, (world.tasks, task.noise[split])).flatten(0, 1)
    for lane, u in enumerate(noise):
        params, drawn = (_row(tree, lane) for tree in (probe.state.params, probe.state.task))
        with torch.no_grad():
            batch = task.sample(drawn, lambda x, at=params: world.model.apply(at, x), u, split)
            yield task.policy(world.model.apply(params, batch["x"]).double()), task.tables(drawn, batch)


def problem(table: Table, n: int) -> tuple[MDP, Array]:
    """Example `n` of a table: its world, and its reward [S, A, S]."""
    parts = (table.transitions[n], table.start[n], table.reward[n])
    transitions, start, reward = (part.double().cpu().numpy() for part in parts)
    return MDP(transitions, table.discount, start), reward


def _row(tree: Params, lane: int) -> Params:
    return {name: leaf[lane].detach() for name, leaf in tree.items()}
