"""From a composed configuration to a run: build the objects, keep the run folder, continue or skip, and replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from sandbox.about import about, differences, provenance
from sandbox.archive import lineage
from sandbox.archive.journal import DiskJournal
from sandbox.config import build
from sandbox.core.edit import expand
from sandbox.core.error import ConfigError, SandboxError, StaleError, did_you_mean, explain
from sandbox.core.protocols import Follows, Level, Model, Task, World
from sandbox.core.record import Record
from sandbox.core.state import leaves
from sandbox.core.watch import Starts, Tells, Tracker
from sandbox.fit import fit
from sandbox.folder import Notes, code_of, folder_of, has_all, keep_aside, reached, resume, set_aside
from sandbox.identity import COSMETIC, GROUPS, Config, built_of, chosen, identity, seeds_of, trusted
from sandbox.lines.place import checked_label, claimed, status
from sandbox.lines.readings import described
from sandbox.lines.whole import write_whole
from sandbox.loop import describe
from sandbox.loop.reflect import Loop
from sandbox.measure.error import MeasureError
from sandbox.model.module import Module
from sandbox.tracker.jsonl import Jsonl
from sandbox.trust import target

COUNTS = ("seeds", "tasks", "steps", "horizon", "threads")
LEVEL = ("meta_learner", "gate", "horizon", "lifetime", "allow", "reads", "anchor", "faults")
KEYS = (*COSMETIC, *COUNTS, *LEVEL, "task", "model", "rule", "engine", "meter", "seed", "above", "per_lane", "device",
        "scored")  # fmt: skip
OURS = ("launch", "sweep", "objective", "force", "trust", "check", "scored")  # may be left out


# ---- objects --------------------------------------------------------------------------------------------------------


def build_loop(config: Config) -> Loop:
    """World, levels, engine and meters; raises `ConfigError` for anything that can't be built."""
    for key in config:
        if key not in KEYS:
            raise ConfigError(explain(expected="a known key", got=f"'{key}'", do=did_you_mean(key, KEYS)))
    missing = [key for key in KEYS if key not in config and key not in (*GROUPS, *OURS)]
    if missing:
        raise ConfigError(explain(expected=f"a configuration with '{missing[0]}'", got="none",
                                  do=f"Choose or set it: {missing[0]}=…"))  # fmt: skip
    for key, least in {"seed": 0, **dict.fromkeys(COUNTS, 1)}.items():
        if type(config[key]) is not int or config[key] < least:
            raise ConfigError(explain(expected=f"a whole number of {least} or more at {key}", got=repr(config[key]),
                                      do=f"Set {key}={least}, say."))  # fmt: skip
    make = partial(build, trust=trusted(config))
    task = make(config["task"], "task")
    model = build_model(config["model"], task, trust=trusted(config), scored=config.get("scored", "built"))
    world = World(task, model, make(config["rule"], "rule"), config["tasks"], frozenset(config["per_lane"]),
                  config["device"])  # fmt: skip
    first = {key: config[key] for key in LEVEL}
    nodes = {"level 1": first, **{f"above[{n}]": node for n, node in enumerate(config["above"])}}
    levels = [make({"_target_": "sandbox.core.protocols.Level", **_given(node)}, where)
              for where, node in nodes.items()]  # fmt: skip
    meters = tuple(make(node, where) for where, node in chosen(config, "meter"))
    return Loop(world, make(config["engine"], "engine"), tuple(levels), meters, check=_checks(config))


def _checks(config: Config) -> bool:
    """Whether a run begins with a look at network and tape; raises `ConfigError`."""
    said = config.get("check", "on")
    if said not in ("on", "off", True, False):
        raise ConfigError(explain(expected="check=on or check=off", got=repr(said), do="Leave it out: on."))
    return said in ("on", True)


def build_model(node: Mapping[str, Any], task: Task, *, trust: Sequence[str] = (), scored: Any = "built") -> Model:
    """Any `nn.Module` by its class, in the task's dtype; its `inputs` and `outputs` are the task's where it has such
    parameters and the node leaves them out."""
    make = partial(build, node, "model", trust=trust, inputs=task.inputs, outputs=task.outputs)
    if scored not in ("built", "eval"):
        raise ConfigError(explain(expected="scored=built or scored=eval", got=repr(scored), do="Leave it out: built."))
    if not issubclass(target(node.get("_target_", ""), "model", trust=trust), nn.Module):
        if scored == "eval":
            raise ConfigError(explain(expected="an nn.Module to be scored in eval mode", got=node["_target_"],
                                      do="Leave scored at built: only an nn.Module has modes."))  # fmt: skip
        return make()
    return Module(partial(_cast, make, getattr(task, "dtype", "float32")), scored)


def _cast(make: Callable[[], nn.Module], dtype: str) -> nn.Module:
    """The module in a task's dtype, where its class leaves it at torch's default."""
    module = make()
    held = {one.dtype for one in (*module.parameters(), *module.buffers()) if one.dtype.is_floating_point}
    return module.to(getattr(torch, dtype)) if held <= {torch.get_default_dtype()} else module


def _given(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if value is not None}


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


def perform(config: Config, overrides: Sequence[str] = (), *, apart: Sequence[str] = (),
            tell: Callable[[str], None] = lambda word: None,
            found: Callable[[Path], None] = lambda folder: None) -> Path:  # fmt: skip
    """Run a configuration, or continue it, or skip it where it is finished; returns its folder. `apart`: those of its
    overrides by which it differs from the other jobs of its sweep.

    A run of other code is not gone on with and not passed off: `StaleError`, unless it had failed, or `force` says to
    run it anew. What a folder held is then kept aside in its `past`. `tell` is told what a user might not expect, and
    `found` the folder, once it holds nothing of other code. A second process that is asked for the same run waits for
    the first.
    """
    config = config | {"label": checked_label(config["label"])}
    folder = folder_of(config)
    loop = build_loop(config)  # a configuration that can't be built leaves no folder behind
    unchecked = config | {"check": "off"}
    if not (folder / lineage.LINEAGE).exists():
        fit(unchecked, loop, build_loop)
    for note in () if has_all(folder, config["steps"]) else _examined(config, loop):
        tell(f"{folder.name}: {note}")
    made = {where: build(node, where, trust=trusted(config)) for where, node in chosen(config, "tracker")}
    # The lineage first: a run killed between two trackers must not have a checkpoint that its lineage never reached.
    starts = sorted(made.values(), key=lambda tracker: not isinstance(tracker, Jsonl))
    with claimed(folder.parent):  # one folder, also where another label asks for the same run at this moment
        folder = folder_of(config)
        folder.mkdir(exist_ok=True)
    with claimed(folder):
        _settle(folder, config, data_of(loop), tell)
        found(folder)
        if has_all(folder, config["steps"]):
            if (step := reached(folder)) > config["steps"]:
                tell(f"{folder.name}: asked for {config['steps']} steps; it has {step}, which are kept")
            _hear(starts, folder, tell)
            return folder
        if status(folder).get("state") == "finished":
            keep_aside(folder)
        torch.set_num_threads(config["threads"])
        notes = Notes(folder, config["steps"], time.monotonic(), {})
        try:
            _live(unchecked, starts, (overrides, apart), notes)
        except MeasureError as error:
            notes.say("failed", error=str(error))
            raise SandboxError(str(error)) from error
        except SandboxError as error:
            notes.say("failed", error=str(error))
            raise
        except KeyboardInterrupt:
            notes.reached["step"] = max(reached(folder), 0)  # a line may have been written since the last word
            notes.say("interrupted")
            raise
        except BaseException as error:
            notes.say("failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            _hear(starts, folder, tell)
    return folder


def _hear(starts: Sequence[Starts], folder: Path, tell: Callable[[str], None]) -> None:
    """Pass on what trackers have to say of a run that has ended."""
    for word in (word for tracker in starts if isinstance(tracker, Tells) for word in tracker.told(folder)):
        tell(f"{folder.name}: {word}")


def _examined(config: Config, loop: Loop) -> list[str]:
    """What a user should know of the network and the tape, before anything is written; raises `ConfigError` where they
    are not what they claim to be."""
    if not loop.check:
        return []
    loop.start([config["seed"]])
    return [finding.note for finding in loop.engine.examine(loop.world, config["seed"]) if finding.note]


def data_of(loop: Loop) -> str:
    """A digest of the data that a task has read from elsewhere; empty where it has read none."""
    return str(getattr(loop.world.task, "found_digest", ""))


def _settle(folder: Path, config: Config, data: str, tell: Callable[[str], None]) -> None:
    """Make way for a run: nothing stands in the folder afterwards, or what this very code has left there."""
    known = status(folder)
    if not known:
        return
    force = config.get("force", False)
    differ = differences(code_of(folder), provenance(built_of(config), data))
    if force is True or (differ and (force == "changed" or known["state"] == "failed")):
        aside = set_aside(folder)
        tell(f"{folder.name}: runs anew; what was there is in {aside.relative_to(folder.parent)}")
    elif differ:
        raise StaleError(explain(
            expected=f"what {folder.name} was made with ({known['state']}, step {known.get('step', 0)})",
            got=f"what changed since: {'; '.join(differ)}",
            do="'force=true' runs it anew and keeps the old results aside; or change it back."))  # fmt: skip


def _live(config: Config, starts: Sequence[Starts], words: tuple[Sequence[str], Sequence[str]], notes: Notes) -> None:
    folder, seeds = notes.folder, seeds_of(config)
    loop = prepare(config | {"force": "changed"} if config.get("force") else config)  # not again what it lives by
    loop = replace(loop, journal=DiskJournal(folder))
    found = resume(folder, loop.start(seeds).state, config["steps"], alike=partial(_alike, loop),
                   recorded=any(isinstance(tracker, Jsonl) for tracker in starts))  # fmt: skip
    done = found[1] if found else 0
    notes.reached.update(step=done, from_step=done)
    kept = {key: {"force": False, "check": "on"}.get(key, value) for key, value in config.items()}
    write_whole(folder / "config.yaml", yaml.safe_dump(kept, sort_keys=False).encode())
    notes.describe({"apart": list(words[1]), **about(identity(config), words[0], built_of(config), data_of(loop))})
    lineage.write_readings(folder, [reading for meter in loop.meters for reading in meter.readings])
    notes.say("running")
    trackers: list[Tracker] = []
    finished = False
    try:
        trackers.extend(tracker.start(folder, config, done) for tracker in starts)
        noted = time.monotonic()
        for record in loop.run(seeds, config["steps"], resume=found):
            for tracker in trackers:
                tracker.write(record)
            if record.level == len(loop.levels):
                notes.reached["step"] = record.step
                notes.latest.update(_headlines(loop, record))
            if time.monotonic() - noted > 1:
                notes.say("running")
                noted = time.monotonic()
        finished = True
    finally:
        seconds = time.monotonic() - notes.began
        for tracker in trackers:
            tracker.close(finished=finished)
    notes.say("finished", seconds=round(seconds, 1))  # without what trackers took to close


def _headlines(loop: Loop, record: Record) -> dict[str, float]:
    """What a glance at a run shows: A, and the headlines that its meters have just read, as means over seeds."""
    told = [reading for meter in loop.meters for reading in meter.readings if reading.headline]
    found = {"own": record.own} if record.step else {}
    found |= {name: values for name, values in record.readings.items() if described(name, told)}
    return {name: float(f"{float(values.mean()):.6g}") for name, values in found.items()}


def _alike(loop: Loop, step: int) -> bool:
    """Whether the line of a step is the same where the run ends there: what is read or written at the last step alone
    is then due anyway."""
    cadence = describe.DIGEST_EVERY
    return step % cadence == 0 and all(step % meter.every == 0 for meter in loop.meters)
