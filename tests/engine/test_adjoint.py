"""How a horizon is differentiated: checkpoints change nothing, truncation cuts where it says, and tapes combine."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import FULL, Adjoint, widest
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Engine, Rule, World
from sandbox.core.state import State, leaves, put
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.rule.momentum import Momentum
from sandbox.rule.optimizer import Optimizer
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.rule.sgd import SGD

STEPS = 7


def slopes(
    engine: Engine, world: World, state: State, adjoint: Adjoint, steps: int = STEPS
) -> dict[str, Tensor | None]:
    """P at the end, differentiated in every weight of init and number of phi."""
    at = {path: leaf.clone().requires_grad_() for path, leaf in (leaves(state, "init") | leaves(state, "rule")).items()}
    lived, _ = engine.unroll(world, engine.born(world, put(state, at)), steps, "life", adjoint)
    process = engine.scores(world, lived, "practice", "life").mean(dim=1).sum()
    found = torch.autograd.grad(process, list(at.values()), allow_unused=True)
    return dict(zip(at, found, strict=True))


@pytest.mark.parametrize(
    "rule", [SGD(lr=0.1), Momentum(lr=0.1), SelfDistillation(lr=0.5)], ids=lambda r: type(r).__name__
)
@pytest.mark.parametrize("every", [1, 3, 7, 100])
def test_a_checkpointed_tape_gives_the_same_derivative(rule: Rule, every: int, make, begin) -> None:
    world = make(rule, tasks=2)
    state = begin(world, [0, 1])
    whole, checkpointed = (slopes(Functional(), world, state, adjoint) for adjoint in (FULL, Adjoint(checkpoint=every)))
    for path, slope in whole.items():
        if slope is None:
            assert checkpointed[path] is None
        else:
            torch.testing.assert_close(checkpointed[path], slope, rtol=1e-12, atol=1e-14)


def test_a_checkpointed_tape_keeps_the_ends_of_its_stretches_alone(make, begin) -> None:
    world = make(SGD(lr=0.1))
    state = begin(world, [0])

    def kept(adjoint: Adjoint, steps: int) -> int:
        saved: list[weakref.ref[Tensor]] = []

        def pack(tensor: Tensor) -> Tensor:
            saved.append(weakref.ref(tensor))
            return tensor

        at = {path: leaf.clone().requires_grad_() for path, leaf in leaves(state, "rule").items()}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            end = Functional().unroll(world, Functional().born(world, put(state, at)), steps, "life", adjoint)
        alive = {id(tensor): tensor.numel() for each in saved if (tensor := each()) is not None}
        assert end
        return sum(alive.values())

    whole, checkpointed = kept(FULL, 40), kept(Adjoint(checkpoint=10), 40)
    weights = sum(leaf.numel() for leaf in state.params.values())
    assert checkpointed <= 4 * 2 * (weights + 1)
    assert whole > 10 * checkpointed


@pytest.mark.parametrize("engine", [Functional(), Higher()], ids=["functional", "higher"])
def test_a_truncated_tape_sees_the_last_steps_alone(engine: Engine, make, begin) -> None:
    """What it says of phi is the whole derivative of a life of the last steps that starts where the others ended."""
    world = make(Momentum(lr=0.1))
    state = begin(world, [0, 1])
    truncated = slopes(engine, world, state, Adjoint(truncate=3))
    assert truncated["init/0.weight"] is None  # cut off
    before, _ = engine.unroll(world, engine.born(world, state), STEPS - 3, "life", None)
    at = {path: leaf.clone().requires_grad_() for path, leaf in leaves(state, "rule").items()}
    lived, _ = engine.unroll(world, put(before, at), 3, "life", FULL)
    process = engine.scores(world, lived, "practice", "life").mean(dim=1).sum()
    for path, slope in zip(at, torch.autograd.grad(process, list(at.values())), strict=True):
        torch.testing.assert_close(truncated[path], slope, rtol=1e-12, atol=1e-14)


def test_a_truncation_longer_than_the_horizon_is_none(make, begin) -> None:
    world = make(SGD(lr=0.1))
    state = begin(world, [0])
    for every in (STEPS, 100):
        found, whole = (slopes(Functional(), world, state, adjoint) for adjoint in (Adjoint(truncate=every), FULL))
        assert all(torch.equal(found[path], slope) for path, slope in whole.items() if slope is not None)


def test_first_order_and_truncation_combine(make, begin) -> None:
    world = make(SGD(lr=0.1))
    state = begin(world, [0])
    found = slopes(Functional(), world, state, Adjoint(first_order=True, truncate=1))
    plain, _ = Functional().unroll(world, Functional().born(world, state), STEPS - 1, "life", None)
    at = {path: leaf.clone().requires_grad_() for path, leaf in leaves(state, "rule").items()}
    lived, _ = Functional().unroll(world, put(plain, at), 1, "life", Adjoint(first_order=True))
    (slope,) = torch.autograd.grad(
        Functional().scores(world, lived, "practice", "life").mean(dim=1).sum(), list(at.values())
    )
    torch.testing.assert_close(found["rule/lr"], slope, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("adjoint", "instead"), [(Adjoint(checkpoint=2), "engine=functional"), (Adjoint(truncate=2), "rule=adam")]
)
def test_what_higher_can_not_do_it_refuses(adjoint: Adjoint, instead: str, make, begin) -> None:
    world = make(Optimizer())
    with pytest.raises(ConfigError, match=instead):
        Higher().unroll(world, begin(world, [0]), 2, "life", adjoint)


def test_two_tapes_record_what_either_may_not_lose() -> None:
    first, cut, kept = Adjoint(first_order=True), Adjoint(truncate=3), Adjoint(checkpoint=4)
    assert widest(None, None) is None
    assert widest(None, first) == widest(first, None) == widest(first, first) == first
    assert widest(FULL, first) == widest(first, FULL) == FULL
    assert widest(cut, Adjoint(truncate=5)) == Adjoint(truncate=5)
    assert widest(cut, FULL) == FULL
    assert widest(None, kept) == kept
    assert widest(FULL, kept) == FULL


def test_a_truncation_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="of 0 or more"):
        Adjoint(truncate=-1)


def test_a_meta_gradient_of_a_truncated_tape_moves_otherwise(make) -> None:
    from sandbox.core.protocols import Level
    from sandbox.gate.always import Always
    from sandbox.loop.reflect import Loop

    def lr(adjoint: Adjoint) -> float:
        level = Level(MetaGradient(edits=("rule/lr",), optimizer="sgd", adjoint=adjoint), Always(), STEPS)
        loop = Loop(make(SGD(lr=0.1)), Functional(), (level,))
        return float(list(loop.run([0], 1))[-1].state.rule["lr"])

    whole, kept, cut = lr(FULL), lr(Adjoint(checkpoint=2)), lr(Adjoint(truncate=2))
    assert kept == pytest.approx(whole, rel=1e-12)
    assert cut != pytest.approx(whole, rel=1e-6)
