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
NO_MEMBERS = (
    "model/module.py",
    "model/kernels.py",
    "model/scripted.py",
    "task/digits.py",
    "task/environment.py",
    "task/episodes.py",
    "rule/acting.py",
    "task/examples.py",
    "task/label_noise.py",
    "task/loss.py",
    "task/source.py",
    "task/tokens.py",
    "engine/lane.py",
    "engine/batches.py",
    "engine/rehearse.py",
    "engine/relive.py",
    "engine/marks.py",
    "engine/network.py",
    "engine/plan.py",
    "engine/rows.py",
    "engine/slope.py",
    "engine/sound.py",
    "meter/reflection.py",
    "meter/behaviours.py",
)  # what members share
SHARED = [ROOT / "sandbox" / path for path in NO_MEMBERS]
MEMBERS = [path for path in CODE if path.parent.name in WINGS and path.stem != "__init__" and path not in SHARED]
CONFIGS = [path for path in YAML if path.parent.name in WINGS and path.parents[1] == ROOT / "conf"]
SERVED = {"inputs", "outputs", "dtype"}  # told to a network by its task, so no configuration names them


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(config: Path) -> Path:
    """The file in the house that bears the name of a configuration."""
    return ROOT / "sandbox" / config.parent.name / f"{config.stem}.py"


def read(config: Path) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(config)))


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
        rest = [line for line in rest if not isinstance(line, ast.ImportFrom | ast.Assign)]  # exports, __all__
    assert not rest


def test_every_package_is_shipped() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGES if path.parent != ROOT / "conf"]
    assert sorted(listed) == sorted([*found, "sandbox.conf"])


@pytest.mark.parametrize("path", YAML, ids=name)
def test_a_configuration_says_first_what_it_is(path: Path) -> None:
    first = next(line for line in path.read_text().splitlines() if not line.startswith("# @package"))
    assert first.startswith("# ")


@pytest.mark.parametrize("path", MEMBERS, ids=name)
def test_a_member_has_a_configuration_of_its_name(path: Path) -> None:
    assert path in map(code, CONFIGS)


@pytest.mark.parametrize("path", [path for path in CONFIGS if read(path)["_target_"] != "???"], ids=name)
def test_a_configuration_is_named_after_its_member(path: Path) -> None:
    module = target(path).__module__
    assert module.rpartition(".")[0] == f"sandbox.{path.parent.name}"
    assert path.stem.startswith(module.rpartition(".")[2]) or path.stem == read(path).get("name")


@pytest.mark.parametrize("path", [path for path in CONFIGS if code(path) in MEMBERS], ids=name)
def test_a_configuration_spells_out_the_defaults_of_the_code(path: Path) -> None:
    cls = target(path)
    written = read(path)
    expected = {key: plain(value) for key, value in defaults(cls).items()}
    assert {key: written.get(key, "left out") for key in expected} == expected
    assert set(written) - {"_target_", "defaults"} <= set(inspect.signature(cls).parameters)
