"""Runs from Python: `run("preset=maml", steps=100)` performs one, and `load(folder)` reads one back."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from sandbox.archive import lineage
from sandbox.archive.checkpoint import load_checkpoint
from sandbox.core.error import ConfigError, LineageError, explain
from sandbox.core.random import untouched
from sandbox.core.state import State
from sandbox.evaluation import Question, evaluate
from sandbox.experiment import build_loop, perform
from sandbox.identity import seeds_of
from sandbox.lines import file
from sandbox.lines.line import Line
from sandbox.objects import configured
from sandbox.report.progress import watch

MANY = ("study", "-m", "--multirun")  # words that ask for several runs


class Columns(dict[str, list[Any]]):
    """{column: values}, all of one length: a row a seed and step. `pandas.DataFrame(columns)` takes it as it is."""

    def frame(self) -> Any:
        """The same as a data frame of pandas, which must be installed."""
        from importlib import import_module

        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise ConfigError(explain(expected="pandas, which makes data frames", got="none installed",
                                      do="pip install pandas, or read the columns."))  from error  # fmt: skip
        return pandas.DataFrame(dict(self))


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
        return yaml.safe_load((self.folder / "config.yaml").read_text())

    @cached_property
    def lines(self) -> list[Line]:
        """The lineage, line by line."""
        return lineage.read(self.folder)

    @property
    def status(self) -> dict[str, Any]:
        """What the run last said of itself: its state, the step that it has reached, and its error if it failed."""
        return json.loads((self.folder / "status.json").read_text())

    @cached_property
    def readings(self) -> Columns:
        """`step`, `seed`, `own` (A, None at the start) and every reading of the top level's steps, None where a meter
        was not due."""
        # Without their edits: those of a long run are more than a memory holds at once.
        whole = [{**line, "edit": {}} for line in file.read(self.folder)]
        top = max((line["level"] for line in whole), default=1)
        lines = [line for line in whole if line["level"] == top]
        names = list(dict.fromkeys(name for line in lines for name in line["readings"]))
        found = Columns({name: [] for name in ("step", "seed", "own", *names)})
        for line in lines:
            nothing = [None] * len(line["seeds"])
            found["step"] += [line["step"]] * len(line["seeds"])
            found["seed"] += line["seeds"]
            found["own"] += line["own"] if line["step"] else nothing
            for name in names:
                found[name] += line["readings"].get(name, nothing)
        return found

    @cached_property
    def edits(self) -> Columns:
        """A row an edited path, seed and step: `level`, `step`, `seed`, `path`, `verdict`, `why`, and the `value` that
        was asked for (None where it was too large to be written)."""
        found = Columns({name: [] for name in ("level", "step", "seed", "path", "value", "verdict", "why")})
        for line in self.lines:
            for path, change in line["edit"].items():
                for row, seed in enumerate(line["seeds"]):
                    values = change.get("value")
                    row_of = (line["level"], line["step"], seed, path, values[row] if values else None,
                              line["verdict"][row], line["why"][row])  # fmt: skip
                    for name, value in zip(found, row_of, strict=True):
                        found[name].append(value)
        return found

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


def load(folder: str | Path, *, trust: Sequence[str] = ()) -> Run:
    """The run in a folder. Its state is built from the house, its plug-ins and the packages that you `trust`: a folder
    can't say of itself whom to. Raises `LineageError` where there is no run."""
    folder = Path(folder)
    if not (folder / "config.yaml").is_file():
        raise LineageError(explain(expected="a run folder with config.yaml", got=f"'{folder}'",
                                   do="Name a folder under runs/."))  # fmt: skip
    return Run(folder, (), tuple(trust))


def _one(words: Sequence[str]) -> None:
    for word in words:
        if not isinstance(word, str):
            raise ConfigError(explain(expected="words such as 'preset=maml'", got=repr(word),
                                      do="Hand an object over by keyword: rule=Mine()."))  # fmt: skip
        if word.partition("=")[0] in MANY:
            raise ConfigError(explain(expected="the words of one run", got=f"'{word}'",
                                      do="Call run once for each, or launch it from the command line."))  # fmt: skip
