"""The house rules that a file listing can check: sizes, names, packaging, and that conf/ mirrors the code."""

from __future__ import annotations

import ast
import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / "sandbox").rglob("*.py"))
PACKAGES = [*(path for path in CODE if path.name == "__init__.py"), ROOT / "conf" / "__init__.py"]
YAML = sorted((ROOT / "conf").rglob("*.yaml"))

WINGS = ("task", "model", "rule", "meta_learner", "gate", "meter", "tracker", "engine")
CONFIGS = [path for path in YAML if path.parent.name in WINGS and path.parents[1] == ROOT / "conf"]
ROOMS = [path for path in CODE if path.parent.name in WINGS and path.stem != "__init__"]
SERVED = {"inputs", "outputs", "dtype"}  # told to a network by its task, so no configuration names them


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(config: Path) -> Path:
    """The file in the house that bears the name of a configuration."""
    return ROOT / "sandbox" / config.parent.name / f"{config.stem}.py"


def is_named(config: Path) -> bool:
    """Whether a file of code bears the name of this configuration."""
    return code(config) in ROOMS


def read(config: Path) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(config)))


SPELT = [path for path in CONFIGS if read(path)["_target_"] != "???"]  # the others leave their class to be named


def target(config: Path) -> type:
    module, _, cls = read(config)["_target_"].rpartition(".")
    return getattr(import_module(module), cls)


def defaults(cls: type) -> dict[str, Any]:
    """What each argument of the constructor is where it isn't given, without those that must be."""
    if is_dataclass(cls):
        found = {field.name: field.default for field in fields(cls) if field.init and field.default is not MISSING}
        made = {field.name: field.default_factory() for field in fields(cls) if field.default_factory is not MISSING}
        return found | made
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in SERVED}


def plain(value: Any) -> Any:
    """A default in the words of a yaml."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        inner = {field.name: plain(getattr(value, field.name)) for field in fields(kind) if field.init}
        if kind.__module__.startswith("sandbox.core."):  # a value, such as a score, and no component
            return inner
        return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **inner}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_file_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_file_says_in_its_first_line_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith('"""')


def test_the_readme_has_at_most_150_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_no_file_is_a_drawer() -> None:
    drawers = {"util", "utils", "common", "base", "helper", "helpers", "misc"}
    assert not [name(path) for path in (*CODE, *(ROOT / "tests").rglob("*.py")) if path.stem in drawers]


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_a_package_is_its_docstring(path: Path) -> None:
    docstring, *rest = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    if path == ROOT / "sandbox" / "__init__.py":
        rest = [line for line in rest if not isinstance(line, ast.ImportFrom | ast.Assign | ast.If | ast.FunctionDef)]
    assert not rest


def test_every_package_is_shipped() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGES if path.parent != ROOT / "conf"]
    assert sorted(listed) == sorted([*found, "sandbox.conf"])


@pytest.mark.parametrize("path", YAML, ids=name)
def test_a_configuration_says_first_what_it_is(path: Path) -> None:
    first = next(line for line in path.read_text().splitlines() if not line.startswith("# @package"))
    assert first.startswith("# ")


def is_shared(path: Path) -> bool:
    """Whether another file of its wing imports it: then it is what members share, and no member."""
    module = f"sandbox.{path.parent.name}.{path.stem}"
    beside = [other for other in path.parent.glob("*.py") if other != path]
    said = (f"from {module} import", f"from sandbox.{path.parent.name} import {path.stem}\n")
    return any(one in other.read_text() for other in beside for one in said)


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_a_member_has_a_configuration_of_its_name(path: Path) -> None:
    assert path in map(code, CONFIGS) or is_shared(path)


@pytest.mark.parametrize("path", SPELT, ids=name)
def test_a_configuration_is_named_after_its_member(path: Path) -> None:
    module = target(path).__module__
    assert module.rpartition(".")[0] == f"sandbox.{path.parent.name}"
    assert path.stem.startswith(module.rpartition(".")[2]) or path.stem == read(path).get("name")


@pytest.mark.parametrize(
    "path", [path for path in CONFIGS if code(path) in ROOMS and read(path)["_target_"] != "???"], ids=name
)
def test_a_configuration_spells_out_the_defaults_of_the_code(path: Path) -> None:
    cls = target(path)
    written = read(path)
    expected = {key: plain(value) for key, value in defaults(cls).items()}
    assert {key: written.get(key, "left out") for key in expected} == expected
    assert set(written) - {"_target_", "defaults"} <= set(inspect.signature(cls).parameters)
