"""Whether members fit together, found out by living two small steps; and if not, which of them, and what would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import combinations, islice, product
from math import prod
from typing import Any

import yaml

from sandbox.core.error import ConfigError, LifeError, SandboxError, explain
from sandbox.identity import Config
from sandbox.loop.reflect import Loop

Make = Callable[[Config], Loop]
Choice = dict[str, Any]  # key of a configuration: what stands there
PARTIES = ("rule", "task", "meta_learner", "engine", "model", "gate", "lifetime")
STEPS = 2  # the first edit acts in the second step, and a life that persists is then of another age
UNTRIED = ("gymnasium", "adam", "adamw", "rmsprop")  # never proposed: it may not be installed; sgd goes where they do
MOST = 60  # compositions that are tried before none is named


def fit(config: Config, loop: Loop, make: Make) -> None:
    """Raises `ConfigError` naming the members that don't fit together, and which do, before anything is written.

    What fails whatever else is chosen is one member's own mistake, and raised as it is. Runs that are told things from
    outside are not tried: a trial must ask nobody, and the run that one lives by may not exist yet.
    """
    if any(level.needs.answers for level in loop.levels):
        return
    error = _fault(config, make)
    if error is None:
        return
    here = {key: config[key] for key in PARTIES}
    parties = [key for key in PARTIES if any(_fault(config | one, make) is None for one in _others(here, key))]
    cures = _cures(config, here, parties, make)
    if cures is None:
        raise error
    changed, works = cures
    apart = [_name(key, here[key]) for key in dict.fromkeys([*parties, *changed])]
    what = str(error) if isinstance(error, SandboxError) else f"{type(error).__name__}: {str(error).splitlines()[0]}"
    raise ConfigError(explain(
        expected="members that fit together", got=f"{' and '.join(apart)}: {what.rstrip('.')}",
        do=f"These do: {' '.join(works)}."))  # fmt: skip


def around(config: Config, keep: str, make: Make) -> Config | None:
    """The configuration with one other choice changed, so that what stands at `keep` lives its first steps; itself
    where it does already, and None where no single change helps."""
    if any(level.needs.answers for level in make(config).levels) or _fault(config, make) is None:
        return config
    here = {key: config[key] for key in PARTIES}
    tried = (config | other for key in PARTIES if key not in (keep, "gate") for other in _others(here, key))
    return next((one for one in tried if _fault(one, make) is None), None)


def _cures(config: Config, here: Choice, parties: Sequence[str], make: Make) -> tuple[list[str], list[str]] | None:
    """What to change, and into which words; None where it is no matter of two members."""
    if len(parties) > 1:
        keep, change = parties[0], parties[1]
        for other in _others(here, change):
            if _fault(config | other, make) is None:
                return [keep, change], [_name(keep, here[keep]), *(_name(*item) for item in _shown(other, change))]
    keeps = parties or (*PARTIES[:3], "model")
    for keep in keeps:  # several at once: one stays, and as few others as may be change
        for others in islice(_several(here, keep), MOST // len(keeps)):
            if _fault(config | _merged(others), make) is None:
                changed = [key for key, _ in others]
                words = [_name(*item) for key, other in others for item in _shown(other, key)]
                return [keep, *changed], [_name(keep, here[keep]), *words]
    return None


def _several(here: Choice, keep: str) -> Iterator[tuple[tuple[str, Choice], ...]]:
    """Several other choices at once: the plainest of each, and for a task all; the fewest compositions first."""
    rest = [key for key in PARTIES if key not in (keep, "model")]  # the model goes with its task
    options = {key: _others(here, key) if key == "task" else _others(here, key)[:1] for key in rest}
    several = [keys for count in range(2, len(rest) + 1) for keys in combinations(rest, count)]
    for keys in sorted(several, key=lambda keys: prod(len(options[key]) for key in keys)):
        yield from (tuple(zip(keys, picked, strict=True)) for picked in product(*(options[key] for key in keys)))


def _merged(others: Sequence[tuple[str, Choice]]) -> dict[str, Any]:
    return {key: value for _, other in others for key, value in other.items()}


def _fault(config: Config, make: Make) -> Exception | None:
    """What goes wrong in the first steps of one seed on one task; a life that diverges fits, and is told as it runs."""
    above = [level | {"horizon": min(level["horizon"], STEPS)} for level in config["above"]]
    small = config | {"meter": {}, "seeds": 1, "tasks": 1, "horizon": min(config["horizon"], STEPS), "above": above}
    try:
        for _ in make(small).run([config["seed"]], STEPS):
            pass
    except LifeError:
        return None
    except Exception as error:
        return error
    return None


def _others(here: Choice, key: str) -> list[Choice]:
    """Every other choice of a key, the plainest first; a task brings its model."""
    if key == "lifetime":
        return [{key: "episodic" if here[key] == "persistent" else "persistent"}]
    found: list[Choice] = []
    for name, node in _members(key):
        if node["_target_"] in (here[key]["_target_"], "???") or name in UNTRIED:
            continue
        own = {name: value for name, value in node.items() if name != "defaults"}
        found.append({key: own, **({"model": _model_of(node)} if key == "task" else {})})
    first = {"meta_learner": "Nothing", "rule": "SGD", "task": "NoisyDigits"}.get(key, "")
    return sorted(found, key=lambda one: not one[key]["_target_"].endswith(f".{first}"))


def _members(group: str) -> list[tuple[str, dict[str, Any]]]:
    paths = sorted(files("sandbox.conf").joinpath(group).iterdir(), key=lambda path: path.name)
    return [(path.name.removesuffix(".yaml"), yaml.safe_load(path.read_text())) for path in paths
            if path.name.endswith(".yaml") and path.name != "yoked.yaml"]  # fmt: skip


def _model_of(task: Mapping[str, Any]) -> dict[str, Any]:
    named = [one["override /model@_global_.model"] for one in task.get("defaults", []) if isinstance(one, dict)]
    return dict(_members("model"))[named[0] if named else "mlp"]


def _shown(other: Choice, key: str) -> list[tuple[str, Any]]:
    return [item for item in other.items() if item[0] == key]


def _name(key: str, value: Any) -> str:
    """A choice in the words of the command line."""
    if not isinstance(value, Mapping):
        return f"{key}={value}"
    for stem, node in _members(key):
        if node["_target_"] == value["_target_"]:
            return f"{key}={stem}"
    return f"{key}._target_={value['_target_']}"
