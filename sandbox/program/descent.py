"""Which way a program goes: whether it descends at all, whether it listens to the gradient, how it grows.

A program is looked at on fixed probes, without a life, in float64: what fails here would waste one.
"""

from __future__ import annotations

from functools import lru_cache
from math import log10

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sandbox.core.random import normal, uniform
from sandbox.program.program import Program
from sandbox.program.run import run
from sandbox.program.tensor import encode

PROBES, CLASSES, STEPS = 64, 5, 6
DEAF = 1e-3  # an update that moves by less of its own size when the gradient is another does not listen
GROWTH = (-1.5, 1.5)  # powers that are told apart


@lru_cache(maxsize=65536)
def fault(program: Program) -> str:
    """Why a program can't teach; empty where nothing is seen. A loss must fall, to first order, where predictions move
    to their targets; an update must move against gradients, and otherwise when they are others (counterfactuals)."""
    if program.signature == "update":
        return _update_fault(program)
    slope, error = _slope(program, 1.0)
    gain = float((slope * error).sum())
    if not torch.isfinite(slope).all():
        return "its slope is not finite"
    return "" if gain > 0 else "it does not fall where predictions move to their targets"


@lru_cache(maxsize=65536)
def growth(program: Program) -> float:
    """By which power a loss's slope grows with the error, or an update with the gradient, from 1 to 10 times the size:
    1 for the squared error and for SGD, 0 for the absolute error and for sign(g), below 0 for what gives outliers up.
    Within `GROWTH`; its lower end also for what is not finite."""
    if program.signature == "update":
        small, large = (_moves(program, scale)[-1].norm() for scale in (1.0, 10.0))
    else:
        small, large = (_slope(program, scale)[0].norm() for scale in (1.0, 10.0))
    if not (torch.isfinite(small) and torch.isfinite(large)) or not small > 0 or not large > 0:
        return GROWTH[0]
    return min(max(log10(float(large)) - log10(float(small)), GROWTH[0]), GROWTH[1])


def cell(program: Program) -> tuple[int, int]:
    """Length by growth, in steps of 4 instructions and of half a power: a cell of MAP-Elites."""
    return len(program.code) // 4, round(2 * growth(program))


def _slope(program: Program, scale: float) -> tuple[Tensor, Tensor]:
    """The slope of a loss in what is predicted, and the error there, both [n, …], for errors of this size."""
    noise = normal(uniform(0, "slope", 0, (4, PROBES, CLASSES)))
    if program.signature == "loss amounts":
        y = noise[0][:, :1]
        p = (y + scale * noise[1][:, :1]).requires_grad_()
        return _grad(program, [p, y], p), (p - y).detach()
    if program.signature == "loss classes":
        y = torch.arange(PROBES) % CLASSES
        p = (scale * noise[0]).requires_grad_()
        return _grad(program, [p, y], p), (p.softmax(1) - one_hot(y, CLASSES)).detach()
    values = [row.clone() for row in scale * noise[:, :, 0]]
    chosen = values[0].requires_grad_()
    return _grad(program, [chosen, *values[1:]], chosen), torch.full((PROBES,), -1.0).double()


def _grad(program: Program, inputs: list[Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        found, *_ = run(*encode(program), inputs)
        if not found.requires_grad:  # it only asks on which side of 0 something is
            return torch.zeros_like(at)
        (slope,) = torch.autograd.grad(found.sum(), at, allow_unused=True)
    return torch.zeros_like(at) if slope is None else slope


def _update_fault(program: Program) -> str:
    moves, others = _moves(program, 1.0), _moves(program, 1.0, other=True)
    if not torch.isfinite(moves).all():
        return "it moves to what is not finite"
    if float((moves * _gradients(1.0)).sum()) <= 0:
        return "it does not move against the gradient"
    heard = (moves - others).norm() / moves.norm()
    return "" if heard > DEAF else "it moves alike whatever the gradient is"


def _gradients(scale: float, other: bool = False) -> Tensor:
    """[STEPS, PROBES] gradients with a mean that stays, so that a memory of them is worth something."""
    noise = normal(uniform(1 + other, "gradient", 0, (STEPS + 1, PROBES)))
    return scale * (noise[:1] + noise[1:])


def _moves(program: Program, scale: float, *, other: bool = False) -> Tensor:
    """What an update returns, [STEPS, PROBES], on its way through fixed gradients from fixed weights."""
    code, constants = encode(program)
    weights = normal(uniform(0, "weights", 0, (PROBES,)))
    slots, found = [torch.zeros(PROBES).double() for _ in program.form.slots], list[Tensor]()
    with torch.no_grad():
        for t, gradient in enumerate(_gradients(scale, other), start=1):
            move, *slots = run(code, constants, [gradient, weights, torch.tensor(float(t)).double(), *slots])
            found.append(move)
    return torch.stack(found)
