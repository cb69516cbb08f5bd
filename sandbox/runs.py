"""Runs from Python: `run("preset=maml", steps=100)` performs one, and `load(folder)` reads one back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

from sandbox import tables
from sandbox.archive import lineage
from sandbox.archive.checkpoint import load_checkpoint
from sandbox.core.error import ConfigError, LineageError, explain
from sandbox.core.random import untouched
from sandbox.core.state import State
from sandbox.evaluation import Question, evaluate
from sandbox.experiment import build_loop, perform
from sandbox.identity import seeds_of
from sandbox.lines.format import config_of, known
from sandbox.lines.line import Line
from sandbox.objects import configured
from sandbox.report.progress import watch
from sandbox.report.read import Failure, failures, folders, unfolded
from sandbox.report.sweeps import now
from sandbox.tables import Columns

FAILURE = [field.name for field in fields(Failure)]
MANY = ("study", "-m", "--multirun")  # words that ask for several runs


@dataclass(frozen=True)
class Run:
    """A run in its folder. `told` is what its user might not have expected, in sentences. `trust` names the packages,
    besides the house and its plug-ins, that its state may be built from."""

    folder: Path
    told: tuple[str, ...] = ()
    trust: tuple[str, ...] = field(default=(), repr=False)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return config_of(self.folder)

    @cached_property
    def lines(self) -> list[Line]:
        """The lineage, line by line."""
        return lineage.read(self.folder)

    @property
    def status(self) -> dict[str, Any]:
        """What the run last said of itself: its state, the step that it has reached, and its error if it failed."""
        return now(self.folder)

    @cached_property
    def readings(self) -> Columns:
        """A row a step of the top level and a seed: `step`, `seed`, `own` (A, None at the start) and every reading,
        None where a meter was not due."""
        return tables.readings_of(self.folder)

    @cached_property
    def long_readings(self) -> Columns:
        """The same, a row a number: `step`, `seed`, `reading`, `value`; what was not due has no row."""
        return tables.long_readings_of(self.folder)

    @cached_property
    def edits(self) -> Columns:
        """A row an edited path, seed and step: `level`, `step`, `seed`, `path`, the `value` that was asked for (None
        where it was too large to be written), its `text` where the rule tells it in words, `verdict`, `why`."""
        return tables.edits_of(self.folder)

    @cached_property
    def tried(self) -> Columns:
        """A row a candidate that a meta-learner tells of: `level`, `step`, `seed`, and what it says, of a search `id`,
        `parent`, `program`, `stage`, `score`, `price`."""
        return tables.tried_of(self.folder)

    @cached_property
    def verdicts(self) -> Columns:
        """A row a step and a seed, also where nothing was asked for: `level`, `step`, `seed`, `verdict`, `why`,
        `anchor` and the meta-learner's `note`."""
        return tables.verdicts_of(self.folder)

    @cached_property
    def state(self) -> State:
        """The state at its last checkpoint; raises `LineageError` where there is none."""
        loop = build_loop(self.config | {"trust": list(self.trust), "force": False})
        found = load_checkpoint(self.folder, loop.start(seeds_of(self.config)).state)
        if found is None:
            raise LineageError(explain(expected=f"a checkpoint in {self.folder}", got="none",
                                       do="Run with tracker=[jsonl,checkpoint]."))  # fmt: skip
        return found[0].state

    def evaluate(
        self,
        horizon: int | Sequence[int] | None = None,
        *,
        tasks: int | None = None,
        task: Mapping[str, Any] | None = None,
        bound: float | None = None,
        force: bool = False,
    ) -> Columns:
        """The run scored after so many inner steps on held-out tasks that it never saw, without training it again: what
        `sandbox eval` tells, a row a seed and horizon (`evaluation.Question` says what each argument asks)."""
        question = Question(horizon, tasks, task or {}, bound, force)
        rows = evaluate(self.folder, question, trust=self.trust).rows
        return Columns(
            {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
        )


def run(*words: str, progress: bool = True, **settings: Any) -> Run:
    """Perform one run, or continue it, or find it finished; returns it.

    `words` are those of the command line (`"preset=maml"`, `"rule.lr=0.1"`, `"--config-dir=conf"`), `settings` the same
    as keywords: a value, a member's name, or an object in a member's place (`rule=Mine(lr=0.1)`, `model=MyNet` or
    `functools.partial(MyNet, width=32)`, `meter=["drift", Mine()]`). `progress` shows it live, in a terminal or a
    notebook.

    Global generators, dtype and threads are afterwards what they were. Raises a `SandboxError` for what the command
    line would refuse, and for an object that can't be told as configuration: a run is what its folder says of it.
    """
    _one(words)
    made = configured(words, settings)
    told: list[str] = []
    with TemporaryDirectory() as scratch:
        manifest = Path(scratch) / "launch.jsonl"
        manifest.touch()

        def found(folder: Path) -> None:
            entry = {"folder": str(folder.resolve()), "label": made.config["label"], "steps": made.config["steps"]}
            manifest.write_text(json.dumps(entry) + "\n")

        with watch(manifest) if progress else nullcontext(), untouched():
            folder = perform(made.config, made.words, tell=told.append, found=found)
    for sentence in (*made.told, *told):
        print(sentence, file=sys.stderr)
    return Run(folder, (*made.told, *told), tuple(made.config["trust"]))


@dataclass(frozen=True)
class Runs(Sequence[Run]):
    """Runs beside one another: a sequence of them, and their tables below one another, each row with its `run` (the
    name of the folder) and its `label`. A table is read when it is asked for, and kept. `failures` are the jobs of
    their launches that left no run: `label`, `apart`, `error`."""

    found: tuple[tuple[Path, str], ...]
    failures: Columns = field(default_factory=Columns)
    trust: tuple[str, ...] = field(default=(), repr=False)

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> Runs: ...
    def __getitem__(self, place: int | slice) -> Run | Runs:
        if isinstance(place, slice):
            return Runs(self.found[place], self.failures, self.trust)
        return Run(self.found[place][0], (), self.trust)

    def __len__(self) -> int:
        return len(self.found)

    @cached_property
    def readings(self) -> Columns:
        """As of a run: a row a step and a seed, a column a reading, None where it was not due or the run has none."""
        return self._all(tables.readings_of)

    @cached_property
    def long_readings(self) -> Columns:
        """As of a run: a row a number, `reading` and `value`."""
        return self._all(tables.long_readings_of)

    @cached_property
    def edits(self) -> Columns:
        """As of a run: a row an edited path, seed and step."""
        return self._all(tables.edits_of)

    @cached_property
    def tried(self) -> Columns:
        """As of a run: a row a candidate that a meta-learner tells of."""
        return self._all(tables.tried_of)

    @cached_property
    def verdicts(self) -> Columns:
        """As of a run: a row a step and a seed."""
        return self._all(tables.verdicts_of)

    @cached_property
    def configs(self) -> Columns:
        """A row a run: `run`, `label`, its `state`, `step` and `error`, and every key of its configuration with dots
        between, None where it does not have that."""
        return tables.configs_of(self.found)

    def _all(self, of: Callable[[Path], Columns]) -> Columns:
        return tables.together(({"run": folder.name, "label": label}, of(folder)) for folder, label in self.found)


@overload
def load(path: Path | str, *, trust: Sequence[str] = ...) -> Any: ...
@overload
def load(path: Sequence[Path | str], *, trust: Sequence[str] = ...) -> Runs: ...
def load(path: Path | str | Sequence[Path | str], *, trust: Sequence[str] = ()) -> Run | Runs:
    """What is at `path`: the run in a folder; or the runs of a folder of them, of a launch (its manifest) or of a sweep
    (its name, where its launches lie in `runs`/launches, or the path of that name elsewhere); or of several such.

    A run's state is built from the house, its plug-ins and the packages that you `trust`: a folder can't say of itself
    whom to. Raises `LineageError` where there is no run, or one of a newer format than is known.
    """
    if isinstance(path, str | Path) and (Path(path) / "config.yaml").is_file():
        known(Path(path))
        return Run(Path(path), (), tuple(trust))
    paths = unfolded([path] if isinstance(path, str | Path) else path)
    found = folders(paths)
    for folder, _ in found:
        known(folder)
    left = [asdict(failure) for failure in failures(paths)]
    return Runs(tuple(found), Columns({key: [one[key] for one in left] for key in FAILURE}), tuple(trust))


def _one(words: Sequence[str]) -> None:
    for word in words:
        if not isinstance(word, str):
            raise ConfigError(explain(expected="words such as 'preset=maml'", got=repr(word),
                                      do="Hand an object over by keyword: rule=Mine()."))  # fmt: skip
        if word.partition("=")[0] in MANY:
            raise ConfigError(explain(expected="the words of one run", got=f"'{word}'",
                                      do="Call run once for each, or launch it from the command line."))  # fmt: skip
