"""What a meta-learner may do and see, as data, so that the engine can serve and batch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.score import Over


@dataclass(frozen=True)
class Grad:
    """A hypergradient at `path`, through the horizon just lived: of P on the practice split, `over` its end, its whole
    life or its improvement; or of the own loss averaged over the `last` inner steps (all of them if None)."""

    objective: Literal["process", "own"]
    path: str
    last: int | None = None
    over: Over = "end"


@dataclass(frozen=True)
class Needs:
    """Declared once by a meta-learner; a new kind of need is a new field here.

    Paths start with a slot of the state (`rule/lr`), or with `./` for the meta-learner's own psi: `./sigma` is
    `meta/2/sigma` at level 2. `population`: candidates that `vary` returns (0: none), lived and scored on practice
    data. `answers`: it is served what the journal holds for it, and its `consult` is asked for what is missing.
    `lasting`: psi is no part of what a life that went non-finite is taken back from, such as an archive of what was
    tried, or a budget.
    """

    edits: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    grads: tuple[Grad, ...] = ()
    noise: int = 0  # uniforms a step
    population: int = 0
    answers: bool = False
    adjoint: Adjoint = FULL  # how its hypergradients are taken
    vmapped: bool = True  # False: asked row by row, in plain Python
    lasting: bool = False  # True: psi goes on where its seed is rolled back


@dataclass(frozen=True)
class Seen:
    """What `needs` named, as clones, for one seed (or one life, where lives edit themselves).

    `own` [K]: own loss at each inner step of the horizon, averaged over tasks; `process`: P on practice at its end (NaN
    where the task has no practice split); `grad[objective][path]`; `visible[path]`; `noise` [size]; `answer[name]`;
    `step`: reflective steps before this one. Of a population: `candidates[path]` [population, ...] as `vary` returned
    them, `scores` [population], P on practice after a horizon each on one stream, and `alive` [population]: whether
    that life stayed finite. A dead candidate scores +inf, so it is never the best.
    """

    own: Tensor
    process: Tensor
    grad: Mapping[str, Mapping[str, Tensor]]
    visible: Mapping[str, Tensor]
    noise: Tensor
    step: Tensor
    answer: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    candidates: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    scores: Tensor = field(default_factory=lambda: torch.zeros(0))
    alive: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))


@dataclass(frozen=True)
class Heard:
    """What became of an edit, for one seed: `accepted` (1 or 0), and what the gate measured of `incumbent` and
    `candidate`: the mean score over its trials, lower is better (NaN where it judged without a trial)."""

    accepted: Tensor
    incumbent: Tensor
    candidate: Tensor
