"""What the operators compute: torch functions of values that have a row for each of several programs' lives.

A value is a tensor [rows, …] with the dimensions of its kind behind: a scalar none, an example [n], an output [C, n]
(classes first: over a short last dimension torch's softmax takes ten times as long), a label [n], weights [P].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

SMALLEST = 1e-12  # what |b| counts as at least in a / b
LEAST = 1e-7  # what |a| counts as at least in ln |a|
MOST = 30.0  # what a lies within in e^a

Function = Callable[..., Tensor]


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / torch.where(b.abs() >= SMALLEST, b, torch.where(b < 0, -SMALLEST, SMALLEST))


def _sqrt(a: Tensor) -> Tensor:
    """√|a| with derivative 0 at 0, where autograd's is infinite."""
    nonzero = a != 0
    return torch.where(nonzero, torch.where(nonzero, a, 1).abs().sqrt(), 0)


def _ema(a: Tensor, b: Tensor, keep: Tensor) -> Tensor:
    return b + keep * (a - b)


def _norm(a: Tensor) -> Tensor:
    return _sqrt(a.square().sum(dim=-1))


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return _div((a * b).sum(dim=-1), _norm(a) * _norm(b))


def _clip_by_norm(a: Tensor, most: Tensor) -> Tensor:
    norm, most = _norm(a), most.abs()
    return a * torch.where(norm > most, _div(most, norm), torch.ones_like(norm))[:, None]


EACH: dict[str, Function] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": _div,
    "aq": lambda a, b: a / (1 + b.square()).sqrt(),
    "min": torch.minimum,
    "max": torch.maximum,
    "neg": torch.neg,
    "abs": torch.abs,
    "square": torch.square,
    "sqrt": _sqrt,
    "log": lambda a: a.abs().clamp(min=LEAST).log(),
    "exp": lambda a: a.clamp(-MOST, MOST).exp(),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": partial(softplus, threshold=40),  # of 20 it would be 2e-9 off
    "sign": torch.sign,
    "where": lambda a, b, c: torch.where(a > 0, b, c),
    "clip": lambda a, low, high: torch.minimum(torch.maximum(a, low), high),
    "ema": _ema,
}

SHAPED: dict[str, Function] = {
    "softmax": lambda a: torch.softmax(a, dim=1),
    "log_softmax": lambda a: torch.log_softmax(a, dim=1),
    "gather": lambda a, label: a.gather(1, label[:, None])[:, 0],
    "one_hot": lambda label, like: one_hot(label, like.shape[1]).movedim(-1, 1).to(like.dtype),
    "mean_out": lambda a: a.mean(dim=1),
    "sum_out": lambda a: a.sum(dim=1),
    "norm": _norm,
    "dot": lambda a, b: (a * b).sum(dim=-1),
    "cosine": _cosine,
    "clip_by_norm": _clip_by_norm,
    "rms_normalise": lambda a: _div(a, _sqrt(a.square().mean(dim=-1))[:, None]),
}

FUNCTIONS: dict[str, Function] = {**EACH, **SHAPED}
