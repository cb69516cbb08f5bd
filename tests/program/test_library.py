"""The shipped programs are torch's functions and optimizers, or their papers' formulas written another way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sandbox.core.protocols import Reach
from sandbox.program.library import library
from sandbox.program.run import run
from sandbox.program.tensor import encode
from sandbox.rule.program import Program
from sandbox.rule.sgd import SGD

GENERATOR = torch.Generator().manual_seed(0)
P, Y = (3 * torch.randn(7, 5, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
LABELS = torch.tensor([0, 4, 2, 1, 3, 3, 0])
ANSWERS = [4 * torch.randn(9, generator=GENERATOR, dtype=torch.float64) for _ in range(4)]


def chance() -> Tensor:
    return torch.exp(P)[torch.arange(7), LABELS] / torch.exp(P).sum(dim=1)


def margin() -> Tensor:
    chosen, rejected, chosen_reference, rejected_reference = ANSWERS
    return torch.log(torch.exp(chosen - chosen_reference) / torch.exp(rejected - rejected_reference))


def reverse() -> Tensor:
    """-Σ π ln q where ln 0 is -4."""
    return 4 * (torch.softmax(P, dim=1) * (1 - F.one_hot(LABELS, 5))).sum(dim=1)


def error(power: int) -> Tensor:
    return (torch.softmax(P, dim=1) - F.one_hot(LABELS, 5)).abs().pow(power).sum(dim=1)


LOSSES: dict[str, Callable[[], Tensor]] = {
    "squared_error": lambda: F.mse_loss(P, Y),
    "absolute_error": lambda: F.l1_loss(P, Y),
    "huber": lambda: F.huber_loss(P, Y),
    "cauchy": lambda: torch.log1p(((P - Y) / math.sqrt(2)).pow(2)),
    "cross_entropy": lambda: F.cross_entropy(P, LABELS),
    "label_smoothing": lambda: F.cross_entropy(P, LABELS, label_smoothing=0.1),
    "gce": lambda: (1 - chance() ** 0.7) / 0.7,
    "focal": lambda: -((1 - chance()) ** 2) * chance().log(),
    "symmetric_cross_entropy": lambda: 0.1 * F.cross_entropy(P, LABELS, reduction="none") + reverse(),
    "probability_error": lambda: error(1),
    "brier": lambda: error(2),
    "hinge": lambda: F.multi_margin_loss(P, LABELS),
    "dpo": lambda: -F.logsigmoid(0.1 * margin()),
    "ipo": lambda: (margin() - 1 / (2 * 0.1)) ** 2,
    "slic": lambda: torch.relu(1 - ANSWERS[0] + ANSWERS[1]),
}
TORCHS: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.02),
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.02, momentum=0.9),
    "nesterov": lambda weights: torch.optim.SGD(weights, lr=0.02, momentum=0.9, nesterov=True),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=0.02),
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.02),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.02),
}


def inputs_of(name: str) -> list[Tensor]:
    return {"amounts": [P, Y], "classes": [P, LABELS], "preferences": ANSWERS}[library()[name].signature.split()[1]]


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_the_formulas_of_their_papers(name: str) -> None:
    losses, *_ = run(*encode(library()[name]), inputs_of(name))
    torch.testing.assert_close(losses.mean(), LOSSES[name]().mean(), rtol=1e-12, atol=1e-12)


def weights(step: int) -> dict[str, Tensor]:
    """Leaves of odd shapes; as gradients, some are 0 now and then, and all of them at first."""
    generator = torch.Generator().manual_seed(step)
    drawn = {name: torch.randn(shape, generator=generator, dtype=torch.float64)
             for name, shape in {"a": (3, 5), "b": (7,), "c": (2, 1, 3), "d": ()}.items()}  # fmt: skip
    drawn["b"][step % 7] = 0
    return {name: leaf * (step != 1) for name, leaf in drawn.items()}


def moved(name: str, steps: int = 20) -> dict[str, Tensor]:
    rule, now = Program(update_program=name, lr=0.02), weights(0)
    phi, slots = rule.init(now), rule.slots(now)
    for step in range(1, steps + 1):
        gradients = dict(reversed(weights(step).items()))  # in another order than the weights
        now, slots = rule.update(phi, now, gradients, slots)
    return now


@pytest.mark.parametrize("name", TORCHS)
def test_updates_are_torchs(name: str) -> None:
    at = {leaf: weight.clone().requires_grad_() for leaf, weight in weights(0).items()}
    optimizer = TORCHS[name](list(at.values()))
    for step in range(1, 21):
        for leaf, gradient in weights(step).items():
            at[leaf].grad = gradient
        optimizer.step()
    near: dict[str, Any] = {"rtol": 0, "atol": 0} if name == "sgd" else {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(moved(name), {leaf: weight.detach() for leaf, weight in at.items()}, **near)


def test_lion_and_sign_sgd_are_their_algorithms() -> None:
    """Chen et al. 2023, algorithm 2, line by line; Bernstein et al. 2018, algorithm 1."""
    lion, signs = weights(0), weights(0)
    means = {leaf: torch.zeros_like(weight) for leaf, weight in lion.items()}
    for step in range(1, 21):
        for leaf, gradient in weights(step).items():
            lion[leaf] = lion[leaf] - 0.02 * torch.sign(0.9 * means[leaf] + (1 - 0.9) * gradient)
            means[leaf] = 0.99 * means[leaf] + (1 - 0.99) * gradient
            signs[leaf] = signs[leaf] - 0.02 * torch.sign(gradient)
    torch.testing.assert_close(moved("lion"), lion, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved("sign_sgd"), signs, rtol=1e-12, atol=1e-12)


def test_nothing_ships_untested() -> None:
    assert {*library()} == {*LOSSES, *TORCHS, "lion", "sign_sgd"}


def test_the_programs_of_sgd_are_the_rule_sgd_bitwise() -> None:
    """rule=sgd on the task's own objective, which is cross-entropy here."""
    x, weight = torch.randn(7, 4, generator=GENERATOR), {"w": torch.randn(4, 5, generator=GENERATOR)}
    reach = Reach(
        lambda params, x: x @ params["w"], lambda found, batch: F.cross_entropy(found, batch["y"], reduction="none")
    )
    ends: list[tuple[Tensor, Tensor]] = []
    for rule in (SGD(lr=0.1), Program("cross_entropy", lr=0.1), Program(None, lr=0.1)):
        at = {"w": weight["w"].clone().requires_grad_()}
        phi = rule.init(weight)
        loss = rule.loss(phi, at, rule.slots(weight), {"x": x, "y": LABELS}, reach)
        grads = dict(zip(at, torch.autograd.grad(loss, [*at.values()]), strict=True))
        ends.append((loss.detach(), rule.update(phi, weight, grads, rule.slots(weight))[0]["w"]))
    plain, program, process = ends
    assert torch.equal(process[0], plain[0])
    assert torch.equal(process[1], plain[1])
    torch.testing.assert_close(program, plain)
