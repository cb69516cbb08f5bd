"""The seams of what watches a run: meters, the probe that they are handed, and trackers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from sandbox.core.protocols import Engine, Level, World
from sandbox.core.reading import Reading as Reading  # an author's page: import from here
from sandbox.core.record import Record
from sandbox.core.state import State


class Probe(Protocol):
    """What a meter may ask of a run between two reflective steps. Nothing it does reaches the run."""

    @property
    def state(self) -> State: ...
    @property
    def start(self) -> State: ...
    @property
    def step(self) -> int: ...
    @property
    def world(self) -> World: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def level(self) -> Level: ...

    def adapted(self, world: World) -> tuple[State, State]:
        """A life in `world` (the run's, or with other `tasks`) before and after its horizon: the live one where lives
        persist, else a fresh one on the fixed held-out probe tasks. Lived once a probe and world."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether some level's lives are episodic, so that a life can be begun on tasks that nobody has seen."""
        ...

    def after(self, world: World, steps: Sequence[int], stream: str) -> Mapping[int, State]:
        """{inner steps: the state of a life in `world` after them}, read from then on at t = 0, on a `stream` of its
        own: of a fresh life on held-out tasks, where `fresh`, in which the levels below the episodic one edit as they
        do in the run; else of the live one, which goes on with its rule as it stands. `world` is the run's, or has
        another task of the same kind or other `tasks`; where lives persist only the run's own will do."""
        ...

    def reflect(self, state: State, reached: Sequence[str]) -> State:
        """F: one reflective step from `state` on a stream of its own, on the tape where a leaf of `state` is, its edit
        taken unjudged. An edit that shows on none of the `reached` paths is left out: the map between them is the same
        without it."""
        ...

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """What `compute` returns, computed once a probe for all meters that name this `key`."""
        ...


class Meter(Protocol):
    """Reads a probe each `every` reflective steps, and at the first and last; pure. One that differentiates through a
    reflective step says `taped: ClassVar[bool] = True`: then the start of a run vouches for the tape."""

    @property
    def every(self) -> int: ...

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What each number means; `read` returns no other."""
        ...

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        """{"group/name": [S]}."""
        ...


class Tracker(Protocol):
    """Receives every record as it is yielded."""

    def write(self, record: Record) -> None: ...
    def close(self, *, finished: bool) -> None: ...


class Starts(Protocol):
    """A tracker as configured: started once in its run folder, with the resolved config and, on resume, the step from
    which the run goes on (0: from the start)."""

    def start(self, folder: Path, config: Mapping[str, Any], resumed: int) -> Tracker: ...


@runtime_checkable
class Tells(Protocol):
    """A tracker, as configured, that has something to say once a run has ended or was found finished: sentences for the
    user, none where all is well. It may catch up on what it has missed."""

    def told(self, folder: Path) -> Iterable[str]: ...
