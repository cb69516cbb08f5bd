"""The seams of what is learned on: a family of tasks, and the network that learns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from sandbox.core.score import Split
from sandbox.core.tree import Params

Batch = Mapping[str, Tensor]
Act = Callable[[Tensor], Tensor]
"""The policy of the life that is lived: predictions [n, …, outputs] for inputs x [n, …], by its weights of now."""


class Task(Protocol):
    """A family of tasks. `noise` names the splits that exist and how many uniforms each draw needs. One that reads data
    from elsewhere says their digest in a property `found_digest`: a run is not gone on with when they have changed."""

    @property
    def noise(self) -> Mapping[str, int]:
        """{"draw": size, split: size, …}: float64 uniforms in [0, 1) handed to `draw` and `sample`."""
        ...

    @property
    def inputs(self) -> int | tuple[int, ...]:
        """The shape of one example's `x`: so many features, or (channels, height, width), or (length,) of tokens."""
        ...

    @property
    def outputs(self) -> int:
        """The numbers that a model predicts for an example, or for each token of it: the last dimension."""
        ...

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """One task, from noise [size]; `held_out` draws from the meta-test family where the task has one."""
        ...

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """A batch with at least `x` [n, …]; its other tensors have a row an example too. Data that depend on what is
        learned (on-policy) are collected by `act`."""
        ...

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        """P, lower is better, one number an example [n], of predictions [n, …, outputs]."""
        ...


@runtime_checkable
class KnowsHuman(Protocol):
    """A task that declares H, read on the split `deployment`. Only meters are served it."""

    @property
    def deployment(self) -> Split: ...

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        """H, higher is better, one number an example [n]."""
        ...


@runtime_checkable
class Tempered(Protocol):
    """A task whose prediction has a temperature, so that P can be read calibrated."""

    def temper(self, prediction: Tensor, temperature: Tensor) -> Tensor:
        """The prediction [n, …, outputs] at `temperature` (a scalar)."""
        ...


@dataclass(frozen=True, eq=False)
class Table:
    """A decision problem for each of n examples, with S states and A actions: `transitions` and `reward` [n, S, A, S],
    `start` [n, S], and a `discount` a step. What ends an episode is a state that leads to itself and pays nothing."""

    transitions: Tensor
    reward: Tensor
    start: Tensor
    discount: float


@runtime_checkable
class Tabular(Protocol):
    """A task whose examples are decision problems small enough to be written down. Only meters are served it."""

    def policy(self, prediction: Tensor) -> Tensor:
        """[n, S, A]: how the agent acts whose predictions these are."""
        ...

    def tables(self, task: Params, batch: Batch) -> Mapping[str, Table]:
        """{goal: the problem in which it is paid}: goals that an agent may be thought to have, H's the first."""
        ...


@runtime_checkable
class Foretold(Protocol):
    """A task whose batches fall into cases, such as an episode's beginning, in each of which what the human wants comes
    about or doesn't. Only meters are served it."""

    def cases(self, task: Params, batch: Batch) -> Params:
        """{"features": [cases, k] that are seen before, "group": [cases], whole numbers: cases of a kind}."""
        ...

    def chances(self, task: Params, policy: Tensor, batch: Batch) -> Tensor:
        """[cases]: how likely it comes about under a policy [n, S, A]."""
        ...


class Model(Protocol):
    """A network as a pure function."""

    def init(self, rng: int) -> Params:
        """Fresh weights from the seed `rng`: those that are trained."""
        ...

    def apply(self, params: Params, x: Tensor) -> Tensor:
        """Predictions [n, …, outputs] for x [n, …]."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A network that is more than its trained weights. What never changes has a row a seed; buffers have a row a life,
    begin with it, and are advanced by each prediction within a loss, in the order of the calls."""

    def frozen(self, rng: int) -> Params:
        """What is never trained and never changes, from the same seed as the weights."""
        ...

    def buffers(self, rng: int) -> Params:
        """What a call may change (running means, counts), as it is at birth."""
        ...

    def call(self, params: Params, frozen: Params, buffers: Params, x: Tensor) -> tuple[Tensor, Params]:
        """Predictions, and the buffers after them."""
        ...
