"""Small worlds, and editors that do exactly what a test says."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.journal import Answer, Question
from sandbox.core.protocols import Grad, Level, Needs, Params, Rule, Seen, World
from sandbox.core.record import Record
from sandbox.core.tree import flatten
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.none import Nothing
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.rule.sgd import SGD
from sandbox.task.quadratic import Quadratic
from sandbox.task.sinusoid import Sinusoid

Dtype = Literal["float32", "float64"]
FIXED, TAKEN, DESCENT = Nothing(), Always(), SGD(lr=0.01)
ONE_LR = Needs(edits=("rule/lr",), reads=("rule/lr",))


@dataclass(frozen=True)
class Scripted:
    """Asks for what `script` returns; `needs` is what it is served."""

    script: Callable[[Params, Seen], tuple[Edit, Params]]
    needs: Needs = ONE_LR
    psi: Params = field(default_factory=dict[str, Tensor])

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return self.psi

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        return self.script(psi, seen)


@dataclass(frozen=True)
class Watches:
    """Edits nothing and keeps every hypergradient at `path` in `found`, seed by seed."""

    path: str
    found: list[Tensor] = field(default_factory=list[Tensor])

    @property
    def needs(self) -> Needs:
        return Needs(grads=(Grad("process", self.path),), vmapped=False)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        self.found.append(seen.grad["process"][self.path])
        return Edit(), psi


@pytest.fixture
def loop() -> Callable[..., Loop]:
    """Makes a loop with one level, and levels `above` it."""

    def make(world, meta_learner=FIXED, gate=TAKEN, *, horizon=3, above=(), meters=(), **level):
        return Loop(world, Functional(), (Level(meta_learner, gate, horizon, **level), *above), meters)

    return make


@pytest.fixture
def sines() -> Callable[..., World]:
    """Makes the world of sine waves: fresh data at every inner step."""

    def make(rule: Rule = DESCENT, *, dtype: Dtype = "float64", tasks: int = 1) -> World:
        model = Module(partial(MLP, 1, 1, (8,), dtype=dtype))
        return World(Sinusoid(shots=5, dtype=dtype), model, rule, tasks)

    return make


@pytest.fixture
def bowl() -> Callable[..., World]:
    """Makes the world of the quadratic bowl, which has no noise."""

    def make(rule: Rule = DESCENT, *, dtype: Dtype = "float64") -> World:
        return World(Quadratic(dtype=dtype), Module(partial(Vector, 4, dtype=dtype)), rule)

    return make


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def watches() -> type[Watches]:
    return Watches


@dataclass(frozen=True)
class Plays:
    """Asks for what `course` {path: [steps, S, ...]} says, seed by seed and step by step."""

    course: Mapping[str, Tensor]

    @property
    def needs(self) -> Needs:
        return Needs(edits=tuple(self.course), answers=True)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        return Edit(seen.answer), psi

    def consult(self, question: Question, psi: Params, seen: Seen) -> Answer:
        return {path: values[question.step - 1, question.seed] for path, values in self.course.items()}


@pytest.fixture
def plays() -> type[Plays]:
    return Plays


@pytest.fixture
def lived() -> Callable[..., list[Record]]:
    """Every record of a run of a loop."""

    def run(loop: Loop, *, seeds: int | list[int] = 4, steps: int = 4) -> list[Record]:
        return list(loop.run(seeds if isinstance(seeds, list) else range(seeds), steps))

    return run


@pytest.fixture
def same() -> Callable[..., bool]:
    """Whether two trees, or the named slots of two states, agree in every bit."""

    def equal(a, b, *slots: str) -> bool:
        if slots:
            return all(equal(getattr(a, slot), getattr(b, slot)) for slot in slots)
        a, b = flatten(a), flatten(b)
        return a.keys() == b.keys() and all(torch.equal(a[path], b[path]) for path in a)

    return equal


@pytest.fixture
def outside() -> Callable[[], Any]:
    """All that a run must leave as it was."""

    def read() -> Any:
        drawn = np.random.get_state(legacy=False)["state"]
        return (random.getstate(), drawn["key"].tolist(), drawn["pos"], torch.get_rng_state().tolist(),
                torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads())  # fmt: skip

    return read
