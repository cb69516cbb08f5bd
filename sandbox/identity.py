"""What a run is: the hash of its configuration as its classes read it, without its name, place and length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.config import classes, typed
from sandbox.core.error import ConfigError, explain
from sandbox.lines.place import COSMETIC as COSMETIC

Config = dict[str, Any]
USUAL = {"scored": "built"}  # of keys that came later: a run that leaves them so is what it was before
GROUPS = ("meter", "tracker")  # of which there may be several, or none


def identity(config: Config) -> str:
    """The hash of what a run is: two spellings of one value are one run, and so are a shorter and a longer life."""
    kept = typed(_kept(config), trust=trusted(config))
    kept["meta_learner"].pop("source", None)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:10]


def built_of(config: Config) -> Iterator[type]:
    """Every class that can move a number of the run, those of nodes within nodes included, each once."""
    yield from dict.fromkeys(classes(_kept(config), trust=trusted(config)))


def trusted(config: Config) -> list[str]:
    """The packages that the user has said may be built from; raises `ConfigError` for what is no list of names."""
    named = config.get("trust") or []
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
        raise ConfigError(explain(expected="names of packages at trust", got=repr(named), do="Set trust=[mypkg]."))
    return named


def chosen(config: Config, group: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The members of a group of several, by name; one without a `_target_` was set somewhere but not chosen."""
    members = sorted((config.get(group) or {}).items())
    return [(f"{group}.{name}", node) for name, node in members if "_target_" in node]


def seeds_of(config: Config) -> list[int]:
    """The seeds of a run: `seeds` of them from `seed`."""
    return list(range(config["seed"], config["seed"] + config["seeds"]))


def _kept(config: Config) -> Config:
    kept = {key: value for key, value in config.items() if key not in COSMETIC and USUAL.get(key) != value}
    return kept | {"meter": {where.partition(".")[2]: node for where, node in chosen(config, "meter")}}
