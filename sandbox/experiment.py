"""From a composed configuration to a run: build the objects, keep the run folder, continue or skip, and replay."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from sandbox.about import about
from sandbox.archive import checkpoint, lineage
from sandbox.archive.file import write_whole
from sandbox.archive.journal import DiskJournal
from sandbox.config import build, target
from sandbox.core.edit import expand
from sandbox.core.error import ConfigError, LineageError, SandboxError, did_you_mean, explain
from sandbox.core.protocols import Follows, Level, Model, Task, World
from sandbox.core.state import leaves
from sandbox.core.watch import Starts, Tracker
from sandbox.loop.reflect import Loop
from sandbox.measure.error import MeasureError
from sandbox.model.module import Module
from sandbox.tracker.jsonl import Jsonl

Config = dict[str, Any]
COSMETIC = ("label", "runs", "tracker")  # keys that don't change what a run is
GROUPS = ("meter", "tracker")  # of which there may be several, or none
COUNTS = ("seeds", "tasks", "steps", "horizon", "threads")
LEVEL = ("meta_learner", "gate", "horizon", "lifetime", "allow", "reads", "anchor", "faults")
KEYS = (*COSMETIC, *COUNTS, *LEVEL, "task", "model", "rule", "engine", "meter", "seed", "above", "per_lane", "device")


# ---- objects --------------------------------------------------------------------------------------------------------


def build_loop(config: Config) -> Loop:
    """World, levels, engine and meters; raises `ConfigError` for anything that can't be built."""
    for key in config:
        if key not in KEYS:
            raise ConfigError(explain(expected="a known key", got=f"'{key}'", do=did_you_mean(key, KEYS)))
    missing = [key for key in KEYS if key not in config and key not in GROUPS]
    if missing:
        raise ConfigError(explain(expected=f"a configuration with '{missing[0]}'", got="none",
                                  do=f"Choose or set it: {missing[0]}=…"))  # fmt: skip
    for key, least in {"seed": 0, **dict.fromkeys(COUNTS, 1)}.items():
        if type(config[key]) is not int or config[key] < least:
            raise ConfigError(explain(expected=f"a whole number of {least} or more at {key}", got=repr(config[key]),
                                      do=f"Set {key}={least}, say."))  # fmt: skip
    task = build(config["task"], "task")
    world = World(task, build_model(config["model"], task), build(config["rule"], "rule"), config["tasks"],
                  frozenset(config["per_lane"]), config["device"])  # fmt: skip
    first = {key: config[key] for key in LEVEL}
    levels = [_level(first, "level 1"), *(_level(node, f"above[{n}]") for n, node in enumerate(config["above"]))]
    meters = tuple(build(node, where) for where, node in chosen(config, "meter"))
    return Loop(world, build(config["engine"], "engine"), tuple(levels), meters)


def build_model(node: Mapping[str, Any], task: Task) -> Model:
    """Any `nn.Module` by its class, in the task's dtype; its `inputs` and `outputs` are the task's where it has such
    parameters and the node leaves them out."""
    make = partial(build, node, "model", inputs=task.inputs, outputs=task.outputs)
    if not issubclass(target(node["_target_"], "model"), nn.Module):
        return make()
    return Module(partial(_cast, make, getattr(task, "dtype", "float32")))


def _cast(make: Callable[[], nn.Module], dtype: str) -> nn.Module:
    return make().to(getattr(torch, dtype))


def _level(node: Mapping[str, Any], where: str) -> Level:
    given = {key: value for key, value in node.items() if value is not None}
    return build({"_target_": "sandbox.core.protocols.Level", **given}, where)


def chosen(config: Config, group: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The members of a group of several, by name; one without a `_target_` was set somewhere but not chosen."""
    members = sorted((config.get(group) or {}).items())
    return [(f"{group}.{name}", node) for name, node in members if "_target_" in node]


def seeds_of(config: Config) -> list[int]:
    """The seeds of a run: `seeds` of them from `seed`."""
    return list(range(config["seed"], config["seed"] + config["seeds"]))


def prepare(config: Config) -> Loop:
    """The loop. A level that lives by another run is shown that run's course; where the run is missing, it is run
    first."""
    loop, seeds = build_loop(config), seeds_of(config)
    levels: list[Level] = []
    for level in loop.levels:
        follower = level.meta_learner
        if isinstance(follower, Follows):
            folder = perform(dict(follower.origin(config)))
            state = loop.start(seeds).state
            start = {path: leaves(state, path)[path] for path in expand(state, level.needs.edits)}
            course = lineage.course(lineage.read(folder), start)
            level = replace(level, meta_learner=follower.follow(course, seeds))
        levels.append(level)
    return replace(loop, levels=tuple(levels))


# ---- runs -----------------------------------------------------------------------------------------------------------


def identity(config: Config) -> str:
    """The hash of what a run is."""
    kept = {key: value for key, value in config.items() if key not in COSMETIC}
    kept["meter"] = chosen(config, "meter")
    kept["meta_learner"] = {key: value for key, value in config["meta_learner"].items() if key != "source"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:10]


def folder_of(config: Config) -> Path:
    """Where the run lives: the folder that already holds this identity, whatever its label, or a new one."""
    runs, name = Path(config["runs"]), identity(config)
    return next(iter(sorted(runs.glob(f"*-{name}"))), runs / f"{config['label']}-{name}")


def perform(config: Config, overrides: Sequence[str] = ()) -> Path:
    """Run a configuration, or continue it, or skip it where it is finished; returns its folder.

    A second process that is asked for the same run waits for the first.
    """
    folder = folder_of(config)
    build_loop(config)  # a configuration that can't be built leaves no folder behind
    trackers: list[Starts] = [build(node, where) for where, node in chosen(config, "tracker")]
    with _claimed(folder):
        if _status(folder).get("state") == "finished":
            return folder
        torch.set_num_threads(config["threads"])
        write_whole(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())
        began = time.monotonic()
        reached: dict[str, int] = {}  # "step", and "from_step" if the run was gone on with
        note = partial(_note, folder, reached, steps=config["steps"], began=began)
        try:
            _live(config, folder, trackers, overrides, reached, note)
        except MeasureError as error:
            note("failed", error=str(error))
            raise SandboxError(str(error)) from error
        except SandboxError as error:
            note("failed", error=str(error))
            raise
        except KeyboardInterrupt:
            note("interrupted")
            raise
        except BaseException as error:
            note("failed", error=f"{type(error).__name__}: {error}")
            raise
    return folder


def _live(
    config: Config, folder: Path, starts: Sequence[Starts], overrides: Sequence[str], reached: dict[str, int],
    note: Callable[..., None],
) -> None:  # fmt: skip
    loop, seeds = replace(prepare(config), journal=DiskJournal(folder)), seeds_of(config)
    resume = checkpoint.load_checkpoint(folder, loop.start(seeds).state)
    done = resume[1] if resume else 0
    reached |= {"step": done, "from_step": done}
    note("running")
    _describe(folder, {"from_step": done, **about(identity(config), overrides)}, anew=not done)
    # The lineage first: a run killed between two trackers must not have a checkpoint that its lineage never reached.
    in_order = sorted(starts, key=lambda tracker: not isinstance(tracker, Jsonl))
    trackers: list[Tracker] = []
    finished = False
    try:
        trackers.extend(tracker.start(folder, config, done) for tracker in in_order)
        noted = time.monotonic()
        for record in loop.run(seeds, config["steps"], resume=resume):
            for tracker in trackers:
                tracker.write(record)
            if record.level == len(loop.levels):
                reached["step"] = record.step
            if time.monotonic() - noted > 1:
                note("running")
                noted = time.monotonic()
        finished = True
    finally:
        for tracker in trackers:
            tracker.close(finished=finished)
    note("finished")


def _describe(folder: Path, described: dict[str, Any], *, anew: bool) -> None:
    """`about.json` holds one entry for each time that the run was started or gone on with."""
    path = folder / "about.json"
    past = [] if anew or not path.exists() else json.loads(path.read_text())
    write_whole(path, json.dumps([*past, described], indent=1).encode())


def _note(folder: Path, reached: Mapping[str, int], state: str, *, steps: int, began: float, **more: Any) -> None:
    status = {"state": state, **reached, "steps": steps, "seconds": round(time.monotonic() - began, 1), **more}
    write_whole(folder / "status.json", json.dumps(status).encode())


def _status(folder: Path) -> dict[str, Any]:
    path = folder / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- replay ---------------------------------------------------------------------------------------------------------


def replay(folder: Path) -> int:
    """Re-execute a run and compare every line with its lineage; returns how many agree, all of them. Raises
    `LineageError` naming the first line and key that differ, and for a lineage that is too long or too short."""
    if not (folder / "config.yaml").exists():
        raise LineageError(explain(expected="a run folder with config.yaml", got=str(folder),
                                   do="Name a folder under runs/."))  # fmt: skip
    config = yaml.safe_load((folder / "config.yaml").read_text())
    torch.set_num_threads(config["threads"])
    lines = lineage.read(folder)
    loop = replace(build_loop(config), journal=DiskJournal(folder, sealed=True))
    records = loop.run(seeds_of(config), config["steps"])
    number = 0
    for number, line in enumerate(lines, start=1):
        record = next(records, None)
        if record is None:
            raise LineageError(explain(expected=f"{number - 1} lines in {folder / lineage.LINEAGE}",
                                       got=str(len(lines)), do="Lines were added."))  # fmt: skip
        again = json.loads(lineage.as_json(record))
        for key in again.keys() | line.keys():
            if again.get(key) != line.get(key):
                where, written, replayed = _differ(key, line.get(key), again.get(key))
                raise LineageError(explain(
                    expected=f"line {number} (step {line.get('step')}) of {folder / lineage.LINEAGE} to replay",
                    got=f"another '{where}': {written} written, {replayed} replayed",
                    do="The line was changed, or code or versions differ from about.json."))  # fmt: skip
    if not lines or (_status(folder).get("state") == "finished" and next(records, None) is not None):
        raise LineageError(explain(expected=f"the whole lineage of a finished run in {folder / lineage.LINEAGE}",
                                   got=f"{number} lines", do="Lines were taken away."))  # fmt: skip
    return number


def _differ(where: str, written: Any, replayed: Any) -> tuple[str, Any, Any]:
    """The first place within two JSON values at which they differ, and what stands there."""
    if isinstance(written, list) and isinstance(replayed, list) and len(written) == len(replayed):
        pairs = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(written, replayed, strict=True))]
    elif isinstance(written, dict) and isinstance(replayed, dict) and written.keys() == replayed.keys():
        pairs = [(f"{where}.{key}", written[key], replayed[key]) for key in written]
    else:
        return where, written, replayed
    return next((_differ(*pair) for pair in pairs if pair[1] != pair[2]), (where, written, replayed))
