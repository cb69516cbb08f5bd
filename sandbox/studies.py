"""Finds studies on Hydra's search path (ours, `--config-dir`, other packages), checks and keeps them with a launch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import hydra
from hydra import initialize_config_module
from hydra._internal.config_repository import ConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.places import named, standing, trusted_by
from sandbox.report.readings import BUILT_IN
from sandbox.report.study import ClosedForm, Study, keep, parse

BASE: dict[str, Any] = {"version_base": None} if hydra.__version__ < "1.4" else {}  # 1.3 asks for it, 1.4 warns of it


NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Studies:
    """Everything called `study/<name>` on the search path of a command line, and what it may name. `trust`: packages
    that the command line names; `strangers`: meters of the working folder, of which it names nothing."""

    repository: Any
    trust: tuple[str, ...] = ()
    strangers: frozenset[str] = frozenset()

    @cached_property
    def names(self) -> list[str]:
        return sorted(self.members("study"))

    def members(self, group: str) -> list[str]:
        """The names of the files of a group."""
        return list(self.repository.get_group_options(group, ObjectType.CONFIG))

    def node(self, path: str) -> dict[str, Any]:
        """What the file of that name says; empty where there is none."""
        found = self.repository.load_config(path)
        return {} if found is None else cast(dict[str, Any], OmegaConf.to_container(found.config))

    def study(self, name: str) -> Study:
        """The study of that name; raises `ConfigError`."""
        if name not in self.names:
            raise ConfigError(explain(expected="the name of a study", got=f"'{name}'",
                                      do=did_you_mean(name, self.names)))  # fmt: skip
        return parse(self.node(f"study/{name}"), f"study/{name}.yaml")

    def forms(self, name: str) -> tuple[ClosedForm, ...]:
        """The closed forms of a study that nobody asked for; none where it is no study of ours."""
        try:
            return self.study(name).closed_forms
        except ConfigError:
            return ()

    def check(self, name: str) -> Study:
        """The study, once its arms are files and its readings are some meter's; raises `ConfigError`."""
        study = self.study(name)
        arms = [] if study.sweep else self.members(f"experiment/{name}")
        for arm in () if study.sweep else study.arms:
            if arm not in arms:
                raise ConfigError(explain(expected=f"an arm of study/{name}.yaml in experiment/{name}/", got=f"'{arm}'",
                                          do=did_you_mean(arm, arms)))  # fmt: skip
        known = self.readings() if study.readings else {}
        for reading in study.readings if known else ():
            if not _is_read(reading, known):
                raise ConfigError(explain(expected=f"a reading of some meter in study/{name}.yaml", got=f"'{reading}'",
                                          do=did_you_mean(reading, known)))  # fmt: skip
        for claim in study.claims if known else ():
            if not claim.than and not known.get(claim.reading):
                raise ConfigError(explain(expected=f"`than` in study/{name}.yaml, or a reading with a null",
                                          got=f"'{claim.reading}' of {claim.arm}, which has none",
                                          do="Name the arm that it is set against."))  # fmt: skip
        return study

    def readings(self) -> dict[str, str]:
        """{name: its null} of all that the meters of the search path can read; empty where one of them can't be asked:
        it needs more than its file says, or describes nothing."""
        from sandbox.config import build

        said = list(BUILT_IN.values())
        for name in self.members("meter"):
            try:
                said += build(self.node(f"meter/{name}"), f"meter/{name}.yaml", trust=self.trust).readings
            except (ConfigError, AttributeError):
                if name not in self.strangers:
                    return {}
        return {reading.name: reading.null for reading in said}


def _is_read(reading: str, known: Iterable[str]) -> bool:
    """Whether a reading is one of these, of a group of them ("rule/*"), or one of them at another number ("…_10"),
    which an arm may set."""
    apart = {NUMBER.sub("_", one) for one in known if NUMBER.search(one)}
    return (reading in known or any(reading.startswith(one[:-1]) for one in known if one.endswith("/*"))
            or NUMBER.sub("_", reading) in apart)  # fmt: skip


def studies(arguments: Sequence[str]) -> Studies:
    """Those that a command line can reach."""
    with initialize_config_module("sandbox.conf", **BASE):
        loader = cast(Any, GlobalHydra.instance().config_loader())
        path = loader.get_search_path()
        for place in named(arguments):
            path.append("command-line", place.url)
        trust = tuple(trusted_by(arguments, named(arguments)))
        working = [place for place in standing() if place.kind == "working folder"]
        strangers = [name for place in working for name in place.members("meter")] if not trust else []
        return Studies(ConfigRepository(path), trust, frozenset(strangers))


def unfold(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The command line with a study's name in place of its sweep, and whether there was one; without arguments, the
    study that `default.yaml` names. Raises `ConfigError`."""
    here = studies(arguments)
    words = list(arguments) or [f"study={here.node('default')['study']}"]
    for place, word in enumerate(words):
        key, _, name = word.partition("=")
        if key == "study" or (key == "experiment" and name in here.names):
            words[place : place + 1] = _sweep(name, here.study(name))
            return [*([] if {"-m", "--multirun"} & set(words) else ["-m"]), *words], True
    return words, False


def _sweep(name: str, study: Study) -> Sequence[str]:
    return study.sweep or ["experiment=" + ",".join(f"{name}/{arm}" for arm in study.arms)]


def describe(arguments: Sequence[str], manifest: Path) -> None:
    """Leave beside the manifest of a launch the studies whose arms it runs, and the closed forms of all; raises
    `ConfigError` where one of them names what is not there."""
    here = studies(arguments)
    asked = list(dict.fromkeys(_named(arguments)))
    told = [here.check(name) for name in asked if name in here.names]
    forms = tuple(form for name in here.names if name not in asked for form in here.forms(name))
    keep([*told, *([Study(closed_forms=forms)] if forms else [])], manifest)


def _named(arguments: Iterable[str]) -> list[str]:
    """The folders of the experiments that a command line names."""
    values = [word.partition("=")[2] for word in arguments if word.startswith("experiment=")]
    return [name.rpartition("/")[0] for value in values for name in value.split(",") if "/" in name]
