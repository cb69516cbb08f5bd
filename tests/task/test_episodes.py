"""The objective of acting: its value is the return; its derivatives are those of what is expected, by enumeration."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from sandbox.task.episodes import minus_return, noise_of, padded

PAID = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
LATE = torch.tensor([[1.0, -2.0], [4.0, 0.5]], dtype=torch.float64)  # by both actions of two steps
LOGITS = torch.tensor([0.3, -0.4, 0.1], dtype=torch.float64)
CHAIN = torch.tensor([0.3, -0.4, 0.1, 0.9, -0.2, 0.6], dtype=torch.float64)


def rows(actions: Tensor, rewards: Tensor, policy: Tensor) -> dict[str, Tensor]:
    return {"action": padded(actions), "reward": padded(rewards), "alive": padded(torch.ones_like(rewards)),
            "policy": padded(policy)}  # fmt: skip


def pulls(logits: Tensor, arms: tuple[int, ...]) -> Tensor:
    """Mean P of as many one-step episodes."""
    actions = torch.tensor(arms)[:, None]
    prediction = logits.expand(len(arms), 2, 3)
    return minus_return(prediction, rows(actions, PAID[actions], prediction[:, :1])).mean()


def walk(logits: Tensor, first: int, second: int) -> Tensor:
    """P of two steps: the second policy depends on the first action, what the first pays on nothing."""
    prediction = torch.stack([logits[:2], logits[2:].reshape(2, 2)[first], torch.zeros_like(logits[:2])])[None]
    actions, rewards = torch.tensor([[first, second]]), torch.stack([PAID[first], LATE[first, second]])[None]
    return minus_return(prediction, rows(actions, rewards, prediction[:, :2])).sum()


def chances(logits: Tensor) -> Tensor:
    """[2, 2] of both actions."""
    return torch.softmax(logits[:2], dim=0)[:, None] * torch.softmax(logits[2:].reshape(2, 2), dim=1)


def expected(of: Callable[[Callable[[Tensor], Tensor]], Tensor], n: int) -> Tensor:
    """The mean of a derivative over every outcome of n pulls."""
    p = torch.softmax(LOGITS, dim=0)
    return sum(
        (
            p[list(arms)].prod() * of(lambda logits, arms=arms: pulls(logits, arms))
            for arms in product(range(3), repeat=n)
        ),
        torch.zeros(()),
    )


def closed(logits: Tensor) -> Tensor:
    return -(torch.softmax(logits, dim=0) * PAID).sum()


def test_one_step_has_the_derivatives_of_the_expectation() -> None:
    """Of one pull, and of two that are each other's baseline."""
    for n in (1, 2):
        slope = expected(lambda p: jacobian(p, LOGITS), n)
        torch.testing.assert_close(slope, jacobian(closed, LOGITS), rtol=1e-12, atol=1e-12)
        bend = expected(lambda p: hessian(p, LOGITS), n)
        torch.testing.assert_close(bend, hessian(closed, LOGITS), rtol=1e-12, atol=1e-12)


def test_two_steps_have_the_derivatives_of_the_expectation() -> None:
    def whole(logits: Tensor) -> Tensor:
        return -(chances(logits) * (PAID[:2, None] + LATE)).sum()

    found = [torch.zeros(6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)]
    for first, second in product(range(2), repeat=2):
        for order, derivative in enumerate((jacobian, hessian)):
            of = derivative(lambda logits, a=first, b=second: walk(logits, a, b), CHAIN)
            found[order] = found[order] + chances(CHAIN)[first, second] * of
    torch.testing.assert_close(found[0], jacobian(whole, CHAIN), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[1], hessian(whole, CHAIN), rtol=1e-12, atol=1e-12)


def test_the_others_make_a_derivative_less_noisy() -> None:
    """Rewards that are all alike have no gradient at all beside others, and one that is pure noise without."""
    prediction = LOGITS.expand(2, 2, 3).clone().requires_grad_()
    batch = rows(torch.tensor([[0], [2]]), torch.full((2, 1), 5.0, dtype=torch.float64), prediction[:, :1].detach())
    (slope,) = torch.autograd.grad(minus_return(prediction, batch).sum(), prediction)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)


def test_the_value_is_minus_the_return_and_ends_with_the_episode() -> None:
    """Of the first of two episodes, which has one step: what the other earns later pulls nothing there."""
    prediction = LOGITS.expand(2, 3, 3).clone().requires_grad_()
    reward = torch.tensor([[3.0, 0.0], [1.0, 5.0]], dtype=torch.float64)
    batch = rows(torch.tensor([[1, 2], [0, 0]]), reward, prediction[:, :2].detach())
    batch["alive"] = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    found = minus_return(prediction, batch)
    assert found.tolist() == [-3, -6]
    (slope,) = torch.autograd.grad(found.sum(), prediction)
    assert bool(slope[0, 0].any())
    assert not bool(slope[0, 1:].any())


def test_every_split_has_its_noise() -> None:
    assert noise_of(3, 7) == {"draw": 3, "train": 7, "practice": 7, "gate": 7, "test": 7}
