"""Which way a program goes, looked at without a life: why it can't teach, and how it grows with the error."""

from __future__ import annotations

from functools import lru_cache
from math import log10

import torch
from torch import Tensor

from sandbox.core.random import normal, uniform
from sandbox.program.fingerprint import answers_gradient, sign_test
from sandbox.program.program import Program
from sandbox.program.run import run
from sandbox.program.tensor import encode

PROBES, CLASSES, STEPS = 64, 5, 6
GROWTH = (-1.5, 1.5)  # powers that are told apart


@lru_cache(maxsize=65536)
def fault(program: Program) -> str:
    """Why a program can't teach; empty where nothing is seen. A loss must fall, to first order, where predictions move
    to their targets; an update must move against gradients, and otherwise when they are others (counterfactuals)."""
    update = program.signature == "update"
    if update and not answers_gradient(program):
        return "it moves alike whatever the gradient is"
    if sign_test(program):
        return ""
    return "it does not move against the gradient" if update else "it does not fall where predictions near targets"


@lru_cache(maxsize=65536)
def growth(program: Program) -> float:
    """By which power a loss's slope grows with the error, or an update with the gradient, from 1 to 10 times the size:
    1 for the squared error and for SGD, 0 for the absolute error and for sign(g), below 0 for what gives outliers up.
    Within `GROWTH`; its lower end also for what is not finite."""
    look = _move if program.signature == "update" else _slope
    small, large = (look(program, scale).norm() for scale in (1.0, 10.0))
    if not (torch.isfinite(small) and torch.isfinite(large)) or not small > 0 or not large > 0:
        return GROWTH[0]
    return min(max(log10(float(large)) - log10(float(small)), GROWTH[0]), GROWTH[1])


def cell(program: Program) -> tuple[int, int]:
    """Length by growth, in steps of 4 instructions and of half a power: a cell of MAP-Elites."""
    return len(program.code) // 4, round(2 * growth(program))


def _slope(program: Program, scale: float) -> Tensor:
    """The slope of a loss in what is predicted, for errors of this size."""
    noise = normal(uniform(0, "slope", 0, (4, PROBES, CLASSES)))
    if program.signature == "loss amounts":
        y = noise[0][:, :1]
        p = (y + scale * noise[1][:, :1]).requires_grad_()
        return _grad(program, [p, y], p)
    if program.signature == "loss classes":
        p = (scale * noise[0]).requires_grad_()
        return _grad(program, [p, torch.arange(PROBES) % CLASSES], p)
    chosen, *others = (row.clone() for row in scale * noise[:, :, 0])
    return _grad(program, [chosen.requires_grad_(), *others], chosen)


def _grad(program: Program, inputs: list[Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        found, *_ = run(*encode(program), inputs)
        (slope,) = torch.autograd.grad(found.sum() + 0 * at.sum(), at)
    return slope


def _move(program: Program, scale: float) -> Tensor:
    """What an update returns at the last of some steps, for gradients of this size with a mean that stays."""
    code, constants = encode(program)
    noise = normal(uniform(0, "gradient", 0, (STEPS + 2, PROBES)))
    slots, found = [torch.zeros(PROBES).double() for _ in program.form.slots], noise[0]
    with torch.no_grad():
        for t in range(1, STEPS + 1):
            found, *slots = run(code, constants, [scale * (noise[1] + noise[t]), noise[0], noise.new_tensor(t), *slots])
    return found
