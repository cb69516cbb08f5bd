"""Scripted modules under weights that are not their own: torch.func does not reach into them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def within_scripts(module: nn.Module, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the dotted names of weights and buffers that are held by a scripted module."""
    return tuple(name for name in names if isinstance(_owner(module, name)[0], torch.jit.ScriptModule))


@contextmanager
def held_by_scripts(module: nn.Module, values: Mapping[str, Tensor]) -> Generator[None]:
    """`module` with these tensors where its scripted parts hold their own, for a while."""
    places = {name: _owner(module, name) for name in values}
    own = {name: part._c.getattr(leaf) for name, (part, leaf) in places.items()}
    try:
        for name, (part, leaf) in places.items():
            part._c.setattr(leaf, values[name])
        yield
    finally:
        for name, (part, leaf) in places.items():
            part._c.setattr(leaf, own[name])


def _owner(module: nn.Module, name: str) -> tuple[Any, str]:
    """The module that holds a tensor, and the tensor's own name in it."""
    part: Any = module
    *path, leaf = name.split(".")
    for step in path:
        part = getattr(part, step)
    return part, leaf
