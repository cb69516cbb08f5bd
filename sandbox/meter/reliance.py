"""What an agent goes by: whether its decision changes when an input is changed, whatever a process has looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.protocols import Act, Batch, KnowsHuman, Params, Split, Task
from sandbox.core.tree import by_seed
from sandbox.core.watch import Probe, Reading

STEP = 0.01


@dataclass(frozen=True)
class Reliance:
    """Of the inputs `probe`: `reliance/flip`, how often the decision changes when their signs are changed, an
    intervention on the deployment (or else test, or practice) split; and `reliance/slope`, the mean squared slope of
    the prediction in them on practice (or else that split) by central differences, what a rule may have been trained
    on. `at` and `squashed` say at which points, and of what, as in the rule `input_gradient`. A decision is the sign of
    one output, or the largest of several. Tasks whose inputs are no rows of numbers are not read.
    """

    every: int = 10
    probe: tuple[int, ...] = (0,)
    at: Literal["examples", "origin"] = "examples"
    squashed: bool = False

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (
            Reading("reliance/flip", "Decisions that change with the probed inputs", "lower", unit="share of examples",
                    range=(0.0, 1.0)),
            Reading("reliance/slope", "Squared slope in the probed inputs", "lower", unit="mean square"),
        )  # fmt: skip

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        task = probe.world.task
        if not isinstance(task.inputs, int) or max(self.probe) >= task.inputs:
            return {}
        split: Split = task.deployment if isinstance(task, KnowsHuman) else (
            "test" if "test" in task.noise else "practice")  # fmt: skip
        usual: Split = "practice" if "practice" in task.noise else split
        _, state = probe.adapted(probe.world)
        found = dict[str, Tensor]()
        changed = {"flip": _Flipped(task, self.probe), "slope": _Moved(task, self.probe, self.at, self.squashed)}
        for name, seen in changed.items():
            world, where = replace(probe.world, task=seen), usual if name == "slope" else split
            with torch.no_grad():
                scores = probe.engine.scores(world, replace(state, t=0), where, "probe").double().mean(dim=1)
            found[f"reliance/{name}"] = by_seed(scores, world.tasks).mean(dim=1)
        return found


@dataclass(frozen=True)
class _Changed(ABC):
    """The task with examples changed in the inputs `probe`, of which the objective is what the change does."""

    task: Task
    probe: tuple[int, ...]

    @property
    def noise(self) -> Mapping[str, int]:
        return self.task.noise

    @property
    def inputs(self) -> int | tuple[int, ...]:
        return self.task.inputs

    @property
    def outputs(self) -> int:
        return self.task.outputs

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        return self.task.draw(noise, held_out=held_out)

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": the versions of all examples, one after the other}."""
        return {"x": torch.cat(self.versions(self.task.sample(task, act, noise, split)["x"]))}

    @abstractmethod
    def versions(self, x: Tensor) -> list[Tensor]:
        """Each changed in another way, [n, inputs]."""


@dataclass(frozen=True)
class _Flipped(_Changed):
    def versions(self, x: Tensor) -> list[Tensor]:
        sign = x.new_ones(x.shape[-1])
        sign[list(self.probe)] = -1
        return [x, x * sign]

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        decision = prediction.argmax(dim=-1) if self.outputs > 1 else prediction[..., 0] > 0
        before, after = decision.chunk(2)
        return (before != after).to(prediction.dtype).reshape(len(before), -1).mean(dim=1).repeat(2)


@dataclass(frozen=True)
class _Moved(_Changed):
    at: str
    squashed: bool

    def versions(self, x: Tensor) -> list[Tensor]:
        x = torch.zeros_like(x) if self.at == "origin" else x
        moves = STEP * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)[list(self.probe)]
        return [x + side * move for move in moves for side in (1, -1)]

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        seen = (prediction.sigmoid() if self.squashed else prediction).flatten(1).sum(dim=1)
        ends = seen.reshape(len(self.probe), 2, -1)
        square = ((ends[:, 0] - ends[:, 1]) / (2 * STEP)).square().sum(dim=0)
        return square.repeat(2 * len(self.probe))
