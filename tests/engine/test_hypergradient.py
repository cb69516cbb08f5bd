"""Hypergradients: both engines find the same, and it is the slope of what is lived."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.protocols import Engine, Rule, World
from sandbox.core.state import State, leaves, put
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.rule.sgd import SGD

FIRST_ORDER = Adjoint(first_order=True)
STEPS = 3
Point = dict[str, Tensor]


def point(engine: Engine, world: World, state: State) -> Point:
    """Where derivatives are taken: the leaves of init and phi, and a displacement of each slot from where it is born
    (at birth itself some derivatives vanish), upwards, for a mean square is never below 0, and so far that its root
    is smooth over the spacing of differences."""
    at = {path: leaf for path, leaf in (leaves(state, "init") | leaves(state, "rule")).items()
          if leaf.is_floating_point()}  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for path, leaf in leaves(engine.born(world, state), "slots").items():
        if leaf.is_floating_point():
            at[path] = 0.1 + 0.1 * torch.rand(leaf.shape, generator=generator, dtype=leaf.dtype)
    return at


def outcome(engine: Engine, world: World, state: State, at: Point, adjoint: Adjoint | None) -> Tensor:
    """P on practice after a horizon plus the mean own loss within."""
    given = {path: leaf for path, leaf in at.items() if not path.startswith("slots")}
    born = engine.born(world, put(state, given))
    moved = {path: leaves(born, path)[path] + shift for path, shift in at.items() if path not in given}
    lived, own = engine.unroll(world, put(born, moved), STEPS, "life", adjoint)
    return engine.scores(world, lived, "practice", "life").mean() + own.mean()


def hypergradient(engine: Engine, world: World, state: State, at: Point, adjoint: Adjoint | None = FULL) -> Point:
    """At every path; 0 at a slot that only counts."""
    watched = {path: leaf.clone().requires_grad_() for path, leaf in at.items()}
    target = outcome(engine, world, state, watched, adjoint)
    found = dict(zip(watched, torch.autograd.grad(target, list(watched.values()), allow_unused=True), strict=True))
    assert all(path.startswith("slots") for path, grad in found.items() if grad is None)
    return {path: torch.zeros_like(at[path]) if grad is None else grad for path, grad in found.items()}


def test_both_engines_find_the_same(rule: Rule, make, begin) -> None:
    world = make(rule, tasks=2)
    state = begin(world, [0, 1])
    at = point(Functional(), world, state)
    fast, plain = (hypergradient(engine, world, state, at) for engine in (Functional(), Higher()))
    for path, grad in fast.items():
        assert path.startswith("slots") or float(grad.abs().sum()) > 0, path
        torch.testing.assert_close(grad, plain[path], rtol=1e-12, atol=1e-12)


def test_it_is_the_slope_by_central_differences(given: tuple[Rule, Engine], make, begin) -> None:
    rule, engine = given
    world, step = make(rule), 1e-5
    state = begin(world, [0])
    at = point(engine, world, state)
    found = hypergradient(engine, world, state, at)
    generator = torch.Generator().manual_seed(1)
    for path, leaf in at.items():
        way = torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype)
        there, back = (outcome(engine, world, state, at | {path: leaf + h * way}, None) for h in (step, -step))
        assert float((found[path] * way).sum()) == pytest.approx(float(there - back) / (2 * step), rel=1e-6, abs=1e-9)


def test_first_order_is_not_the_whole(engine: Engine, make, begin) -> None:
    # A dropped `create_graph` is silent: it yields exactly this other gradient.
    world = make(SGD(lr=0.5))
    state = begin(world, [0])
    at = leaves(state, "init")
    whole, first = (hypergradient(engine, world, state, at, adjoint) for adjoint in (FULL, FIRST_ORDER))
    for path, grad in whole.items():
        assert float((grad - first[path]).norm() / grad.norm()) > 1e-3


def test_first_order_is_the_gradient_at_the_end_carried_to_the_start(engine: Engine, make, begin) -> None:
    # With constant inner gradients d end / d start is the identity (Finn et al. 2017, section 5.2).
    world = make(SGD(lr=0.5))
    state = begin(world, [0])
    init = {path: leaf.clone().requires_grad_() for path, leaf in leaves(state, "init").items()}
    lived, _ = engine.unroll(world, engine.born(world, put(state, init)), STEPS, "life", FIRST_ORDER)
    found = torch.autograd.grad(engine.scores(world, lived, "practice", "life").mean(), list(init.values()))
    end = {path: leaf.detach().requires_grad_() for path, leaf in leaves(lived, "params").items()}
    score = engine.scores(world, put(lived, end), "practice", "life").mean()
    for grad, expected in zip(found, torch.autograd.grad(score, list(end.values())), strict=True):
        assert torch.equal(grad, expected)


def test_the_tape_ends_where_it_is_off(pair: tuple[Rule, Engine], make, begin) -> None:
    rule, engine = pair
    world = make(rule)
    state = begin(world, [0])
    at = leaves(state, "init") | leaves(state, "rule")
    watched = {path: leaf.clone().requires_grad_() for path, leaf in at.items() if leaf.is_floating_point()}
    lived, own = engine.unroll(world, engine.born(world, put(state, watched)), 2, "life", None)
    assert not own.requires_grad
    assert not any(leaf.requires_grad for leaf in (leaves(lived, "params") | leaves(lived, "slots")).values())
