"""What a meta-learner may do and see, as data, so that the engine can serve and batch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Grad:
    """A hypergradient at `path`, through the horizon just lived: of P on the practice split, or of the own loss
    averaged over the `last` inner steps (all of them if None)."""

    objective: Literal["process", "own"]
    path: str
    last: int | None = None


@dataclass(frozen=True)
class Needs:
    """Declared once by a meta-learner; a new kind of need is a new field here."""

    edits: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    grads: tuple[Grad, ...] = ()
    noise: int = 0  # uniforms a step
    course: bool = False  # the recorded course of another run at the edited paths
    first_order: bool = False  # hypergradients through constant inner gradients
    vmapped: bool = True  # False: asked seed by seed, in plain Python


@dataclass(frozen=True)
class Seen:
    """What `needs` named, as clones, for one seed.

    `own` [K]: own loss at each step of the horizon, averaged over tasks; `process`: P on practice at its end (NaN where
    the task has no practice split); `grad[objective][path]`; `visible[path]`; `noise` [size]; `course[path]`;
    `step`: reflective steps before this one.
    """

    own: Tensor
    process: Tensor
    grad: Mapping[str, Mapping[str, Tensor]]
    visible: Mapping[str, Tensor]
    noise: Tensor
    course: Mapping[str, Tensor]
    step: Tensor
