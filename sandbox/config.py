"""From a composed configuration node to an object: the class named by `_target_` is its own schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from sandbox.core.contract import told
from sandbox.core.error import ConfigError, SandboxError, did_you_mean, explain
from sandbox.trust import lacking, seam_at, seam_of, takes_function, target

ANY = ConfigDict(arbitrary_types_allowed=True)


@dataclass(frozen=True)
class Typed:
    """A node with its class found and its values as the class's own annotations have them; nodes within likewise. In
    place of the class stands a function where a callable is what belongs there."""

    cls: type
    values: Mapping[str, Any]
    where: str
    seam: type

    def plain(self) -> dict[str, Any]:
        """In the words of a configuration, with the defaults that it leaves out."""
        given = {key: _plain(value) for key, value in self.values.items()}
        return {"_target_": f"{self.cls.__module__}.{self.cls.__qualname__}", **_defaults(self.cls), **given}

    def build(self) -> Any:
        """The object; nodes within are built first."""
        parts = {key: _built(value) for key, value in self.values.items()}
        if _is_function(self.cls):
            return partial(self.cls, **parts)
        try:
            built = self.cls(**parts)
        except SandboxError:
            raise
        except Exception as error:
            raise ConfigError(explain(expected=f"{self.cls.__name__} at {self.where} to be built", got=told(error),
                                      do="Other values, or mend its constructor."))  from error  # fmt: skip
        missing = [] if _is_network(built) else lacking(built, self.seam)
        if missing:
            raise ConfigError(explain(expected=f"{', '.join(missing)} of {self.cls.__name__} at {self.where}",
                                      got="nothing", do="See sandbox/core/protocols.py."))  # fmt: skip
        return built

    def classes(self) -> Iterator[type]:
        """Every class of it."""
        yield self.cls
        for value in self.values.values():
            yield from _classes(value)


def read(node: Mapping[str, Any], where: str, *, trust: Sequence[str] = (), seam: type | None = None,
         given: Mapping[str, Any] | None = None, function: bool = False) -> Typed:  # fmt: skip
    """What `node` describes, checked and not yet built; see `build`. `where` is its place, which says its group too,
    unless `seam` says what it must fit; a `function` will do where a callable belongs."""
    if "_target_" not in node:
        raise ConfigError(explain(expected=f"{where}._target_", got=f"only {sorted(node)}",
                                  do="Choose a member of the group, or name the class."))  # fmt: skip
    seam = seam_at(where) if seam is None else seam
    cls: Any = target(node["_target_"], where, trust=trust, seam=seam, function=function)
    parameters = inspect.signature(cls).parameters
    hints = get_type_hints(cls) if _is_function(cls) else _hints(cls)
    values = {key: value for key, value in (given or {}).items() if key in parameters}
    for key, value in node.items():
        if key == "_target_":
            continue
        if key not in parameters:
            raise ConfigError(explain(expected=f"a field of {cls.__name__} at {where}", got=f"'{key}'",
                                      do=_fields(key, parameters)))  # fmt: skip
        values[key] = _read(value, hints.get(key, Any), f"{where}.{key}", trust)
    missing = [name for name, parameter in parameters.items() if name not in values
               and parameter.default is parameter.empty
               and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)]  # fmt: skip
    if missing:
        raise ConfigError(explain(expected=f"values for {missing} of {cls.__name__}", got="nothing",
                                  do=f"Set {where}.{missing[0]}=…"))  # fmt: skip
    return Typed(cls, values, where, seam)


def build(node: Mapping[str, Any], where: str, *, trust: Sequence[str] = (), **given: Any) -> Any:
    """The object that `node` describes, its fields checked against the class's own annotations.

    `trust` names packages that may be built from besides the house and its plug-ins. `given` fills constructor
    parameters that the node leaves out, where the class has them. Nodes within (with a `_target_` of their own) are
    built first. Raises `ConfigError` for a class that may not be built or doesn't fit its place, an unknown key, a
    missing or an ill-typed value.
    """
    return read(node, where, trust=trust, given=given).build()


def typed(config: Any, where: str = "", *, trust: Sequence[str] = ()) -> Any:
    """The same configuration with every node in it as its class has it: defaults filled in, an int where a float
    belongs a float."""
    if _is_node(config):
        return _with(config, where, trust).plain()
    if isinstance(config, Mapping):
        return {key: typed(value, _at(where, key), trust=trust) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [typed(value, f"{where}[{n}]", trust=trust) for n, value in enumerate(config)]
    return config


def classes(config: Any, where: str = "", *, trust: Sequence[str] = ()) -> Iterator[type]:
    """Every class that is built of a configuration, nodes within nodes included."""
    if _is_node(config):
        yield from _with(config, where, trust).classes()
    elif isinstance(config, Mapping):
        for key, value in config.items():
            yield from classes(value, _at(where, key), trust=trust)
    elif isinstance(config, list | tuple):
        for n, value in enumerate(config):
            yield from classes(value, f"{where}[{n}]", trust=trust)


# ---- nodes ----------------------------------------------------------------------------------------------------------


def _hints(cls: type) -> dict[str, Any]:
    """The annotations of fields and of a constructor written by hand, each resolved where it stands: a base's in the
    base's module. Raises `ConfigError` for a name that isn't there when the program runs."""
    owner = next(kind for kind in cls.__mro__ if "__init__" in vars(kind))
    made = getattr(vars(owner).get("__dataclass_params__"), "init", False)  # of the fields, whoever's they are
    try:
        return get_type_hints(cls) | ({} if made else get_type_hints(cls.__init__))
    except NameError as error:
        raise ConfigError(explain(expected=f"annotations of {cls.__name__} that can be read", got=str(error),
                                  do="Import that name at the head of its module."))  from error  # fmt: skip


def _with(node: Mapping[str, Any], where: str, trust: Sequence[str]) -> Typed:
    """A node read where what its task gives it isn't known."""
    found = read(node, where, trust=trust, given={"inputs": None, "outputs": None})
    return replace(found, values={key: value for key, value in found.values.items() if key in node})


def _at(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _is_node(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _holds_nodes(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_holds_nodes, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_nodes, value))


def _read(value: Any, hint: Any, here: str, trust: Sequence[str]) -> Any:
    if _is_node(value):
        return read(value, here, trust=trust, seam=seam_of(hint), function=takes_function(hint))
    if not _holds_nodes(value):
        return _checked(value, hint, here)
    if isinstance(value, Mapping):
        return {key: _read(inner, hint, f"{here}.{key}", trust) for key, inner in value.items()}
    return tuple(_read(inner, Any, f"{here}[{n}]", trust) for n, inner in enumerate(value))


def _built(value: Any) -> Any:
    if isinstance(value, Typed):
        return value.build()
    if isinstance(value, dict):
        return {key: _built(inner) for key, inner in value.items()}
    if isinstance(value, tuple) and any(isinstance(inner, Typed | dict | tuple) for inner in value):
        return tuple(map(_built, value))
    return value


def _classes(value: Any) -> Iterator[type]:
    if isinstance(value, Typed):
        yield from value.classes()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _classes(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _classes(inner)


# ---- values ---------------------------------------------------------------------------------------------------------


def _checked(value: Any, hint: Any, here: str) -> Any:
    if isinstance(value, bool) and hint in (int, float):
        raise ConfigError(explain(expected=f"{hint.__name__} at {here}", got=f"{value}", do="Give a number."))
    try:
        return TypeAdapter(hint, config=None if is_dataclass(hint) else ANY).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(explain(expected=f"{_name(hint)} at {here}", got=f"{value!r}",
                                  do=f"{problem['msg']}."))  from error  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, Typed):
        return value.plain()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(inner) for inner in value), key=repr)
    if is_dataclass(value) and not isinstance(value, type):
        return {"_target_": _path(type(value))} | {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return value if isinstance(value, str | int | float | bool | None) else _path(type(value))


def _defaults(cls: type) -> dict[str, Any]:
    return {name: _plain(_default(cls, name, parameter.default))
            for name, parameter in inspect.signature(cls).parameters.items()
            if parameter.default is not parameter.empty}  # fmt: skip


def _default(cls: type, name: str, written: Any) -> Any:
    """A dataclass shows a marker in place of a default that is made anew each time."""
    made = getattr(cls, "__dataclass_fields__", {}).get(name)
    return made.default_factory() if made is not None and callable(made.default_factory) else written


def _fields(key: str, parameters: Mapping[str, Any]) -> str:
    known = did_you_mean(key, parameters)
    return known if known.startswith("Known") else f"{known} Its fields: {', '.join(sorted(parameters)) or 'none'}."


def _is_function(cls: Any) -> bool:
    return inspect.isfunction(cls)


def _is_network(built: Any) -> bool:
    return hasattr(built, "named_parameters")


def _name(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
