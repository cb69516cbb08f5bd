"""The bandit: closed forms of P, its derivative and H, and pulls that follow them."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.task.bandit import Bandit

LOGITS = torch.tensor([0.3, -0.4, 0.1, 0.7, 9.0], dtype=torch.float64)  # the last is the value
WORTH = torch.tensor([1.0, -1.0, 0.5, 2.0], dtype=torch.float64)


def act(logits: Tensor, x: Tensor) -> Tensor:
    return x * logits


def test_p_is_minus_what_is_expected_and_h_what_the_pulled_arm_is_worth() -> None:
    task = Bandit(pulls=3, bonus=0.25, dtype="float64")
    batch = task.sample({"worth": WORTH}, partial(act, LOGITS), uniform(0, "train", 0, (task.noise["train"],)), "train")
    prediction = act(LOGITS, batch["x"])
    expected = (torch.softmax(LOGITS[:4], dim=0) * (WORTH + torch.tensor([0, 0, 0, 0.25]))).sum()
    torch.testing.assert_close(task.objective({"worth": WORTH}, prediction, batch), -expected.expand(3))
    assert torch.equal(task.human({"worth": WORTH}, prediction, batch), WORTH[batch["action"][:, 0]])


def test_pulls_pay_what_is_expected_on_the_mean() -> None:
    """And the derivative through them is the closed form's, to the noise of 20,000 pulls."""
    tasks = [Bandit(pulls=20000, bonus=-1.5, exact=exact, dtype="float64") for exact in (True, False)]
    noise, logits = uniform(0, "train", 0, (40000,)), LOGITS.clone().requires_grad_()
    found = []
    for task in tasks:
        batch = task.sample({"worth": WORTH}, partial(act, logits), noise, "train")
        p = task.objective({"worth": WORTH}, act(logits, batch["x"]), batch).mean()
        found.append((p.detach(), torch.autograd.grad(p, logits)[0]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0.02)
    assert float(found[0][1].norm()) > 0.2


def test_many_are_sampled_as_one_is() -> None:
    task = Bandit(pulls=5, dtype="float64")
    noise, worth = uniform(0, "train", 0, (3, 10)), uniform(0, "worth", 0, (3, 4))

    def one(w: Tensor, u: Tensor) -> dict[str, Tensor]:
        return dict(task.sample({"worth": w}, partial(act, LOGITS), u, "train"))

    together = vmap(one)(worth, noise)
    for n in range(3):
        assert all(torch.equal(leaf, together[name][n]) for name, leaf in one(worth[n], noise[n]).items())


def test_tasks_are_standard_normal() -> None:
    worth = vmap(lambda u: Bandit().draw(u, held_out=False)["worth"])(uniform(0, "draw", 0, (2000, 4)))
    assert [float(worth.mean()), float(worth.std())] == pytest.approx([0, 1], abs=0.05)


@pytest.mark.parametrize("told", [{"arms": 1}, {"pulls": 0}, {"spread": -1.0}], ids=str)
def test_nothing_to_choose_is_refused(told) -> None:
    with pytest.raises(ConfigError, match=r"task\.arms"):
        Bandit(**told)
