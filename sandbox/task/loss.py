"""Losses by the name that they have in `torch.nn.functional`, one number an example, and no shape stretched to fit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sandbox.core.error import ConfigError, did_you_mean, explain

INDEXED = ("cross_entropy", "nll_loss", "multi_margin_loss")  # their targets are classes; those of all others, numbers
FEW = 32  # classes below which torch's softmax over the last dimension is the slow one


def cross_entropy(prediction: Tensor, y: Tensor) -> Tensor:
    """[n] of logits [n, …, classes] and classes y [n, …]: the mean over the places of an example. Raises `ConfigError`
    where the shapes differ."""
    _alike("cross_entropy", prediction, y, prediction.shape[:-1])
    flat, target = prediction.flatten(0, -2), y.flatten()
    if prediction.shape[-1] < FEW:  # classes come first within
        found = functional.cross_entropy(flat.mT[None], target[None], reduction="none")[0]
    else:
        found = functional.cross_entropy(flat, target, reduction="none")
    return found.reshape(len(y), -1).mean(dim=1)


def loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of that name, a function of predictions [n, …, outputs] and targets to [n], the mean over all else.

    Targets are classes [n, …] for the losses of `INDEXED`, and numbers of the prediction's own shape for all others.
    Raises `ConfigError` for a name that is no such loss and, when called, for targets of another shape.
    """
    found = getattr(functional, name, None) if name.endswith(("_loss", "_entropy", "_logits", "_div")) else None
    if found is None or not _fits(name, found):
        known = [one for one in dir(functional) if one.endswith(("_loss", "_entropy", "_logits"))]
        known = [one for one in known if _fits(one, getattr(functional, one))]
        raise ConfigError(explain(expected="a loss of torch.nn.functional that takes predictions and targets",
                                  got=f"task.loss={name}", do=did_you_mean(name, known)))  # fmt: skip
    return cross_entropy if name == "cross_entropy" else partial(_each, name, found)


def _each(name: str, function: Callable[..., Tensor], prediction: Tensor, y: Tensor) -> Tensor:
    _alike(name, prediction, y, prediction.shape[:-1] if name in INDEXED else prediction.shape)
    places = prediction.flatten(0, -2) if name in INDEXED else prediction
    found = function(places, y.flatten() if name in INDEXED else y, reduction="none")
    return found.reshape(len(y), -1).mean(dim=1)


def _alike(name: str, prediction: Tensor, y: Tensor, expected: torch.Size) -> None:
    if y.shape != expected:
        raise ConfigError(explain(expected=f"targets {list(expected)} for {name} of predictions "
                                           f"{list(prediction.shape)}",
                                  got=f"{list(y.shape)}", do="Give both one shape: none is stretched."))  # fmt: skip


def _fits(name: str, function: Any) -> bool:
    """Whether it takes a prediction and a target alone and leaves a number for each."""
    prediction = torch.full((2, 3), 0.5)
    target = torch.zeros(2, dtype=torch.int64) if name in INDEXED else torch.full((2, 3), 0.5)
    try:
        found = function(prediction, target, reduction="none")
    except Exception:
        return False
    return isinstance(found, Tensor) and found.shape in ((2,), (2, 3))
