"""Examples and targets as tensors, and what the targets say of the task: classes or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.task.source import Rows, array, of_dataset, pair

Kind = Literal["classification", "regression"]
MOST_CLASSES = 100  # whole numbers of which there are more may as well be amounts


@dataclass(frozen=True)
class Examples:
    """`x` [n, …]; `y` [n, …]: classes 0 … C - 1 (int64) with their `names`, or numbers [n, …, outputs] and no names."""

    x: Tensor | Rows
    y: Tensor
    names: tuple[str, ...]

    @property
    def outputs(self) -> int:
        return len(self.names) or self.y.shape[-1]


def examples(source: Any, target: str | None, kind: Kind | None, tokens: bool, memory: int, dtype: str) -> Examples:
    """The examples of a source. `kind` None: the targets decide. `tokens`: x are ids and stay whole numbers. Raises
    `ConfigError` for whatever can't be learned from as it is."""
    x, y = pair(source, target)
    to = torch.int64 if tokens else getattr(torch, dtype)
    found, told = of_dataset(x, memory, to) if y is None else (array(x, "x"), array(y, "y"))
    if found.shape[0] != len(told) or not len(told):
        raise ConfigError(explain(expected="as many targets as examples", got=f"{found.shape[0]} and {len(told)}",
                                  do="Give each example its target."))  # fmt: skip
    held = found if isinstance(found, Rows) else _numbers(found, tokens, to)
    kind = kind or _kind(told)
    if kind == "regression":
        return Examples(held, _amounts(told).to(getattr(torch, dtype)), ())
    least = int(held.max()) + 1 if tokens and isinstance(held, Tensor) and told.ndim > 1 else 0
    return Examples(held, *_classes(told, least))


def _numbers(x: np.ndarray, tokens: bool, dtype: torch.dtype) -> Tensor:
    if x.dtype.kind in "US":
        raise ConfigError(explain(expected="numbers as x", got="names", do="Turn names into numbers first."))
    if tokens and (x.dtype.kind not in "iu" or x.min() < 0):
        raise ConfigError(explain(expected="token ids of 0 or more as x, whole numbers", got=f"{x.dtype}",
                                  do="Set task.tokens=false, or number the tokens."))  # fmt: skip
    return torch.from_numpy(np.ascontiguousarray(x)).to(dtype).reshape(len(x), *(x.shape[1:] or (1,)))


def _kind(y: np.ndarray) -> Kind:
    """Names, truth values and few whole numbers are classes; other numbers are amounts."""
    if y.dtype.kind == "f":
        return "regression"
    if y.dtype.kind in "iu" and y.ndim == 1 and len(np.unique(y)) > min(MOST_CLASSES, max(2, len(y) // 2)):
        raise ConfigError(explain(
            expected="targets that are classes or amounts",
            got=f"{len(np.unique(y))} different whole numbers in {len(y)} rows, which may be either",
            do="Say which: task.kind=classification or task.kind=regression."))  # fmt: skip
    return "classification"


def _amounts(y: np.ndarray) -> Tensor:
    if y.dtype.kind in "US":
        raise ConfigError(explain(expected="numbers as targets of a regression", got=f"names such as '{y.flat[0]}'",
                                  do="Set task.kind=classification, or name another target."))  # fmt: skip
    return torch.from_numpy(y.astype(np.float64)).reshape(len(y), *(y.shape[1:] or (1,)))


def _classes(y: np.ndarray, least: int) -> tuple[Tensor, tuple[str, ...]]:
    """One target an example: whatever occurs, in sorted order. A target a place: ids as they are, `least` or more. A
    column [n, 1] is one target an example."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        raise ConfigError(explain(expected="classes as targets", got="numbers with fractions",
                                  do="Set task.kind=regression."))  # fmt: skip
    if y.ndim == 1:
        known, ids = np.unique(y.astype(np.int64) if y.dtype.kind == "f" else y, return_inverse=True)
        names = tuple(str(name) for name in known)
    elif y.dtype.kind in "iu" and y.min() >= 0:
        ids, names = y, tuple(map(str, range(max(least, int(y.max()) + 1))))
    else:
        raise ConfigError(explain(expected="whole numbers of 0 or more where an example has several targets",
                                  got=f"an array of {y.dtype} {list(y.shape)}", do="Number the classes."))  # fmt: skip
    if len(names) < 2:
        raise ConfigError(explain(expected="two classes or more", got=f"only {' '.join(names)}",
                                  do="Look at the targets."))  # fmt: skip
    return torch.from_numpy(ids.astype(np.int64)).reshape(y.shape), names
