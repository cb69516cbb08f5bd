"""From words on the command line to a configuration in which every setting belongs to the member that it was meant for.

Hydra merges by name, and knows nothing of members: what a preset sets for one would reach another that was chosen in
its place, and a class named at `_target_` would be given the settings of the class it replaces.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from sandbox.core.error import ConfigError, did_you_mean, explain

OLD = hydra.__version__ < "1.4"
BASE: dict[str, Any] = {"version_base": None} if OLD else {}  # 1.3 asks for it, 1.4 warns of it
CONF = "sandbox.conf"
SINGLE = ("task", "model", "rule", "meta_learner", "gate", "engine")  # groups of which one member is chosen
SEVERAL = ("meter", "tracker")
BUNDLES = ("preset", "experiment")  # groups that set what other groups chose
ELSEWHERE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "hydra.searchpath")


@contextmanager
def _house() -> Iterator[None]:
    """Hydra over the house's configurations, also within a job of Hydra's, which it leaves as it was."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module(CONF, **BASE):
            yield
    finally:
        GlobalHydra.instance().hydra = running


# ---- words ----------------------------------------------------------------------------------------------------------


def worded(arguments: Sequence[str]) -> list[str]:
    """The same overrides, so that Hydra takes a field which no yaml names: its class says later whether it has it.

    Raises `ConfigError` for a key that is none, and for a member that isn't there.
    """
    elsewhere = any(word.split("=")[0] in ELSEWHERE for word in arguments)
    with _house():
        loader = GlobalHydra.instance().config_loader()
        groups = [name for name in loader.get_group_options("", results_filter=None) if "." not in name]
        keys = [
            str(key) for key in OmegaConf.create(files(CONF).joinpath("config.yaml").read_text()) if key != "defaults"
        ]
        members = {group: _members(loader, group) for group in groups}
    words: list[str] = []
    for word in arguments:
        key, equals, value = word.partition("=")
        name = key.lstrip("+")
        if not equals or key.startswith(("-", "~", "hydra.")) or any(mark in key for mark in "/@ "):
            words.append(word)
            continue
        root, *rest = name.split(".")
        if root not in (*groups, *keys):
            if elsewhere and not rest:  # a group of a folder that is looked in only later
                words.append(word)
                continue
            raise ConfigError(explain(expected="a known key", got=f"'{name}'",
                                      do=did_you_mean(root, [*groups, *keys])))  # fmt: skip
        if rest and root in SEVERAL and rest[0] not in members[root] and not elsewhere:
            raise ConfigError(explain(expected=f"a {root} at {name}", got=f"'{rest[0]}'",
                                      do=did_you_mean(rest[0], members[root])))  # fmt: skip
        if not rest and root in groups and not elsewhere:
            _known(root, value, members[root])
        words.append(f"++{name}={value}" if rest else f"{name}={value}")
    return words


def as_typed(words: Sequence[str]) -> list[str]:
    """Overrides as a person writes them."""
    return [word.lstrip("+") for word in words if word.lstrip("+").partition("=")[0] != "launch"]


def _known(group: str, value: str, members: Sequence[str]) -> None:
    if any(mark in value for mark in "()[]{}$"):
        return
    for name in value.split(","):
        if name and name not in members:
            raise ConfigError(f"no {group} called '{name}'. {did_you_mean(name, members)}")


def _members(loader: Any, group: str) -> list[str]:
    here = list(loader.get_group_options(group))
    below = [f"{inner}/{name}" for inner in loader.get_group_options(group, results_filter=None) if inner not in here
             for name in loader.get_group_options(f"{group}/{inner}")]  # fmt: skip
    return here + below


# ---- settings follow their member -----------------------------------------------------------------------------------


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration that these overrides compose, outside a Hydra job."""
    return OmegaConf.to_container(shown([*worded(overrides), "label=check"]), resolve=True)  # type: ignore[return-value]


def shown(words: Sequence[str]) -> DictConfig:
    """What these words compose, as it is before anything in it is resolved."""
    with _house():
        config = compose("config", list(words), return_hydra_config=True)
    found = settled(config, config.hydra.runtime.choices, words)
    return OmegaConf.create({key: value for key, value in found.items() if key != "hydra"})


def settled(config: DictConfig, choices: Mapping[str, Any], words: Sequence[str],
            places: Sequence[str] = ()) -> dict[str, Any]:  # fmt: skip
    """`config` with each member's settings its own: its yaml's, what was set for it on the command line, and what a
    preset or an experiment set, if it is the one that they had chosen.

    A class that is named in place of a member's own starts from its own defaults. `words` are the overrides of the job,
    `places` where besides the house configurations are looked for.
    """
    found: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
    found |= {group: config.get(group) for group in SINGLE if isinstance(config.get(group), DictConfig)}
    named = {group: choices[group] for group in SINGLE if isinstance(choices.get(group), str)}
    swapped = {group for group in SINGLE if any(word.startswith(f"{group}=") for word in words)}
    others = [word for word, key in zip(words, _keys(words), strict=True) if key not in SINGLE]
    meant = _compose(others, places).hydra.runtime.choices if swapped else choices
    usual = _compose([*_bare(BUNDLES), *(f"{group}={member}" for group, member in named.items())], places)
    for group, member in named.items():
        if meant.get(group) != member:
            only = [*_bare(BUNDLES), f"{group}={member}", *_within(group, words)]
            found[group] = _compose(only, places).get(group)
        if isinstance(found.get(group), DictConfig) and "_target_" in found[group]:
            found[group] = _of_its_class(group, usual[group], found[group], words, places)
    return found


def left_out(config: DictConfig, own: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """What a preset or an experiment sets in `config` for a member that `words` chose away, and `settled` left out of
    `own`: a sentence a group."""
    told: list[str] = []
    for group in (group for group in SINGLE if any(word.startswith(f"{group}=") for word in words)):
        before, after = config.get(group), own.get(group)
        if not isinstance(before, DictConfig) or not isinstance(after, Mapping | DictConfig):
            continue
        if not _same_class(before, OmegaConf.create(dict(after))):
            continue
        gone = [f"{key}={before[key]}" for key in before if key not in after or before[key] != after[key]]
        if gone:
            told.append(f"{group}: set for another member by a preset or an experiment, so left out: {', '.join(gone)}")
    return told


def _of_its_class(group: str, usual: DictConfig, node: DictConfig, words: Sequence[str], places: Sequence[str]) -> Any:
    """The node, without what the member's yaml sets for another class than the one that is named in it."""
    typed = [key for key in _keys(_within(group, words)) if key.endswith("._target_")]
    if not typed:
        if _same_class(usual, node):
            return node
        bundles = [word for word in words if word.partition("=")[0] in BUNDLES]  # one of them has named it
        return _compose(["preset=[]", *bundles, f"{group}=[]", *_within(group, words)], places).get(group)
    alone = _compose([*_bare(BUNDLES), f"{group}=[]", *_within(group, words)], places).get(group)
    node = OmegaConf.create({group: OmegaConf.to_container(node)})
    for path in sorted((key.removesuffix("._target_") for key in typed), key=len):
        one, other = (OmegaConf.select(OmegaConf.create({group: tree}), path) for tree in (usual, alone))
        if one is None or not _same_class(one, other):
            OmegaConf.update(node, path, other, merge=False, force_add=True)
    return node[group]


def _same_class(one: DictConfig, other: DictConfig) -> bool:
    """Also where the one leaves its class to be named."""
    return OmegaConf.is_missing(one, "_target_") or one.get("_target_") == other.get("_target_")


def _keys(words: Sequence[str]) -> list[str]:
    return [word.lstrip("+").partition("=")[0] for word in words]


def _bare(groups: Sequence[str]) -> list[str]:
    return [f"{group}=[]" for group in groups]


def _within(group: str, words: Sequence[str]) -> list[str]:
    return [word for word, key in zip(words, _keys(words), strict=True) if key.startswith(f"{group}.")]


def _compose(words: Sequence[str], places: Sequence[str]) -> DictConfig:
    """What these words compose; not to be written to, for it is kept for those who ask the same again."""
    if places:  # a folder of the user's own may change
        return _composition.__wrapped__((*words, f"hydra.searchpath=[{','.join(places)}]", "++label=x"))
    return _composition((*words, "++label=x"))


@lru_cache(maxsize=128)
def _composition(words: tuple[str, ...]) -> DictConfig:
    with _house():
        return compose("config", list(words), return_hydra_config=True)


def targets_in(places: Sequence[str]) -> list[str]:
    """The packages that the configurations in folders name at `_target_`."""
    folders = [Path(place.removeprefix("file://")) for place in places if place.startswith("file://")]
    nodes = [OmegaConf.to_container(OmegaConf.load(path)) for folder in folders for path in folder.rglob("*.yaml")]
    names = {name.partition(".")[0] for node in nodes for name in _targets(node) if "." in name}
    return sorted(names - {"sandbox", "torch", *sys.stdlib_module_names})


def _targets(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [value for key, value in node.items() if key == "_target_" and isinstance(value, str)]
        return here + [name for value in node.values() for name in _targets(value)]
    return [name for value in node for name in _targets(value)] if isinstance(node, list) else []
