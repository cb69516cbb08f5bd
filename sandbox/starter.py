"""A member of one's own to begin with: its class, its file and its test, which passes; and a package for them."""

from __future__ import annotations

import keyword
import sys
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.places import FOLDER, GROUP, holders, places

KINDS = {"meta-learner": "meta_learner", "rule": "rule", "task": "task", "model": "model", "gate": "gate",
         "meter": "meter"}  # fmt: skip
PACKAGE = "package"
TEMPLATES = "sandbox.starters"


@dataclass(frozen=True)
class Home:
    """Where a member is written: `code` beside its tests and configurations, and how its module is imported."""

    code: Path
    conf: Path
    tests: Path
    prefix: str


def begin(kind: str, name: str, into: Path) -> tuple[list[Path], str]:
    """Write what a member of a kind needs, into a package of one's own where `into` holds one, or else as files of a
    working folder; returns the files, and what to do next. Raises `ConfigError`, and then nothing is written."""
    kind = kind.replace("_", "-")
    if kind != PACKAGE and kind not in KINDS:
        raise ConfigError(explain(expected="something that can be begun", got=f"'{kind}'",
                                  do=did_you_mean(kind, (*KINDS, PACKAGE))))  # fmt: skip
    _sayable(name)
    return _package(name, into) if kind == PACKAGE else _member(kind, name, into)


def _member(kind: str, name: str, into: Path) -> tuple[list[Path], str]:
    group, home = KINDS[kind], _home(into)
    held = holders(group, places()).get(name)
    if held:
        raise ConfigError(explain(expected=f"a {kind} of a name that is free", got=f"'{name}' of {held[0].name}",
                                  do="Call it otherwise."))  # fmt: skip
    title = "".join(part.capitalize() for part in name.split("_"))
    said = {"name": name, "title": title, "module": f"{home.prefix}{name}", "group": group}
    texts = {home.code / f"{name}.py": _filled(f"{group}.py", said),
             home.conf / group / f"{name}.yaml": _filled(f"{group}.yaml", said),
             home.tests / f"test_{name}.py": _filled(f"test_{group}.py", said)}  # fmt: skip
    word = f"meter=[{name}]" if group == "meter" else f"{group}={name}"
    return _written(texts), f"sandbox check {group}={name}, then sandbox {word} (sandbox list {group} shows it)"


def _package(name: str, into: Path) -> tuple[list[Path], str]:
    root, said = into / name, {"name": name}
    texts = {root / "pyproject.toml": _filled("pyproject.toml", said),
             root / name / "__init__.py": '"""Members of our own for sandbox."""\n',
             root / "README.md": f"# {name}\n\nMembers of our own for sandbox.\n"}  # fmt: skip
    return _written(texts), f"sandbox new rule my_rule --into {root}, then pip install -e {root}"


def _home(into: Path) -> Home:
    """The package whose pyproject.toml stands in a folder, if it brings configurations; or else the folder itself."""
    project = into / "pyproject.toml"
    node = tomllib.loads(project.read_text()) if project.is_file() else {}
    named = node.get("project", {}).get("entry-points", {}).get(GROUP, {})
    if not named:
        return Home(into, into / FOLDER, into, "")
    package, *rest = next(iter(named.values())).split(".")
    root = next((folder / package for folder in (into, into / "src") if (folder / package).is_dir()), None)
    if root is None:
        raise ConfigError(explain(expected=f"a folder '{package}' beside {project}", got="none",
                                  do="Its entry point says that configurations are in there."))  # fmt: skip
    return Home(root, root.joinpath(*rest), into / "tests", f"{package}.")


def _sayable(name: str) -> None:
    usable = name.isidentifier() and name == name.lower() and not keyword.iskeyword(name)
    if not usable or name in {*sys.stdlib_module_names, "sandbox", "torch", "conf", "tests"}:
        raise ConfigError(explain(expected="a name in small letters, digits and underscores", got=f"'{name}'",
                                  do="It becomes a module of its own and a word of the command line."))  # fmt: skip


def _filled(template: str, said: dict[str, str]) -> str:
    return Template(files(TEMPLATES).joinpath(f"{template}.txt").read_text()).substitute(said)


def _written(texts: dict[Path, str]) -> list[Path]:
    there = [path for path in texts if path.exists()]
    if there:
        raise ConfigError(explain(expected="new files", got=f"{there[0]}, which is there", do="Call it otherwise."))
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(texts)
