"""A member on a small stage: with what it needs around it, at a size that lives in a second."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import torch

from sandbox.archive import lineage
from sandbox.compose import SEVERAL, SINGLE, composed
from sandbox.core.error import ConfigError, SandboxError, did_you_mean, explain
from sandbox.core.random import untouched
from sandbox.experiment import build_loop, prepare
from sandbox.fit import around
from sandbox.identity import Config, seeds_of
from sandbox.loop.reflect import Loop
from sandbox.places import listed, names_in, places

KINDS = (*SINGLE, *SEVERAL)
PLAIN = {"task": "sinusoid", "rule": "sgd", "meta_learner": "none", "gate": "always", "preset": "[]", "meter": "[]",
         "tracker": "[jsonl]"}  # fmt: skip
# What a kind of member says nothing without: a rule whose rates are bounded, whoever edits it; edits to be judged.
BOUNDED = {"task": "noisy_digits", "rule": "self_distillation"}
USUAL: Mapping[str, Mapping[str, str]] = {
    "meta_learner": BOUNDED,
    "gate": BOUNDED | {"meta_learner": "self_adaptive"},
    "meter": BOUNDED | {"meta_learner": "reflective"},
}
SMALL = {"train": 60, "practice": 20, "gate": 20, "batch": 16, "tasks": 3, "every": 1, "probes": 2, "partitions": 2,
         "agents": 20, "cut": 2, "length": 8, "vocabulary": 9, "width": 8, "episodes": 2}  # fmt: skip
SIZE = {
    "check": "off",
    "seeds": 2,
    "steps": 3,
    "horizon": 2,
    "tasks": 2,
    "threads": 1,
}  # the start check is a law of its own
RATE = 0.001  # of a rule of ours that somebody else's member is tried with


@dataclass(frozen=True)
class Stage:
    """The member called `name` of `group`, within a small `config`; `chosen` are the words that put it there."""

    group: str
    name: str
    config: Config
    chosen: tuple[str, ...]

    @property
    def where(self) -> str:
        """Its place in the configuration."""
        return f"{self.group}.{self.name}" if self.group in SEVERAL else self.group

    @property
    def node(self) -> dict[str, Any]:
        """Its own part of the configuration."""
        return self.config[self.group][self.name] if self.group in SEVERAL else self.config[self.group]

    def loop(self, **changes: Any) -> Loop:
        """All of it, built anew, with other values at some keys."""
        return prepare(self.config | changes)

    def member(self, loop: Loop) -> Any:
        """The member itself, as it stands in a loop; a tracker stands in none."""
        level = loop.levels[0]
        found = {"task": loop.world.task, "model": loop.world.model, "rule": loop.world.rule, "engine": loop.engine,
                 "meta_learner": level.meta_learner, "gate": level.gate}  # fmt: skip
        return found[self.group] if self.group in found else next(iter(loop.meters))

    def played(self, loop: Loop, member: Any) -> Loop:
        """The loop with another in the member's place."""
        if self.group == "meter":
            return replace(loop, meters=(member,))
        if self.group in ("meta_learner", "gate"):
            first = replace(loop.levels[0], **{self.group: member})
            return replace(loop, levels=(first, *loop.levels[1:]))
        return replace(loop, world=replace(loop.world, **{self.group: member}))

    def lines(self, loop: Loop, *, seeds: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """What a run of it writes, a line a reflective step."""
        seeds = seeds_of(self.config) if seeds is None else seeds
        return [json.loads(lineage.as_json(record)) for record in loop.run(seeds, self.config["steps"])]


def stage(*words: str) -> Stage:
    """The stage of the member that the first word names: `rule=mine`, or `rule._target_=mine.Mine`. Further words are
    set around it as they are; what they leave open is what its file says that it needs, or else what is found to do.

    Raises `ConfigError` where there is no such member, or where nothing is found that goes with it.
    """
    return _stage(words, os.getcwd())


@lru_cache(maxsize=32)
def _stage(words: tuple[str, ...], _: str) -> Stage:
    group, name = _named(words)
    here = next((entry for entry in listed(group, places(words)) if entry.name == name), None)
    said = dict(word.split("=", 1) for word in (here.needs if here else ()) if not word.startswith("extra="))
    choice = {group: f"[{name}]" if group in SEVERAL else name} if here else {}
    if group == "tracker":
        choice = {group: f"[{','.join(dict.fromkeys(['jsonl', name]))}]"}
    before = {**PLAIN, **USUAL.get(group, {}), **said}
    chosen = [*(f"{key}={value}" for key, value in (before | choice).items()), *(() if here else words[:1]), *words[1:]]
    config = _gentle(small(composed(chosen)), {word.partition("=")[0] for word in words} | set(said))
    config["runs"] = mkdtemp(prefix="sandbox-")
    atexit.register(rmtree, config["runs"], ignore_errors=True)
    if group not in ("tracker", "meter"):
        with untouched():
            torch.set_num_threads(1)
            config = _fitting(config, group)
    return Stage(group, here.name if here else name, config, tuple(words))


def _named(words: Sequence[str]) -> tuple[str, str]:
    key, equals, value = (words[0] if words else "").partition("=")
    group = key.removesuffix("._target_")
    if not equals or group not in KINDS or not value:
        raise ConfigError(explain(expected="a member to check, such as rule=sgd or gate._target_=mine.Gate",
                                  got=f"'{words[0] if words else ''}'",
                                  do=did_you_mean(group, KINDS)))  # fmt: skip
    if key != group and group in SEVERAL:
        raise ConfigError(explain(expected=f"a {group} by the name of its file", got=f"'{words[0]}'",
                                  do=f"Write conf/{group}/NAME.yaml, or use `sandbox new {group} NAME`."))  # fmt: skip
    if key != group:
        return group, value.rpartition(".")[2]
    found = names_in(value)
    if len(found) != 1:
        raise ConfigError(explain(expected=f"one {group} to check", got=f"'{value}'", do="Name one at a time."))
    return group, found[0]


def small(config: Config) -> Config:
    """The same run, small enough to be lived many times; what is nobody's but the author's stays as it is."""
    meters = {name: _less(node) for name, node in (config.get("meter") or {}).items()}
    return config | SIZE | {"task": _less(config["task"]), "model": _less(config["model"]), "meter": meters}


def _less(node: dict[str, Any]) -> dict[str, Any]:
    ours = str(node.get("_target_", "")).startswith("sandbox.")
    return node | {key: value for key, value in SMALL.items() if key in node and ours}


def _gentle(config: Config, said: set[str]) -> Config:
    """A rate at which lives of any task stay finite, unless the words or the member's file said another."""
    rule = config["rule"]
    if "rule" in said or "rule.lr" in said or not str(rule["_target_"]).endswith(".SGD"):
        return config
    return config | {"rule": rule | {"lr": RATE}}


def _fitting(config: Config, group: str) -> Config:
    found = around(config, group, build_loop)
    if found is not None:
        return found
    try:
        for _ in build_loop(config).run([config["seed"]], 2):
            pass
    except SandboxError:
        raise
    except Exception as error:
        raise ConfigError(explain(expected=f"a {group} that lives its first steps",
                                  got=f"{type(error).__name__}: {error}",
                                  do="Say in its file what it needs: `# Needs: task=…`."))  from error  # fmt: skip
    return config
