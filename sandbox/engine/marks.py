"""What a network holds outside its weights and buffers, as fingerprints: whether a call has changed it."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from copy import copy
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._C._functorch import is_batchedtensor  # pyright: ignore[reportMissingImports]

KEPT = ("_parameters", "_buffers", "_modules", "training", "_flat_weights")  # told apart elsewhere, or from these
DEEP = 4  # levels of lists and dicts that are looked into


def marks(model: object) -> dict[str, str]:
    """{attribute: fingerprint} of every module within a model that wraps one, in the order of its modules."""
    template = getattr(model, "template", None)
    if not isinstance(template, nn.Module):
        return {}
    found: dict[str, str] = {}
    for place, part in template.named_modules():
        for name, value in vars(part).items():
            if name not in KEPT and not name.endswith("_hooks"):
                where = f"{place}.{name}".removeprefix("net.").lstrip(".")
                found[where] = _mark(value, DEEP)
    return found


def weights(model: object) -> list[str]:
    """The names of all parameters and buffers that a model which wraps a module has by now."""
    net = getattr(getattr(model, "template", None), "net", None)
    if not isinstance(net, nn.Module):
        return []
    return [*dict(net.named_parameters()), *dict(net.named_buffers())]


@contextmanager
def restored(model: object) -> Generator[None]:
    """What modules hold outside their weights and buffers is afterwards as it was."""
    template = getattr(model, "template", None)
    parts = list(template.modules()) if isinstance(template, nn.Module) else []
    kept = [{name: (value, copy(value)) for name, value in vars(part).items()
             if isinstance(value, list | dict | set)} for part in parts]  # fmt: skip
    own = [dict(vars(part)) for part in parts]
    try:
        yield
    finally:
        for part, values, containers in zip(parts, own, kept, strict=True):
            vars(part).clear()
            vars(part).update(values)
            for value, before in containers.values():  # the very ones: handles of hooks and other modules hold them
                value.clear()
                value.extend(before) if isinstance(value, list) else value.update(before)


def _mark(value: Any, deep: int) -> str:
    """A fingerprint of what a value says; of an object that can't be read, its class."""
    if isinstance(value, bool | int | float | complex | str | bytes | np.generic | None):
        return repr(value)
    if isinstance(value, Tensor):
        return _digest(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
                       if not is_batchedtensor(value) else b"")  # fmt: skip
    if isinstance(value, np.ndarray):
        return _digest(value.tobytes())
    if isinstance(value, torch.Generator):
        return _digest(value.get_state().numpy().tobytes())
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if deep and isinstance(value, Mapping):
        return repr([(repr(key), _mark(one, deep - 1)) for key, one in value.items()])
    if deep and isinstance(value, list | tuple | set | frozenset):
        return repr([_mark(one, deep - 1) for one in value])
    if isinstance(value, nn.Module):
        return _mark(value.state_dict(), 1)
    try:
        return _digest(pickle.dumps(value))
    except Exception:
        return type(value).__name__


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
