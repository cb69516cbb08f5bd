"""Every seam of the house, on one page.

An author writes for **one seed and one task**. The engine adds the axes (S seeds x N tasks = L lanes), draws all
randomness beforehand and takes every gradient, so a member is a pure function of trees and never sees a generator, a
tape or another seed. A component is a frozen dataclass; its fields are its configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.needs import Grad as Grad  # an author's page: import from here
from sandbox.core.needs import Needs, Seen
from sandbox.core.state import State
from sandbox.core.tree import Params as Params

Split = Literal["train", "practice", "gate", "test"]
"""train: inner steps. practice: what a meta-learner's hypergradients see. gate: what a gate scores. test: deployment,
for meters. A split that a task does not name does not exist; held-out tasks are drawn apart (`Task.draw`)."""

Objective = Literal["process", "calibrated", "human"]
"""process: P. calibrated: P after one fitted temperature. human: H. (A, the agent's own, is the rule's loss.)"""

Tape = Literal["off", "full", "first_order"]
"""off: nothing recorded. full: the whole horizon differentiable. first_order: inner gradients are constants."""

Batch = Mapping[str, Tensor]


# ---- what is learned on ---------------------------------------------------------------------------------------------


class Task(Protocol):
    """A family of tasks. `noise` names the splits that exist and how many uniforms each draw needs; `inputs` are the
    features of one example, `outputs` the numbers that a model predicts for it."""

    @property
    def noise(self) -> Mapping[str, int]:
        """{"draw": size, split: size, …}: float64 uniforms in [0, 1) handed to `draw` and `sample`."""
        ...

    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """One task, from noise [size]; `held_out` draws from the meta-test family where the task has one."""
        ...

    def sample(self, task: Params, params: Params, noise: Tensor, split: Split) -> Batch:
        """A batch with at least `x` [n, inputs]; may read `params` (on-policy data)."""
        ...

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        """P, lower is better, one number an example [n]."""
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
        """The prediction [n, outputs] at `temperature` (a scalar)."""
        ...


class Model(Protocol):
    """A network as a pure function."""

    def init(self, rng: int) -> Params:
        """Fresh weights from the seed `rng`."""
        ...

    def apply(self, params: Params, x: Tensor) -> Tensor:
        """Predictions [n, outputs] for x [n, inputs]."""
        ...


# ---- what learns ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Life:
    """All that a rule can reach: no way from here to H, to a gate's data or to an audit's."""

    predict: Callable[[Params, Tensor], Tensor]
    objective: Callable[[Tensor, Batch], Tensor]


class Rule(Protocol):
    """A learning rule: loss and update. phi is unconstrained; a bounded number is squashed when read."""

    def init(self, params: Params) -> Params:
        """phi, for weights of this shape."""
        ...

    def slots(self, params: Params) -> Params:
        """The rule's memory at the start of a lifetime."""
        ...

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, life: Life) -> Tensor:
        """A: the agent's own objective, a scalar."""
        ...

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        """Weights and memory after one inner step."""
        ...

    def read(self, phi: Params) -> Params:
        """phi in the units that a person reads (squashed), for the record."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A rule that squashes numbers of phi into a range."""

    def place(self, phi: Params) -> Params:
        """Where each of them stands in its range, 0 to 1; near either end its derivative dies."""
        ...


# ---- what edits the learning ----------------------------------------------------------------------------------------


class MetaLearner(Protocol):
    """Declares what it needs, is served it, and asks for an edit. psi is its own state."""

    @property
    def needs(self) -> Needs: ...

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        """psi, given one row of the leaves that it may edit."""
        ...

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        """An edit of leaf paths, and psi afterwards (kept whatever the verdict)."""
        ...


@runtime_checkable
class Hears(Protocol):
    """A meta-learner that wants to hear the verdict."""

    def tell(self, psi: Params, accepted: Tensor) -> Params:
        """psi after hearing `accepted` (a scalar, 1 or 0)."""
        ...


class Gate(Protocol):
    """Judges an edit on data that the meta-learner cannot reach; asked in plain Python, seed by seed. `trials`: fresh
    paired lives an edit (0: judge without); `score`: the objective by which they are compared."""

    @property
    def trials(self) -> int: ...
    @property
    def score(self) -> Literal["process", "calibrated"]: ...

    def init(self) -> Params:
        """The gate's memory (scalars)."""
        ...

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        """Verdict, reason and memory from paired scores [trials, n], lower is better."""
        ...


# ---- how it is put together -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """What does not change in a run. `tasks`: N. `per_lane`: slots with a row per lane; the rest has one per seed."""

    task: Task
    model: Model
    rule: Rule
    tasks: int = 1
    per_lane: frozenset[str] = frozenset({"params", "slots", "task"})


@dataclass(frozen=True)
class Level:
    """One depth of reflection. Level 1 lives `horizon` inner steps a reflective step; level n lives `horizon`
    reflective steps of level n - 1. `allow` defaults to what the meta-learner asks for; `anchor` is a frozen second
    gate whose verdict on the same scores is logged and never acts; `course` {path: [steps, S, ...]} is what a yoked
    editor lives by. `faults`: a malformed edit or an exception in `ask` ends the run ("stop") or is refused."""

    meta_learner: MetaLearner
    gate: Gate
    horizon: int
    lifetime: Literal["episodic", "persistent"] = "persistent"
    anchor: Gate | None = None
    allow: tuple[str, ...] | None = None
    course: Mapping[str, Tensor] | None = None
    faults: Literal["stop", "refuse"] = "stop"


class Engine(Protocol):
    """How a lifetime is unrolled, differentiated and scored. All that loop and meters use of it."""

    def draw(self, world: World, state: State, stream: str, *, held_out: bool = False) -> State:
        """The state with fresh tasks."""
        ...

    def born(self, world: World, state: State) -> State:
        """The state at the start of a lifetime: params from init, fresh slots."""
        ...

    def unroll(self, world: World, state: State, steps: int, stream: str, tape: Tape) -> tuple[State, Tensor]:
        """The state `steps` inner steps later, and the own losses [K, L]."""
        ...

    def scores(self, world: World, state: State, split: Split, stream: str, objective: Objective = "process") -> Tensor:
        """[L, n]: one number an example, on the tape if grad mode is on."""
        ...

    def own(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        """[L, n]: the rule's own loss of each example alone."""
        ...
