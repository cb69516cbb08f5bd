"""From words on the command line to a configuration in which every setting belongs to the member that it was meant for.

Hydra merges by name, and knows nothing of members: what a preset sets for one would reach another that was chosen in
its place, and a class named at `_target_` would be given the settings of the class it replaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files
from typing import Any

import hydra
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.places import (
    Place,
    alone,
    broken,
    groups,
    holders,
    named,
    names_in,
    places,
    standing,
    tell_hydra,
    trusted_by,
)

OLD = hydra.__version__ < "1.4"
BASE: dict[str, Any] = {"version_base": None} if OLD else {}  # 1.3 asks for it, 1.4 warns of it
CONF = "sandbox.conf"
SINGLE = ("task", "model", "rule", "meta_learner", "gate", "engine")  # groups of which one member is chosen
SEVERAL = ("meter", "tracker")
BUNDLES = ("preset", "experiment")  # groups that set what other groups chose
ELSEWHERE = ("--config-path", "-cp", "--config-name", "-cn")  # another tree than the house's
FLAGGED = ("--config-dir", "-cd")
SWAPPED = ("rule", "meta_learner", "gate", "engine", "model")  # groups whose choice shows in a label


@contextmanager
def loader() -> Iterator[Any]:
    """What Hydra reads the house's configurations with."""
    with _house():
        yield GlobalHydra.instance().config_loader()


@contextmanager
def _house() -> Iterator[None]:
    """Hydra over the house's configurations, also within a job of Hydra's, which it leaves as it was."""
    tell_hydra()
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
    known = places(arguments)
    keys = [str(key) for key in OmegaConf.create(files(CONF).joinpath("config.yaml").read_text()) if key != "defaults"]
    roots = [*groups(known), *keys]
    words: list[str] = []
    for word in arguments:
        key, equals, value = word.partition("=")
        name = key.lstrip("+")
        if not equals or key.startswith(("-", "~", "hydra.")) or any(mark in key for mark in "/@ "):
            words.append(word)
            continue
        root, *rest = name.split(".")
        if root not in roots and not elsewhere:
            raise ConfigError(explain(expected="a known key", got=f"'{name}'", do=did_you_mean(root, roots)))
        if not elsewhere and not (rest and root in SEVERAL and _made(root, rest[0], arguments, known)):
            _there(root, rest, value, known)
        words.append(f"++{name}={value}" if rest else f"{name}={value}")
    return words


def _made(root: str, name: str, arguments: Sequence[str], known: Sequence[Place]) -> bool:
    """Whether these words make a meter or tracker of that name that has no file: one that names its class, or a preset
    or an experiment that does. What a sweep's will make isn't known before its jobs."""
    if name in holders(root, known):
        return False
    if f"{root}.{name}._target_" in _keys(arguments):
        return True
    bundles = [word for word in arguments if word.partition("=")[0] in BUNDLES]
    if any(mark in word for word in bundles for mark in ",({$*"):
        return True
    return bool(bundles) and name in (raw(bundles, named(arguments)).get(root) or ())


def _there(root: str, rest: Sequence[str], value: str, known: Sequence[Place]) -> None:
    """Raises `ConfigError` where a word chooses or sets a member that isn't there, or that two places call so."""
    members = holders(root, known)
    if rest and root in SEVERAL and rest[0] not in members:
        raise ConfigError(explain(expected=f"a {root} at {'.'.join([root, *rest])}", got=f"'{rest[0]}'",
                                  do=did_you_mean(rest[0], members)))  # fmt: skip
    if rest or not members or any(mark in value for mark in "(){}$"):
        return
    for name in names_in(value):
        if name not in members and not value.startswith("["):
            raise ConfigError(" ".join([f"no {root} called '{name}'. {did_you_mean(name, members)}", *broken()]))
        alone(root, name, known)


def as_typed(words: Sequence[str]) -> list[str]:
    """Overrides as a person writes them."""
    return [word.lstrip("+") for word in words if word.lstrip("+").partition("=")[0] not in ("launch", "sweep")]


# ---- settings follow their member -----------------------------------------------------------------------------------


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration that these words compose, `--config-dir` among them, outside a Hydra job."""
    words, folders = worded(bare(overrides)), named(overrides)
    config, choices = settled_words(words, folders)
    if str(config["label"]).startswith("${label:"):
        config["label"] = label_of(choices, words)
    config["trust"] = [*_listed(config.get("trust")), *trusted_by(words, folders)]
    return OmegaConf.to_container(OmegaConf.create(config), resolve=True)  # type: ignore[return-value]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | ListConfig) else [value] if value else []


def bare(arguments: Sequence[str]) -> list[str]:
    """The words of a command line, with the folders that it names as `hydra.searchpath`."""
    rest, words = list(arguments), list[str]()
    while rest:
        word = rest.pop(0)
        if word in FLAGGED:
            rest[:1] = []
        elif not word.startswith((*(f"{flag}=" for flag in FLAGGED), "hydra.searchpath=")):
            words.append(word)
    return [*words, *_searched(named(arguments))]


def shown(words: Sequence[str]) -> DictConfig:
    """What these words compose, as it is before anything in it is resolved."""
    return OmegaConf.create(settled_words(words, named(words))[0])


def settled_words(words: Sequence[str], folders: Sequence[Place]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """What these words compose, each member's settings its own, and the choices of its groups."""
    with _house():
        config = compose("config", list(words), return_hydra_config=True)
    choices = config.hydra.runtime.choices
    found = settled(config, choices, words, folders)
    return {key: value for key, value in found.items() if key != "hydra"}, choices


# ---- labels ---------------------------------------------------------------------------------------------------------


def label_of(choices: Mapping[str, Any], words: Sequence[str]) -> str:
    """A name for a run that nobody named: its preset, what was chosen in place of the preset's members, its task."""
    named, swapped = dict(zip(_keys(words), words, strict=True)), list[str]()
    for group in SWAPPED:
        chosen = [str(choices.get(group))] if group in named else []
        if f"{group}._target_" in named:
            chosen.append(named[f"{group}._target_"].rpartition(".")[2])
        swapped += [".".join(chosen)] if chosen else []
    task = named["task._target_"].rpartition(".")[2] if "task._target_" in named else choices.get("task")
    parts = [choices.get("preset"), *swapped, task]
    return "-".join(part for part in parts if isinstance(part, str) and part).replace("/", "_") or "run"


# ---- each to its own ------------------------------------------------------------------------------------------------


def settled(config: DictConfig, choices: Mapping[str, Any], words: Sequence[str],
            places: Sequence[Place] = ()) -> dict[str, Any]:  # fmt: skip
    """`config` with each member's settings its own: its yaml's, what was set for it on the command line, and what a
    preset or an experiment set, if it is the one that each of them had chosen.

    A class that is named in place of a member's own starts from its own defaults. `words` are the overrides of the job,
    `places` the folders that its command line names.
    """
    found: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
    found |= {group: config.get(group) for group in SINGLE if isinstance(config.get(group), DictConfig)}
    named = {group: choices[group] for group in SINGLE if isinstance(choices.get(group), str)}
    swapped = {group for group in SINGLE if any(word.startswith(f"{group}=") for word in words)}
    others = [word for word, key in zip(words, _keys(words), strict=True) if key not in SINGLE]
    meant = raw(others, places).hydra.runtime.choices if swapped else choices
    usual = raw([*_bare(BUNDLES), *(f"{group}={member}" for group, member in named.items())], places)
    given = _by_preset(choices, places)
    for group, member in named.items():
        swapped_by_words = meant.get(group) != member
        if swapped_by_words or given.get(group, member) != member:
            bundles = _bare(BUNDLES) if swapped_by_words else ["preset=[]", f"experiment={choices['experiment']}"]
            found[group] = raw([*bundles, f"{group}={member}", *_within(group, words)], places).get(group)
        if isinstance(found.get(group), DictConfig) and "_target_" in found[group]:
            found[group] = _of_its_class(group, usual[group], found[group], words, places)
    return found


def _by_preset(choices: Mapping[str, Any], places: Sequence[Place]) -> Mapping[str, Any]:
    """What a preset chooses by itself, where an experiment stands on it."""
    if not all(isinstance(choices.get(bundle), str) for bundle in BUNDLES):
        return {}
    return raw([f"preset={choices['preset']}", "experiment=[]"], places).hydra.runtime.choices


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
        chosen = {key.split(".")[1] for key in _keys(_within(group, words)) if key.endswith("._target_")}
        gone = [f"{key}={before[key]}" for key in before
                if str(key) not in chosen and (key not in after or not _same(before[key], after[key]))]  # fmt: skip
        if gone:
            told.append(f"{group}: set for another member by a preset or an experiment, so left out: {', '.join(gone)}")
    return told


def _same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)  # NaN is itself here


def _of_its_class(group: str, usual: DictConfig, node: DictConfig, words: Sequence[str],
                  places: Sequence[Place]) -> Any:  # fmt: skip
    """The node, without what the member's yaml sets for another class than the one that is named in it."""
    typed = [key for key in _keys(_within(group, words)) if key.endswith("._target_")]
    if not typed:
        if _same_class(usual, node):
            return node
        bundles = [word for word in words if word.partition("=")[0] in BUNDLES]  # one of them has named it
        return raw(["preset=[]", *bundles, f"{group}=[]", *_within(group, words)], places).get(group)
    alone = raw([*_bare(BUNDLES), f"{group}=[]", *_within(group, words)], places).get(group)
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


def raw(words: Sequence[str], places: Sequence[Place]) -> DictConfig:
    """What these words compose; not to be written to, for it is kept for those who ask the same again."""
    rest = [word for word in words if not word.startswith("hydra.searchpath=")]
    if places or standing():  # a folder of the user's own may change
        return _composition.__wrapped__((*rest, *_searched(places)))
    return _composition(tuple(rest))


def _searched(places: Sequence[Place]) -> list[str]:
    return [f"hydra.searchpath=[{','.join(quoted(place.url) for place in places)}]"] if places else []


def quoted(value: str) -> str:
    """A value as Hydra's grammar takes it, whatever is in it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@lru_cache(maxsize=128)
def _composition(words: tuple[str, ...]) -> DictConfig:
    with _house():
        return compose("config", list(words), return_hydra_config=True)
