"""A run that is there, scored without training it again: after any number of inner steps, on tasks that are new."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from math import isfinite, prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sandbox.about import differences, provenance
from sandbox.archive.checkpoint import load_checkpoint
from sandbox.archive.journal import DiskJournal
from sandbox.config import build
from sandbox.core.error import ConfigError, LineageError, StaleError, explain
from sandbox.core.protocols import Task, World
from sandbox.core.random import untouched
from sandbox.core.state import digest
from sandbox.experiment import build_loop, data_of
from sandbox.folder import code_of
from sandbox.identity import Config, built_of, seeds_of
from sandbox.lines.format import config_of
from sandbox.lines.place import status
from sandbox.lines.whole import write_whole
from sandbox.loop.probe import LoopProbe
from sandbox.loop.reflect import Loop
from sandbox.measure.interval import bands
from sandbox.meter import evaluation, objectives
from sandbox.meter.evaluation import diverged, evaluated, median

TASKS = 100  # held-out tasks a seed, where nobody says how many
CODE = (__file__, evaluation.__file__, objectives.__file__)  # what an evaluation goes through besides the run's code

Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked of a run.

    `horizon`: the inner steps after which it is scored, each of several, or up to one number (0, 1, 2, 5, 10, … and
    that); None: up to the length of its own lives, or as it stands where they persist. `tasks`: held-out tasks a seed;
    None: 100, or the run's own where its lives persist. `task`: fields of its task that are to have other values.
    `bound`: P above it counts as diverged; None: ten times the worst P of any task before adaptation. `force`: also
    with other code than the run was made with.
    """

    horizon: int | Sequence[int] | None = None
    tasks: int | None = None
    task: Mapping[str, Any] = field(default_factory=dict[str, Any])
    bound: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        steps = self.horizon if isinstance(self.horizon, Sequence) else [self.horizon or 0]
        if isinstance(self.horizon, str) or not steps or any(type(step) is not int or step < 0 for step in steps):
            raise ConfigError(explain(expected="whole numbers of inner steps, 0 or more, at horizon",
                                      got=repr(self.horizon), do="Set horizon=10, or horizon=1,5,10."))  # fmt: skip
        if self.tasks is not None and (type(self.tasks) is not int or self.tasks < 1):
            raise ConfigError(explain(expected="a whole number of 1 or more at tasks", got=repr(self.tasks),
                                      do="Set tasks=600, say."))  # fmt: skip
        if self.bound is not None and (type(self.bound) not in (int, float) or not self.bound > 0):
            raise ConfigError(explain(expected="a number above 0 at bound", got=repr(self.bound),
                                      do="Leave it out, or set bound=100, say."))  # fmt: skip

    def steps(self, loop: Loop) -> list[int]:
        """The inner steps after which a run of `loop` is scored."""
        if isinstance(self.horizon, Sequence):
            return sorted(set(self.horizon))
        lengths = [prod(level.horizon for level in loop.levels[: n + 1])
                   for n, level in enumerate(loop.levels) if level.lifetime == "episodic"]  # fmt: skip
        return ladder(lengths[0] if lengths else 0) if self.horizon is None else ladder(self.horizon)


@dataclass(frozen=True)
class Answer:
    """What was found of the run in `folder`, in its reflective step `step` of the top level: a row a seed and horizon.
    `fresh`: whether on fresh lives. `told`: what stands in the way of taking the figures at face value."""

    folder: Path
    label: str
    config: Config
    step: int
    fresh: bool
    rows: list[Row]
    told: tuple[str, ...]


def ladder(last: int) -> list[int]:
    """0, 1, 2, 5, 10, 20, 50, … below `last`, and `last`."""
    rungs = [first * 10**power for power in range(len(str(last))) for first in (1, 2, 5)]
    return [0, *(rung for rung in rungs if rung < last), last] if last else [0]


def evaluate(folder: Path, question: Question, *, trust: Sequence[str] = ()) -> Answer:
    """The answer to a question about the run in a folder, from its newest checkpoint; kept there in an `eval-….json`,
    and read from it when the same is asked again of the same state and code.

    Nothing else in the folder is written. Only `trust` says whose packages may be built from. Raises `LineageError`
    where there is no run or no checkpoint, `StaleError` where the run was made by other code than there is (unless the
    question has `force`), and `ConfigError` for what can't be asked of this run.
    """
    if not (folder / "config.yaml").is_file():
        raise LineageError(explain(expected="a run folder with config.yaml", got=f"'{folder}'",
                                   do="Name a folder under runs/."))  # fmt: skip
    config = config_of(folder) | {"trust": list(trust), "force": False}
    with untouched():
        torch.set_num_threads(config["threads"])
        loop = replace(build_loop(config | {"check": "off"}), journal=DiskJournal(folder, sealed=True), meters=())
        code = provenance(built_of(config), data_of(loop))
        changed = _changed(folder, code, question)
        probe = _probe(folder, loop, config)
        world = _world(loop, config, question.task, trust)
        path = folder / f"eval-{_name(probe, question, loop, code)}.json"
        if not path.is_file():
            write_whole(path, json.dumps(_answered(probe, world, question, changed), indent=1).encode())
    found = json.loads(path.read_text())
    named = {"run": folder.name, "label": config["label"], "step": probe.step}
    rows = [named | row for row in found["rows"]]
    return Answer(folder, config["label"], config, probe.step, probe.fresh, rows, _told(folder, probe, changed))


# ---- the run --------------------------------------------------------------------------------------------------------


def _changed(folder: Path, code: Mapping[str, Any], question: Question) -> list[str]:
    """The members whose code is not what the run was made with; raises `StaleError` unless that was asked for."""
    differ = differences(code_of(folder), code)
    if differ and not question.force:
        raise StaleError(explain(expected=f"the code that {folder.name} was made with",
                                 got=f"what changed since: {'; '.join(differ)}",
                                 do="'force=true' evaluates it with the code of now; or change it back."))  # fmt: skip
    return differ


def _probe(folder: Path, loop: Loop, config: Config) -> LoopProbe:
    """A window on the run at its newest checkpoint."""
    start = loop.start(seeds_of(config)).state
    found = load_checkpoint(folder, start)
    if found is None:
        raise LineageError(explain(expected=f"a checkpoint in {folder}", got="none",
                                   do="Run with tracker=[jsonl,checkpoint]."))  # fmt: skip
    standing, step = found
    return LoopProbe(loop.within(loop.world, step), standing.state, start, step)


def _world(loop: Loop, config: Config, fields: Mapping[str, Any], trust: Sequence[str]) -> World:
    """The run's world, its task with other values in some fields."""
    if not fields:
        return loop.world
    task: Task = build({**config["task"], **fields}, "task", trust=trust)
    for name in ("inputs", "outputs", "dtype"):
        one, other = (getattr(each, name, None) for each in (loop.world.task, task))
        if one != other:
            raise ConfigError(explain(expected=f"a task with {name} {one}, for which the network was made",
                                      got=f"{other} where {', '.join(f'task.{key}={fields[key]}' for key in fields)}",
                                      do="Leave that field as the run has it."))  # fmt: skip
    return replace(loop.world, task=task)


def _told(folder: Path, probe: LoopProbe, changed: Sequence[str]) -> tuple[str, ...]:
    known, told = status(folder), list[str]()
    if known.get("state") != "finished" or known.get("step") != probe.step:
        told.append(f"{folder.name} is evaluated at step {probe.step} of {known.get('steps', '?')}; it is "
                    f"{known.get('state', 'unknown')}")  # fmt: skip
    if changed:
        told.append(f"{folder.name} was made by other code: {'; '.join(changed)}")
    return tuple(told)


def _name(probe: LoopProbe, question: Question, loop: Loop, code: Mapping[str, Any]) -> str:
    """A digest of question, state and code."""
    modules = {name: found["modules"] for name, found in code.items()}
    own = [blake2b(Path(file).read_bytes(), digest_size=8).hexdigest() for file in CODE]
    asked = [question.steps(loop), question.tasks, dict(question.task), question.bound]
    text = json.dumps([asked, probe.step, digest(probe.state), modules, own], sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=5).hexdigest()


# ---- the answer -----------------------------------------------------------------------------------------------------


def _answered(probe: LoopProbe, world: World, question: Question, changed: Sequence[str]) -> dict[str, Any]:
    """All that an evaluation's file says."""
    if not probe.fresh and question.tasks not in (None, world.tasks):
        raise ConfigError(explain(expected=f"the run's own tasks, {world.tasks} a seed, as its lives persist",
                                  got=f"tasks={question.tasks}", do="Leave tasks out."))  # fmt: skip
    if question.task:
        alone = replace(world, tasks=1) if probe.fresh else world
        probe.engine.rehearse(alone, probe.after(alone, [0], "evaluation/rehearse")[0])
    tasks = (question.tasks or TASKS) if probe.fresh else world.tasks
    steps = question.steps(probe.loop)  # type: ignore[arg-type]
    found = evaluated(probe, world, tasks, [0, *steps])
    rows = [row for step in steps for row in _rows(probe, step, found[step], found[0]["process"], question.bound)]
    asked = {"horizon": steps, "tasks": tasks, "task": dict(question.task), "bound": question.bound}
    return {"asked": asked, "step": probe.step, "fresh": probe.fresh, "changed": list(changed), "rows": rows}


def _rows(probe: LoopProbe, step: int, scores: Mapping[str, Tensor], before: Tensor,
          bound: float | None) -> Iterable[Row]:  # fmt: skip
    """One row a seed: of each objective the mean and its 95 % interval over tasks, of P the median too, and how many
    tasks diverged, those that are not finite among them. What is not finite is None."""
    columns: dict[str, Sequence[Any]] = {"seed": probe.state.seed.tolist(), "horizon": [step] * probe.state.seeds}
    process = scores["process"].cpu()
    columns["tasks"] = [process.shape[1]] * len(process)
    for name, value in scores.items():
        for end, figures in zip(("", "_low", "_high"), bands(value.cpu().numpy()), strict=True):
            columns[f"{name}{end}"] = figures.tolist()
    columns["process_median"] = median(process).tolist()
    columns["diverged"] = diverged(process, before.cpu(), bound).sum(dim=1).tolist()
    columns["not_finite"] = (~torch.isfinite(process)).sum(dim=1).tolist()
    for row in zip(*columns.values(), strict=True):
        yield {name: value if not isinstance(value, float) or isfinite(value) else None
               for name, value in zip(columns, row, strict=True)}  # fmt: skip
