"""Which classes may be built: those of the house, of installed plug-ins and of packages that the user names; and only
if they fit the seam they are named at. Nothing is imported before it is allowed."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_origin

from torch import nn

from sandbox.core import protocols, watch
from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Engine, Gate, MetaLearner, Model, Rule, Task
from sandbox.core.watch import Meter, Starts
from sandbox.places import plugins

MAIN = "__main__"
SEAMS: dict[str, type] = {"task": Task, "model": Model, "rule": Rule, "meta_learner": MetaLearner, "gate": Gate,
                          "anchor": Gate, "engine": Engine, "meter": Meter, "tracker": Starts}  # fmt: skip
PROTOCOLS = [found for page in (protocols, watch) for found in vars(page).values()
             if getattr(found, "_is_protocol", False)]  # fmt: skip


def target(path: str, where: str, *, trust: Sequence[str] = (), seam: type | None = None,
           function: bool = False) -> Any:  # fmt: skip
    """The class at a dotted path, from a package that may be built from, with the methods of `seam`; or, where a
    `function` will do as well, that.

    `where` is its place in the configuration, which says its seam where none is given. Raises `ConfigError`.
    """
    if not isinstance(path, str):
        raise ConfigError(explain(expected=f"a dotted path at {where}._target_", got=repr(path),
                                  do="Spell out package.module.Class."))  # fmt: skip
    module, _, name = path.rpartition(".")
    if module == MAIN and not hasattr(sys.modules[MAIN], name):
        raise ConfigError(explain(expected=f"an importable class at {where}._target_", got=f"'{path}'",
                                  do="It was a script's or a notebook's own: put it into a module."))  # fmt: skip
    _allow(module, path, where, trust)
    try:
        found = getattr(_imported(module, trust), name)
    except Exception as error:  # whatever a module of somebody's raises as it is run
        what = f"{type(error).__name__}: {error}" if not isinstance(error, ImportError | AttributeError) else error
        raise ConfigError(explain(expected=f"an importable class at {where}._target_", got=f"'{path}' ({what})",
                                  do="Spell out package.module.Class; install its package."))  from error  # fmt: skip
    if not inspect.isclass(found) and not (function and inspect.isfunction(found)):
        raise ConfigError(explain(expected=f"a class at {where}._target_", got=f"'{path}', a {type(found).__name__}",
                                  do="Name a class: what is built here is only ever a component."))  # fmt: skip
    _allow(found.__module__, path, where, trust)  # a module that may be built from can hold another's class
    if inspect.isclass(found):
        _fit(found, path, where, seam_at(where) if seam is None else seam)
    return found


def seam_at(where: str) -> type:
    """The protocol of what stands at a place in the configuration; `object` where there is none."""
    return SEAMS.get(_group(where), object)


def seam_of(hint: Any) -> type:
    """The protocol that an annotation names, alone or among others; `object` where it names none."""
    return next((found for found in (hint, *get_args(hint)) if found in PROTOCOLS), object)


def takes_function(hint: Any) -> bool:
    """Whether an annotation names a callable, alone or among others."""
    return any(get_origin(found) is Callable for found in (hint, *get_args(hint)))


def lacking(built: Any, seam: type) -> list[str]:
    """What `seam` has besides methods and the object hasn't; looked up on its class, so that nothing runs."""
    return [
        name for name in members(seam) if not _has(type(built), name) and name not in getattr(built, "__dict__", ())
    ]


def members(seam: type) -> list[str]:
    """The names that a protocol asks for."""
    asked = {name: value for kind in seam.__mro__ if kind in PROTOCOLS for name, value in vars(kind).items()}
    return sorted(name for name in asked if not name.startswith("_"))


def _allow(module: str, path: str, where: str, trust: Sequence[str]) -> None:
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(explain(expected=f"a component at {where}._target_", got=f"'{path}', which is Python's own",
                                  do="No module of Python's own holds one, whatever is trusted."))  # fmt: skip
    known = ["sandbox", *plugins(), *trust, *(["torch.nn"] if _group(where) == "model" else [])]
    root = module.partition(".")[0]
    if root and root not in sys.modules and find_spec(root) is None and not list(Path.cwd().glob(f"{root}*")):
        raise ConfigError(explain(expected=f"an importable class at {where}._target_", got=f"'{path}'",
                                  do=f"No package '{root}' is installed or lies here."))  # fmt: skip
    if module and not _within(module, known):
        raise ConfigError(explain(
            expected=f"a class of {', '.join(known)} at {where}._target_", got=f"'{path}'",
            do=f"To import a package runs it. If '{root}' is yours, or you know it, say so: 'trust=[{root}]' "
               f"(sandbox replay RUN --trust {root})."))  # fmt: skip


def _within(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _imported(module: str, trust: Sequence[str]) -> Any:
    """The module; one that the user trusts may also lie in the working folder, which comes last on the path."""
    if _within(module, trust) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return import_module(module)


def _fit(found: type, path: str, where: str, seam: type) -> None:
    if seam is object or (seam is Model and issubclass(found, nn.Module)):
        return
    missing = [name for name in members(seam) if callable(getattr(seam, name)) and not _has(found, name)]
    if missing or found in PROTOCOLS:
        raise ConfigError(explain(
            expected=f"a {seam.__name__} at {where}._target_, with {', '.join(members(seam))}",
            got=f"'{path}', which has no {', '.join(missing) or 'code of its own'}",
            do="See sandbox/core/protocols.py for what each is given and gives."))  # fmt: skip


def _has(found: type, name: str) -> bool:
    return hasattr(found, name) or any(name in inspect.get_annotations(kind) for kind in found.__mro__)


def _group(where: str) -> str:
    """`meter.drift` is a meter, `level 1.gate` and `above[0].gate` are gates; what lies deeper goes by its hint."""
    first, _, rest = where.partition(".")
    return rest if first.startswith(("level ", "above[")) else first
