"""The network of one life within one call of an author's method: what it predicts, and what that changes in it."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from sandbox.core.protocols import Act, Model, Params, Reach, Stateful, World
from sandbox.core.random import block, untouched
from sandbox.core.state import State
from sandbox.core.tree import to_lanes

ACTS = 1 << 20  # what it draws as it acts is not what it draws as it learns
Body = dict[str, Params]
"""What a network is besides its trained weights: {"frozen": …, "buffers": …, "draws": {"key": whole number}}, each
empty where it has none; a row a lane, or one lane's."""


@dataclass
class Network:
    """The network of one lane. Its buffers go on with each prediction, in the order of the calls; what it draws as it
    runs comes from the global generators, set anew by the key of this lane and moment."""

    model: Model
    body: Body
    calls: int = 0
    scoring: bool = False  # it is scored by what it predicts, and doesn't learn from it

    def predict(self, params: Params, x: Tensor) -> Tensor:
        key = self.body["draws"].get("key")
        with nullcontext() if key is None else drawing(int(key) + self.calls):
            self.calls += 1
            if not isinstance(self.model, Stateful):
                return self.model.apply(params, x)
            apart = self.scoring and isinstance(self.model, ScoredApart)
            call = self.model.score if apart else self.model.call  # type: ignore[attr-defined]
            prediction, buffers = call(params, self.body["frozen"], self.body["buffers"], x)
        self.body = {**self.body, "buffers": buffers}
        return prediction

    def acting(self, params: Params) -> Act:
        """The policy: predictions by these weights, which leave no mark on this network."""
        return partial(Network(self.model, self.body, self.calls + ACTS, self.scoring).predict, params)

    def reach(self, world: World, task: Params) -> Reach:
        """What a rule can reach in this task."""
        return Reach(self.predict, lambda prediction, batch: world.task.objective(task, prediction, batch))


@contextmanager
def drawing(key: int) -> Generator[None]:
    """Global generators (torch, NumPy, Python) set by `key`, and afterwards as they were."""
    with untouched():
        torch.manual_seed(key)
        np.random.seed(key % (1 << 32))
        random.seed(key)
        yield


def bodies(world: World, state: State, stream: str, split: str, *, draws: bool) -> Body:
    """The body of every lane at t."""
    return {
        "frozen": to_lanes(state.fixed.get("frozen", {}), world.tasks),
        "buffers": dict(state.buffers),
        "draws": {"key": keys(world, state, stream, split, 1)[0]} if draws else {},
    }


def row_of(state: State, row: int) -> Body:
    """What the network of one row of the state holds; number 0 sets what it draws."""
    frozen = {name: leaf[row] for name, leaf in state.fixed.get("frozen", {}).items()}
    buffers = {name: leaf[row] for name, leaf in state.buffers.items()}
    return {"frozen": frozen, "buffers": buffers, "draws": {"key": torch.tensor(0)}}


def keys(world: World, state: State, stream: str, split: str, steps: int) -> Tensor:
    """[steps, L] whole numbers that set what networks draw at t, t + 1, …: one for each lane and moment."""
    drawn = block(state.seed, f"{stream}/{split}/network", state.t, steps, (world.tasks,)).flatten(1, 2)
    return (drawn * (1 << 53)).long()


@runtime_checkable
class ScoredApart(Protocol):
    """A network that predicts otherwise when it is scored: without dropout, by running statistics."""

    def score(self, params: Params, frozen: Params, buffers: Params, x: Tensor) -> tuple[Tensor, Params]: ...


@runtime_checkable
class Hooked(Protocol):
    """A network that changes the gradients of its weights before they are used."""

    @property
    def hooks(self) -> bool: ...

    def hooked(self, grads: Params) -> Params:
        """The gradients of one lane, changed."""
        ...
