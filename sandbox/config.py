"""From a composed configuration node to an object: the class named by `_target_` is its own schema."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from sandbox.core.error import ConfigError, did_you_mean, explain

ANY = ConfigDict(arbitrary_types_allowed=True)


def target(path: str, where: str) -> type:
    """The class at a dotted path; raises `ConfigError` saying which part is missing."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(explain(expected=f"an importable class at {where}._target_", got=f"'{path}' ({error})",
                                  do="Spell out package.module.Class; install its package."))  from error  # fmt: skip
    if not inspect.isclass(found):
        raise ConfigError(explain(expected=f"a class at {where}._target_", got=f"'{path}', a {type(found).__name__}",
                                  do="Name a class: what is built here is only ever a component."))  # fmt: skip
    return found


def build(node: Mapping[str, Any], where: str, **given: Any) -> Any:
    """The object that `node` describes, its fields checked against the class's own annotations.

    `given` fills constructor parameters that the node leaves out, where the class has them. Nodes within (with a
    `_target_` of their own) are built first. Raises `ConfigError` for an unknown key, a missing or an ill-typed value.
    """
    if "_target_" not in node:
        raise ConfigError(explain(expected=f"{where}._target_", got=f"only {sorted(node)}",
                                  do="Choose a member of the group, or name the class."))  # fmt: skip
    cls = target(node["_target_"], where)
    parameters = inspect.signature(cls).parameters
    hints = get_type_hints(cls) | get_type_hints(cls.__init__)
    values = {key: value for key, value in given.items() if key in parameters}
    for key, value in node.items():
        if key == "_target_":
            continue
        if key not in parameters:
            raise ConfigError(explain(expected=f"a field of {cls.__name__} at {where}", got=f"'{key}'",
                                      do=did_you_mean(key, parameters)))  # fmt: skip
        here = f"{where}.{key}"
        values[key] = build(value, here) if _is_node(value) else _checked(value, hints.get(key, Any), here)
    missing = [name for name, parameter in parameters.items() if name not in values
               and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD]  # fmt: skip
    if missing:
        raise ConfigError(explain(expected=f"values for {missing} of {cls.__name__}", got="nothing",
                                  do=f"Set {where}.{missing[0]}=… (+{where}.{missing[0]}=… if new)."))  # fmt: skip
    return cls(**values)


def _is_node(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _checked(value: Any, hint: Any, here: str) -> Any:
    if isinstance(value, bool) and hint in (int, float):
        raise ConfigError(explain(expected=f"{hint.__name__} at {here}", got=f"{value}", do="Give a number."))
    try:
        return TypeAdapter(hint, config=None if is_dataclass(hint) else ANY).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(explain(expected=f"{_name(hint)} at {here}", got=f"{value!r}",
                                  do=f"{problem['msg']}."))  from error  # fmt: skip


def _name(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")
