"""The objectives of a world, one number a life: what `performance` and `evaluation` read."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from sandbox.core.error import UndefinedError
from sandbox.core.protocols import Engine, KnowsHuman, Split, Tempered, World
from sandbox.core.state import State
from sandbox.core.tree import by_seed


def objectives(engine: Engine, world: World, state: State, stream: str) -> dict[str, Tensor]:
    """{"process": P, "own": A, "calibrated": P calibrated, "human": H}, those of them that the world has, each [S, N]:
    the mean over the examples of a life. All but A are read on the deployment (or else test, or practice) split."""
    task = world.task
    human = task if isinstance(task, KnowsHuman) else None
    split: Split = human.deployment if human else "test" if "test" in task.noise else "practice"

    def mean(scores: Tensor) -> Tensor:
        return by_seed(scores.double().mean(dim=1), world.tasks)

    with torch.no_grad():
        found = {"process": mean(engine.scores(world, state, split, stream))}
        with suppress(UndefinedError):  # examples that are normalised by each other have no loss alone
            found["own"] = mean(engine.own_losses(world, state, "train", stream))
        if isinstance(task, Tempered) and {"practice", "gate"} <= set(task.noise):
            found["calibrated"] = mean(engine.scores(world, state, split, stream, "calibrated"))
        if human:
            found["human"] = mean(engine.scores(world, state, split, stream, "human"))
    return found
