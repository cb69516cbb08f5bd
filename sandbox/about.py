"""What a run was made with: identity, overrides, versions, threads, and the code of all that was built."""

from __future__ import annotations

import ast
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

import torch

from sandbox.lines.format import FORMAT

PACKAGES = ("torch", "higher", "hydra-core", "wandb", "numpy", "scipy", "scikit-learn")
HOUSE = ("sandbox.core", "sandbox.loop")  # packages that every run goes through, whole
ENTRY = ("sandbox.experiment", "sandbox.config", "sandbox.model.module")  # and single modules
FOLDERS = {"site-packages", "dist-packages"}  # another environment's, on whose packages this one stands
START = "sandbox"  # what a script imports to start its runs
SITE = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))

Provenance = Mapping[str, Mapping[str, Any]]


def about(identity: str, overrides: Sequence[str], classes: Iterable[type] = (), data: str = "") -> dict[str, Any]:
    """Everything besides the configuration that may move a number."""
    code = provenance(classes, data)
    return {
        "format": FORMAT,
        "identity": identity,
        "overrides": list(overrides),
        "git": code["sandbox"]["git"],
        "changed": any(found["changed"] for found in code.values()),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
        "code": code,
    }


def provenance(classes: Iterable[type], data: str = "") -> dict[str, dict[str, Any]]:
    """By `sandbox` (the machinery) and each class: a digest of the text of its modules (those of its bases and what
    they import, as far as they are nobody's installed package), the versions of the installed packages among them, and
    the git revision of its checkout; `changed`: whether a module differs from that revision, or git doesn't know it.
    `data` is a digest of what a task has read from elsewhere."""
    house = [*(name for package in HOUSE for name in _inside(package)), *ENTRY]
    read = {"sandbox": _read(house, follow=lambda name: name in house and name not in ENTRY)}
    for cls in classes:
        modules = [kind.__module__ for kind in getattr(cls, "__mro__", (cls,))]  # a function has none
        read[_path(cls)] = _read(modules, follow=lambda name: True, without=[*house, START])
    checkouts = _checkouts({path for code in read.values() for path in code.files.values()})
    found = {name: code.described(checkouts) for name, code in read.items()}
    given = {"modules": {"digest": data}, "versions": {}, "git": None, "changed": False}
    return {**found, "the data": given} if data else found


def differences(before: Provenance, now: Provenance) -> list[str]:
    """Which members are not what they were, each with the modules or the packages that differ."""
    told: list[str] = []
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name, {}), now.get(name, {})
        parts = {**_changes(old, new, "modules"), **_changes(old, new, "versions")}
        if parts:
            told.append(f"{name} ({', '.join(parts)})")
    return told


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], kind: str) -> dict[str, None]:
    one, other = old.get(kind, {}), new.get(kind, {})
    return {name: None for name in sorted({*one, *other}) if one.get(name) != other.get(name)}


# ---- modules --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """Source files by module, their digests, and versions by distribution."""

    files: dict[str, Path]
    digests: dict[str, str]
    versions: dict[str, str]

    def described(self, checkouts: Mapping[Path, tuple[str | None, bool]]) -> dict[str, Any]:
        known = [checkouts[path] for path in self.files.values()]
        return {
            "modules": dict(sorted(self.digests.items())),
            "versions": dict(sorted(self.versions.items())),
            "git": known[0][0] if known else None,
            "changed": any(changed for _, changed in known),
        }


def _read(modules: Iterable[str], *, follow: Callable[[str], bool], without: Sequence[str] = ()) -> Code:
    """Modules and all that they import, save `without`; the imports of one are looked at if `follow` says so."""
    todo, code = list(reversed(list(modules))), Code({}, {}, {})
    while todo:
        name = todo.pop()
        path = None if name in code.files or name in without else _origin(name)
        if path is None:
            continue
        installed = _version(name) if _installed(path) else {}
        if installed:
            code.versions.update(installed)
            continue
        text = path.read_bytes()
        code.files[name], code.digests[name] = path, blake2b(text, digest_size=8).hexdigest()
        if follow(name):
            imported = _imports(name, path.name == "__init__.py", text)
            todo += [other for other in imported if follow(other) or _is_installed(other)]
    return code


def _is_installed(name: str) -> bool:
    path = _origin(name)
    return path is not None and _installed(path)


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _inside(package: str) -> list[str]:
    folder = Path(__file__).parents[1].joinpath(*package.split("."))
    return [package, *(f"{package}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__")]


def _origin(name: str) -> Path | None:
    """The source file of a module that isn't Python's own; to look for it loads nothing."""
    root, *rest = name.split(".")
    if root in sys.stdlib_module_names:
        return None
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        try:
            spec = find_spec(root)
            for depth, _ in enumerate(rest, start=2):
                places = spec.submodule_search_locations if spec else None
                spec = PathFinder.find_spec(".".join(name.split(".")[:depth]), places) if places else None
        except (ImportError, ValueError, KeyError):  # of a namespace that nobody has imported
            return None
        file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


def _installed(path: Path) -> bool:
    return any(path.is_relative_to(site) for site in SITE) or not FOLDERS.isdisjoint(path.parts)


def _version(module: str) -> dict[str, str]:
    """The versions of the distributions that a module's package came with."""
    found: dict[str, str] = {}
    for name in set(_distributions().get(module.partition(".")[0], ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _imports(name: str, is_package: bool, text: bytes) -> tuple[str, ...]:
    """Every module that a text may import, at its head or within its functions."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return ()
    package = name if is_package else name.rpartition(".")[0]
    return tuple(dict.fromkeys(other for node in nodes for other in _named(node, package)))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        try:
            module = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
        except ImportError:
            return
        yield module
        for alias in node.names:
            yield f"{module}.{alias.name}"


# ---- git ------------------------------------------------------------------------------------------------------------


def _checkouts(files: Iterable[Path]) -> dict[Path, tuple[str | None, bool]]:
    """Of each file the revision of its checkout, None outside one, and whether it is not as it is there; a file that
    git does not know counts as changed."""
    found: dict[Path, tuple[str | None, bool]] = dict.fromkeys(files, (None, False))
    for folder in {path.parent for path in found}:
        beside = [path for path in found if path.parent == folder]
        revision = _git(folder, "rev-parse", "HEAD")
        if revision is None:
            continue
        names = [path.name for path in beside]
        known = {Path(name).name for name in (_git(folder, "ls-files", "--", *names) or "").splitlines()}
        status = (_git(folder, "status", "--porcelain", "--", *names) or "").splitlines()
        changed = {Path(line[3:].strip('"')).name for line in status}
        found |= {path: (revision, path.name in changed or path.name not in known) for path in beside}
    return found


def _git(here: Path, *words: str) -> str | None:
    """What git says in a folder; None outside a checkout, and where there is no git."""
    try:
        found = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.rstrip() if found.returncode == 0 else None
