"""Objects as configuration: what stands for a member in Python, told as the node that builds it again."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sandbox.compose import SEVERAL, SINGLE, composed, quoted
from sandbox.config import build
from sandbox.core.error import ConfigError, explain
from sandbox.identity import Config

MAIN = "__main__"
PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Made:
    """A configuration, the words that say it, and what is to be told of it."""

    config: Config
    words: tuple[str, ...]
    told: tuple[str, ...]


def configured(words: Sequence[str], settings: Mapping[str, Any]) -> Made:
    """The configuration of words and keywords; raises `ConfigError` for an object that can't be told as one."""
    said, nodes, folder = list(words), dict[str, Any](), _runs(words, settings) / "data"
    for key, value in settings.items():
        if key in SEVERAL:
            said.append(f"{key}=[{','.join(_names(key, value))}]")
            nodes.update(
                {f"{key}.{_called(one)}": node_of(one, f"{key}.{_called(one)}") for one in _objects(key, value)}
            )
        elif key in SINGLE and not isinstance(value, str):
            value = with_files(value, folder)
            nodes[key] = node_of(value, key)
            said.append(f"{key}._target_={nodes[key]['_target_']}")
        else:
            said.append(f"{key}={literal(value, key)}")
    config = composed(said)
    for where, node in nodes.items():
        group, _, name = where.partition(".")
        config[group] = {**(config.get(group) or {}), name: node} if name else node
    roots = {node["_target_"].partition(".")[0] for node in nodes.values()} - {"sandbox", "torch"}
    config["trust"] = sorted({*config["trust"], *roots})
    for where, node in nodes.items():
        _again(where, node, settings, config["trust"], folder)
    spelt = [word for word in said if word.partition("._target_=")[0] not in nodes]
    return Made(config, (*spelt, *(f"{where}={_shown(node)}" for where, node in nodes.items())), tuple(_told(nodes)))


def node_of(value: Any, where: str) -> dict[str, Any]:
    """The node of an object, a class or a partial of one; raises `ConfigError` for what none can stand for."""
    if isinstance(value, Mapping) and "_target_" in value:
        return dict(value)
    if inspect.isclass(value):
        return {"_target_": _path(value, where)}
    if isinstance(value, partial) and inspect.isclass(value.func):
        if value.args:
            raise _untold(
                where, f"{value.func.__name__} with unnamed arguments", "Name them: partial(MyNet, width=32)."
            )
        given = {key: plain(item, f"{where}.{key}") for key, item in value.keywords.items()}
        return {"_target_": _path(value.func, where), **given}
    if is_dataclass(value):
        given = {one.name: plain(getattr(value, one.name), f"{where}.{one.name}") for one in fields(value) if one.init}
        return {"_target_": _path(type(value), where), **given}
    if hasattr(value, "named_parameters"):
        raise _untold(where, f"a {type(value).__name__} that is built already", "Hand over its class, or "
                      "functools.partial of it with its arguments: each seed builds its own.")  # fmt: skip
    if not inspect.isfunction(value) and not inspect.signature(type(value)).parameters:
        return {"_target_": _path(type(value), where)}
    raise _untold(where, _kind(value), "Make its class a frozen dataclass: its fields are its configuration.")


def plain(value: Any, where: str) -> Any:
    """A field's value in the words of a configuration; raises `ConfigError` for what has none."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = value if isinstance(value, list | tuple) else sorted(value, key=repr)
        return [plain(item, f"{where}[{n}]") for n, item in enumerate(items)]
    if is_dataclass(value) and not isinstance(value, type):
        return node_of(value, where)
    raise _untold(where, _kind(value), "A run is what its folder says of it: save data to a file, or make them in a "
                  "module, and let a field name the file or the function.")  # fmt: skip


def literal(value: Any, where: str) -> str:
    """A value as the command line's grammar takes it; a string stays a word of the command line."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_item(item, f'{where}.{key}')}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_item(item, f"{where}[{n}]") for n, item in enumerate(value)) + "]"
    raise _untold(where, _kind(value), f"Only {', '.join((*SINGLE, *SEVERAL))} take objects.")


def _item(value: Any, where: str) -> str:
    return quoted(value) if isinstance(value, str) else literal(value, where)


# ---- data that stand in memory --------------------------------------------------------------------------------------


def with_files(value: Any, folder: Path) -> Any:
    """An object with a file named in place of each of its fields that is a pair of arrays (x, y), or a data frame. The
    file lies in `folder` under the digest of what is in it."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    held = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
    files = {name: str(path) for name, found in held.items() if (path := _filed(found, folder))}
    return replace(value, **files) if files else value


def _filed(value: Any, folder: Path) -> Path | None:
    """Where the data are kept; None for what are no data in memory."""
    if hasattr(value, "to_csv") and hasattr(value, "columns"):
        return _kept(value.to_csv(index=False).encode(), ".csv", folder)
    if isinstance(value, tuple | list) and len(value) == 2 and all(hasattr(one, "__array__") for one in value):
        held = BytesIO()
        np.savez(held, x=np.asarray(value[0]), y=np.asarray(value[1]))
        return _kept(held.getvalue(), ".npz", folder)
    return None


def _kept(data: bytes, suffix: str, folder: Path) -> Path:
    path = folder / f"{sha256(data).hexdigest()[:16]}{suffix}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path


def _runs(words: Sequence[str], settings: Mapping[str, Any]) -> Path:
    said = [word.partition("=")[2] for word in words if word.startswith("runs=")]
    return Path(settings.get("runs", said[-1] if said else "runs"))


# ---- several of a group ---------------------------------------------------------------------------------------------


def _several(key: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        return [name.strip() for name in value.strip("[]").split(",") if name.strip()]
    return list(value) if isinstance(value, Sequence) else [value]


def _names(key: str, value: Any) -> list[str]:
    return [one for one in _several(key, value) if isinstance(one, str)]


def _objects(key: str, value: Any) -> list[Any]:
    return [one for one in _several(key, value) if not isinstance(one, str)]


def _called(value: Any) -> str:
    """What an object among several is called: its own name, or else its class's."""
    named = getattr(value, "name", None)
    return named if isinstance(named, str) else type(value).__name__.lower()


# ---- whether it can be told -----------------------------------------------------------------------------------------


def _path(cls: type, where: str) -> str:
    """Where a class can be found again."""
    module, name = cls.__module__, cls.__qualname__
    held: ModuleType | None = sys.modules.get(module)
    if "<locals>" in name or getattr(held, name, None) is not cls:
        raise _untold(where, f"{cls.__name__}, which no module has under that name",
                      "Define the class at the head of a module or script.")  # fmt: skip
    return f"{module}.{name}"


def _again(where: str, node: Mapping[str, Any], settings: Mapping[str, Any], trust: Sequence[str],
           folder: Path) -> None:  # fmt: skip
    """Raises `ConfigError` where the node of an object builds another one."""
    group = where.partition(".")[0]
    given = with_files(settings.get(group), folder)
    if group == "model" or not is_dataclass(given) or isinstance(given, type):
        return
    built = build(node, where, trust=trust)
    alike = built == given if type(given).__eq__ is not object.__eq__ else node_of(built, where) == node
    if not alike:
        raise _untold(where, f"a {type(given).__name__} that its fields don't say all of",
                      "Let two objects of the same fields be equal.")  # fmt: skip


def _told(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    names = sorted({node["_target_"].rpartition(".")[2] for node in nodes.values() if _of_main(node)})
    said = ("{}: of a script or a notebook, which no other process can import. The run can be read from its folder, "
            "and not be replayed from there: put the class into a module for that.")  # fmt: skip
    return [said.format(", ".join(names))] if names else []


def _of_main(node: Mapping[str, Any]) -> bool:
    return str(node["_target_"]).startswith(f"{MAIN}.")


def _shown(node: Mapping[str, Any]) -> str:
    rest = ",".join(f"{key}={value}" for key, value in node.items() if key != "_target_")
    return f"{node['_target_']}({rest})"


def _kind(value: Any) -> str:
    if inspect.isfunction(value):
        return "a lambda" if value.__name__ == "<lambda>" else f"the function {value.__name__}"
    return f"something of {type(value).__module__.partition('.')[0]}: {type(value).__name__}"


def _untold(where: str, got: str, do: str) -> ConfigError:
    return ConfigError(explain(expected=f"something that a configuration can say at {where}", got=got, do=do))
