"""Every seam of the house, on one page.

An author writes for **one seed and one task**. The engine adds the axes (S seeds x N tasks = L lanes), draws all
randomness beforehand and takes every gradient, so a member is a pure function of trees and never sees a generator, a
tape or another seed. A component is a frozen dataclass; its fields are its configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from sandbox.core.adjoint import Adjoint as Adjoint  # an author's page: import from here
from sandbox.core.edit import Edit
from sandbox.core.finding import Finding
from sandbox.core.journal import Answer, Question, Told
from sandbox.core.needs import Grad as Grad
from sandbox.core.needs import Heard as Heard
from sandbox.core.needs import Needs, Seen
from sandbox.core.score import Objective, Score, Split
from sandbox.core.state import State
from sandbox.core.task import Act as Act
from sandbox.core.task import Batch, Model, Task
from sandbox.core.task import Foretold as Foretold
from sandbox.core.task import KnowsHuman as KnowsHuman
from sandbox.core.task import Stateful as Stateful
from sandbox.core.task import Table as Table
from sandbox.core.task import Tabular as Tabular
from sandbox.core.task import Tempered as Tempered
from sandbox.core.tree import Params as Params

# ---- what learns ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reach:
    """All that a rule can reach: no way from here to H, to a gate's data or to an audit's. `predict(params, x)`;
    `objective(prediction, batch)` is P, one number an example [n]."""

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

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        """A: the agent's own objective, a scalar."""
        ...

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        """Weights and memory after one inner step."""
        ...

    def readable(self, phi: Params) -> Params:
        """phi in the units that a person reads (squashed), for the record."""
        ...


@runtime_checkable
class Static(Protocol):
    """A rule of which some leaves of phi are whole numbers that shape its computation, such as a program: `static`
    names them. Lives with the same ones run as one group, and see them as plain tensors that Python may branch on."""

    @property
    def static(self) -> tuple[str, ...]: ...


@runtime_checkable
class Drawn(Protocol):
    """A rule whose phi may be drawn at birth, another one in each seed; `init` is what it is without a draw."""

    def draws(self, params: Params) -> int:
        """How many uniforms a draw takes for weights of this shape; 0: phi begins as `init` says."""
        ...

    def drawn(self, params: Params, noise: Tensor) -> Params:
        """phi from float64 uniforms [draws] in [0, 1): the leaves that `init` has, in their shapes and dtypes."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A rule that squashes numbers of phi into a range."""

    def place(self, phi: Params) -> Params:
        """Where each of them stands in its range, 0 to 1; near either end its derivative dies."""
        ...


@runtime_checkable
class Checked(Protocol):
    """A rule that can't run every phi of the right shapes, such as one of programs. An edit that it finds a fault with
    is malformed, and says why."""

    def fault(self, phi: Params, edited: Sequence[str] = ()) -> str:
        """What is wrong with one row of phi, of which an edit has just set the leaves `edited`; empty where nothing
        is."""
        ...


@runtime_checkable
class Written(Protocol):
    """A rule of which leaves of phi are told in words: a program has a text."""

    def written(self, phi: Params) -> Mapping[str, str]:
        """{leaf: its text} of one row of phi that has no fault."""
        ...


@runtime_checkable
class Rewarding(Protocol):
    """A rule by which an agent plans by a reward of its own, in worlds that its batches hold."""

    def reward(self, phi: Params, batch: Batch) -> Tensor:
        """[n, S, A, S]: what each transition of each world is worth to it."""
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
    """A meta-learner that wants to hear what became of its edit."""

    def tell(self, psi: Params, heard: Heard) -> Params:
        """psi after hearing the verdict and what the gate measured."""
        ...


@runtime_checkable
class Varies(Protocol):
    """A meta-learner that tries a population of candidates before it asks; `needs.population` says how many."""

    def vary(self, psi: Params, seen: Seen) -> Mapping[str, Tensor]:
        """{edited path: [population, ...]}; their scores are in `seen` when `ask` is called."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A meta-learner with a memory that is reborn with every life, where psi outlives them all.

    `ask` is handed psi and memory as one dict and returns them as one. Where several lives share psi, a life may change
    its memory alone, and returns the leaves of psi as they came.
    """

    def memory(self, psi: Params) -> Params:
        """The memory at birth, one row, under names that psi does not use."""
        ...


@runtime_checkable
class Consults(Protocol):
    """A meta-learner that is told things by a source outside the state; `needs.answers` says that it is."""

    def consult(self, question: Question, psi: Params, seen: Seen) -> Answer | Told:
        """The answer for one seed, written to the journal before `ask` sees it. Never called in a probe or a replay."""
        ...


@runtime_checkable
class Reaches(Protocol):
    """A meta-learner that is told things by a source which may not be there: a server, say."""

    def ready(self) -> None:
        """Raises `ConfigError` where it is plain, without asking, that nobody can be asked. Called before the first
        step of a run that will ask; never in a replay or a probe."""
        ...


@runtime_checkable
class Follows(Protocol):
    """A meta-learner that lives by another run. Whoever builds the run performs that one first where it is missing."""

    def origin(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration of that run, from its own."""
        ...

    def follow(self, course: Mapping[str, Tensor], seeds: Sequence[int]) -> MetaLearner:
        """The same meta-learner knowing {edited path: [steps, S, ...]}, the values in force after each step there."""
        ...


class Gate(Protocol):
    """Judges an edit on data that the meta-learner cannot reach; asked in plain Python, seed by seed. `trials`: fresh
    paired lives an edit (0: judge without); `score`: what they are compared by."""

    @property
    def trials(self) -> int: ...
    @property
    def score(self) -> Score: ...

    def init(self) -> Params:
        """The gate's memory (scalars)."""
        ...

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        """Verdict, reason and memory from paired scores [trials, n], lower is better."""
        ...


# ---- how it is put together -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """What does not change in a run. `tasks`: N. `per_lane`: paths of the state with a row per lane; all others have
    one per seed. `device`, "cpu" or "cuda", is where the state lives and every step runs."""

    task: Task
    model: Model
    rule: Rule
    tasks: int = 1
    per_lane: frozenset[str] = frozenset({"params", "slots", "task"})
    device: str = "cpu"


@dataclass(frozen=True)
class Level:
    """One depth of reflection. Level 1 lives `horizon` inner steps a reflective step; level n lives `horizon`
    reflective steps of level n - 1. `allow` and `reads` default to what the meta-learner asks to edit and read; where
    given, it may ask for no more. `anchor` is a frozen second gate whose verdict on the same scores is logged and never
    acts. `faults`: a malformed edit or an exception in `ask` ends the run ("stop") or is refused. `needs` is what the
    meta-learner declared when the level was built: later declarations don't count."""

    meta_learner: MetaLearner
    gate: Gate
    horizon: int
    lifetime: Literal["episodic", "persistent"] = "persistent"
    anchor: Gate | None = None
    allow: tuple[str, ...] | None = None
    reads: tuple[str, ...] | None = None
    faults: Literal["stop", "refuse"] = "stop"
    needs: Needs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", self.meta_learner.needs)


class Engine(Protocol):
    """How a lifetime is unrolled, differentiated and scored. All that loop and meters use of it."""

    def rehearse(self, world: World, state: State) -> None:
        """Every author's method once, before the first step; raises `ContractError` where one breaks its contract."""
        ...

    def examine(self, world: World, seed: int) -> Sequence[Finding]:
        """Whether network and tape are what they claim to be, law by law."""
        ...

    def draw(self, world: World, state: State, stream: str, *, held_out: bool = False) -> State:
        """The state with fresh tasks."""
        ...

    def born(self, world: World, state: State) -> State:
        """The state at the start of a lifetime: params from init, fresh slots."""
        ...

    def unroll(
        self, world: World, state: State, steps: int, stream: str, adjoint: Adjoint | None
    ) -> tuple[State, Tensor]:
        """The state `steps` inner steps later, and the own losses [K, L]; on the tape of `adjoint`."""
        ...

    def scores(self, world: World, state: State, split: Split, stream: str, objective: Objective = "process") -> Tensor:
        """[L, n]: one number an example, on the tape if grad mode is on."""
        ...

    def own_losses(self, world: World, state: State, split: Split, stream: str) -> Tensor:
        """[L, n]: the rule's own loss of each example alone."""
        ...
