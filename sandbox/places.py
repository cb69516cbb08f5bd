"""Where configurations are looked for: the house, installed packages, the working folder, what a command line names.

One list for Hydra, for the house's own compositions and for `sandbox list`, in the order of precedence. It knows no
torch, and reading it imports nobody's code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from sandbox.core.error import ConfigError, explain

GROUP = "sandbox.conf"  # the entry point group by which an installed package brings configurations and members
FOLDER = "conf"  # of the working folder
SPELT = re.compile(r"_target_['\"]?\s*[:=]\s*['\"]?([A-Za-z_][\w.]*)")  # in a word of the command line
NEEDS = "Needs: "  # a comment of a member's file: words that it wants around it
Kind = Literal["house", "package", "working folder", "command line"]


@dataclass(frozen=True)
class Place:
    """A folder of configurations: its name in a message, its place on the disk (None: unlisted) and for Hydra."""

    kind: Kind
    name: str
    url: str
    root: Path | None

    def members(self, group: str) -> list[str]:
        """The names of the files of a group, `folder/name` where they lie deeper."""
        if self.root is None:
            return []
        folder = self.root / group
        return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))

    def groups(self) -> list[str]:
        """Every group of which something lies here."""
        folders = sorted(self.root.iterdir()) if self.root else []
        return [path.name for path in folders if path.is_dir() and next(path.rglob("*.yaml"), None) is not None]


@dataclass(frozen=True)
class Entry:
    """A file of a group: its first comment, what it needs around it, and the class that it names."""

    group: str
    name: str
    place: Place
    path: Path

    @property
    def about(self) -> str:
        return next((line for line in self._comments() if not line.startswith(("@package", NEEDS))), "")

    @property
    def needs(self) -> tuple[str, ...]:
        """Words of the command line; `extra=NAME` is an extra that must be installed."""
        said = [line.removeprefix(NEEDS) for line in self._comments() if line.startswith(NEEDS)]
        return tuple(" ".join(said).split())

    @property
    def target(self) -> str:
        node = _yaml(self.path)
        return str(node.get("_target_", "")) if isinstance(node, Mapping) else ""

    def _comments(self) -> Iterator[str]:
        for line in self.path.read_text().splitlines():
            if line.startswith("#"):
                yield line.lstrip("# ").rstrip()


# ---- places ---------------------------------------------------------------------------------------------------------


def places(arguments: Sequence[str] = ()) -> tuple[Place, ...]:
    """All of them for a command line, the first first: what lies in two of them is the first's. Raises `ConfigError`
    for a folder that isn't there."""
    return (house(), *standing(), *named(arguments))


@cache
def house() -> Place:
    """The house's own."""
    return Place("house", "sandbox", f"pkg://{GROUP}", Path(str(files(GROUP))).resolve())


def standing() -> tuple[Place, ...]:
    """The places that need no naming: those of installed packages, and `conf` of the working folder."""
    here = Path.cwd() / FOLDER
    working = (_folder("working folder", f"./{FOLDER}", here),) if here.is_dir() and not _is_house(here) else ()
    return (*(place for place in map(_of_package, entries()) if place is not None), *working)


def named(arguments: Sequence[str]) -> tuple[Place, ...]:
    """What `--config-dir` and `hydra.searchpath` of a command line add."""
    found: list[Place] = []
    for at, word in enumerate(arguments):
        key, _, value = word.partition("=")
        if key in ("--config-dir", "-cd"):
            found.append(_named_folder("--config-dir", value or "".join(arguments[at + 1 : at + 2])))
        elif key == "hydra.searchpath":
            parsed: Any = OverridesParser.create().parse_override(word).value()
            found += [_searched(str(one)) for one in parsed or ()]
    there = {place.root for place in standing()}
    return tuple(place for place in found if place.root not in there)


@cache
def entries() -> tuple[EntryPoint, ...]:
    """The packages' entry points, in the order of their names."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda entry: (entry.value, entry.name)))


def plugins() -> tuple[str, ...]:
    """The packages that bring configurations, and those that they name: to install one is to trust it."""
    return _plugins(entries())


@cache
def _plugins(known: tuple[EntryPoint, ...]) -> tuple[str, ...]:
    brought = [place for place in map(_of_package, known) if place is not None]
    return tuple(dict.fromkeys([*map(root_of, known), *targets_in(brought)]))


def broken() -> list[str]:
    """What is wrong with the packages that bring nothing, a sentence each."""
    return [f"The package '{root_of(entry)}' says that its configurations are in '{entry.value}', and there are none: "
            "ship its *.yaml files (package-data)." for entry in entries() if _of_package(entry) is None]  # fmt: skip


def root_of(entry: EntryPoint) -> str:
    """The package that an entry point speaks for."""
    return entry.value.partition(":")[0].partition(".")[0]


def _of_package(entry: EntryPoint) -> Place | None:
    folder = folder_of(entry.value.partition(":")[0])
    if folder is None or next(folder.rglob("*.yaml"), None) is None:
        return None
    return _folder("package", root_of(entry), folder)


def folder_of(package: str) -> Path | None:
    """The folder of a dotted name; found without importing it, as far as its root lies in one piece."""
    root, *rest = package.split(".")
    try:
        spec = find_spec(root)
        found = [Path(place, *rest) for place in (spec.submodule_search_locations if spec else None) or ()]
        there = next((path for path in found if path.is_dir()), None)
        if there is None and spec is not None and rest:  # an editable install may keep it elsewhere
            spec = find_spec(package)
            there = next(map(Path, (spec.submodule_search_locations if spec else None) or ()), None)
    except (ImportError, ValueError):
        return None
    return there


def _folder(kind: Kind, name: str, folder: Path) -> Place:
    return Place(kind, name, f"file://{folder.resolve()}", folder.resolve())


def _named_folder(flag: str, value: str) -> Place:
    folder = Path(value)
    if not value or not folder.is_dir():
        raise ConfigError(explain(expected=f"a folder of configurations at {flag}", got=f"'{value}'",
                                  do="There is no such folder here."))  # fmt: skip
    return _folder("command line", f"{flag} {value}", folder)


def _searched(value: str) -> Place:
    if value.startswith("pkg://"):
        return Place("command line", value, value, folder_of(value.removeprefix("pkg://")))
    return _named_folder("hydra.searchpath", value.removeprefix("file://"))


def _is_house(folder: Path) -> bool:
    """Also another checkout of it: there, its own configurations are no stranger's."""
    ours = house().root
    return folder.resolve() == ours or ((folder / "__init__.py").is_file() and (folder.parent / "sandbox").is_dir())


# ---- what lies there ------------------------------------------------------------------------------------------------


def groups(within: Iterable[Place]) -> list[str]:
    """Every group of which something lies in one of the places."""
    return list(dict.fromkeys(group for place in within for group in place.groups()))


def holders(group: str, within: Iterable[Place]) -> dict[str, list[Place]]:
    """{name: the places where a file of the group is called so}, the first first."""
    found: dict[str, list[Place]] = {}
    for place in within:
        for name in place.members(group):
            found.setdefault(name, []).append(place)
    return found


def listed(group: str, within: Iterable[Place]) -> list[Entry]:
    """Every file of a group, those that another place's hide included."""
    return [Entry(group, name, place, place.root / group / f"{name}.yaml")
            for place in within if place.root is not None for name in place.members(group)]  # fmt: skip


def alone(group: str, name: str, within: Iterable[Place]) -> None:
    """Raises `ConfigError` naming both where two places call something so, and where its file is none."""
    held = holders(group, within).get(name, [])
    if len(held) > 1:
        first, second = (place.name for place in held[:2])
        raise ConfigError(explain(
            expected=f"one {group} called '{name}'", got=f"one of {first} and one of {second}",
            do=f"Rename {held[1].root / group / name if held[1].root else second}.yaml."))  # fmt: skip
    if held and held[0].root is not None:
        _yaml(held[0].root / group / f"{name}.yaml", strict=True)


def _yaml(path: Path, *, strict: bool = False) -> Any:
    """What a file says; where it says nothing that can be read, None, or `ConfigError` if `strict`."""
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        if not strict:
            return None
        got = " ".join(str(error).split())
        raise ConfigError(explain(expected=f"YAML in {path}", got=got, do="Mend that line.")) from error


# ---- whom a command line trusts -------------------------------------------------------------------------------------


def trusted_by(words: Sequence[str], folders: Sequence[Place]) -> list[str]:
    """The packages that a command line trusts by naming them: a class at `_target_`, a folder, or something in `conf`
    of the working folder, which stands for what that folder's files name."""
    found = [name.partition(".")[0] for word in words for name in SPELT.findall(word)]
    here = [place for place in standing() if place.kind == "working folder"]
    chosen = [place for place in here for key, value in _pairs(words) for name in names_in(value)
              if name in place.members(key)]  # fmt: skip
    return sorted({*found, *targets_in([*folders, *chosen])} - {"sandbox", "torch", *sys.stdlib_module_names})


def names_in(value: str) -> list[str]:
    """What an override of a group chooses: one name, several by commas, or a list."""
    return [name for name in re.split(r"[\s,\[\]'\"]+", value) if name]


def targets_in(within: Iterable[Place]) -> list[str]:
    """The packages that the configurations in folders name at `_target_`, none of Python's own."""
    roots = [place.root for place in within if place.kind != "house" and place.root is not None]
    nodes = [_yaml(path) for folder in roots for path in folder.rglob("*.yaml")]
    names = {name.partition(".")[0] for node in nodes for name in _targets(node) if "." in name}
    return sorted(names - {"sandbox", "torch", *sys.stdlib_module_names})


def _pairs(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        key, equals, value = word.lstrip("+").partition("=")
        if equals:
            yield key, value


def _targets(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [value for key, value in node.items() if key == "_target_" and isinstance(value, str)]
        return here + [name for value in node.values() for name in _targets(value)]
    return [name for value in node for name in _targets(value)] if isinstance(node, list) else []


# ---- Hydra ----------------------------------------------------------------------------------------------------------


class Standing(SearchPathPlugin):
    """Tells Hydra of the places that need no naming, in whatever process it composes."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for place in standing():
            search_path.append(f"sandbox: {place.name}", place.url)


def tell_hydra() -> None:
    """Make Hydra know of them. Said by hand, for a namespace package would not be found in every kind of editable
    installation; and before every composition, for a launcher's worker forgets what was said as it was imported."""
    Plugins.instance().register(Standing)


tell_hydra()
