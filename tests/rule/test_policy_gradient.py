"""REINFORCE: its gradient against enumeration, what its discount and its baseline do at their ends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Reach
from sandbox.rule.policy_gradient import PolicyGradient

LIFE = Reach(lambda params, x: x @ params["w"], lambda prediction, batch: prediction.sum(dim=(1, 2)))


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


WEIGHTS = {"w": double([[0.3, -0.4, 0.1]])}
REWARD = double([[1.0, 2.0, 4.0, 0.0], [3.0, 0.0, 0.0, 0.0]])


def batch(action: object, reward: Tensor, alive: Tensor | None = None) -> dict[str, Tensor]:
    n, rows = reward.shape
    alive = torch.cat([torch.ones(n, rows - 1), torch.zeros(n, 1)], dim=1).double() if alive is None else alive
    x = torch.ones(n, rows, 1, dtype=torch.float64)
    return {"x": x, "action": torch.as_tensor(action), "reward": reward, "alive": alive,
            "terminal": torch.zeros_like(reward), "policy": torch.zeros(n, rows, 3, dtype=torch.float64)}  # fmt: skip


def loss(rule: PolicyGradient, params: dict[str, Tensor], episodes: dict[str, Tensor]) -> Tensor:
    return rule.loss(rule.init(params), params, rule.slots(params), episodes, LIFE)


@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_its_expected_gradient_is_that_of_the_expected_reward(baseline: float) -> None:
    rule, paid = PolicyGradient(entropy=0.0, baseline=baseline), double([1.0, -2.0, 0.5])
    p = torch.softmax(WEIGHTS["w"][0], dim=0)
    found = torch.zeros(1, 3, dtype=torch.float64)
    for a in range(3):
        for b in range(3):
            w = WEIGHTS["w"].clone().requires_grad_()
            reward = torch.stack([paid[[a, b]], torch.zeros(2)], dim=1)
            (slope,) = torch.autograd.grad(loss(rule, {"w": w}, batch([[a, 0], [b, 0]], reward)), w)
            found += p[a] * p[b] * slope
    w = WEIGHTS["w"].clone().requires_grad_()
    (closed,) = torch.autograd.grad(-(torch.softmax(w[0], dim=0) * paid).sum(), w)
    torch.testing.assert_close(found, closed, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("discount", "expected"),
    [(0.0, [1, 2, 4, 3]), (1.0, [7 / 3, 6 / 3, 4 / 3, 1]), (0.5, [3 / 1.75, 4 / 1.75, 4 / 1.75, 3 / 1.75])],
)  # fmt: skip
def test_it_reads_as_minus_what_is_earned_from_each_step_on(discount: float, expected: list[float]) -> None:
    """In units of what a step is paid: over 1, over the number of steps, over 1 + ½ + ¼."""
    rule = PolicyGradient(discount=discount, entropy=0.0)
    found = loss(rule, WEIGHTS, batch(torch.zeros(2, 4, dtype=torch.int64), REWARD))
    assert float(found) == pytest.approx(-sum(expected) / 6, rel=1e-9)


def test_steps_after_the_end_count_for_nothing() -> None:
    alive = double([[1, 1, 1, 0], [1, 0, 0, 0]])
    episodes = batch(torch.zeros(2, 4, dtype=torch.int64), REWARD, alive)
    assert float(loss(PolicyGradient(discount=0, entropy=0), WEIGHTS, episodes)) == pytest.approx(-(1 + 2 + 4 + 3) / 4)
    w = WEIGHTS["w"].clone().requires_grad_()
    other = {**episodes, "action": torch.tensor([[0, 0, 0, 2], [0, 1, 2, 1]])}
    slopes = [torch.autograd.grad(loss(PolicyGradient(), {"w": w}, each), w)[0] for each in (episodes, other)]
    assert torch.equal(*slopes)


def test_a_full_baseline_leaves_nothing_to_pull_where_all_earn_alike() -> None:
    episodes = batch([[0, 1, 2, 0], [2, 2, 1, 0]], REWARD[:1].expand(2, 4))
    slopes = []
    for baseline in (1.0, 0.0):
        w = WEIGHTS["w"].clone().requires_grad_()
        slopes.append(torch.autograd.grad(loss(PolicyGradient(entropy=0, baseline=baseline), {"w": w}, episodes), w)[0])
    torch.testing.assert_close(slopes[0], torch.zeros_like(slopes[0]), rtol=0, atol=1e-12)
    assert float(slopes[1].norm()) > 0.1


def test_entropy_pulls_towards_the_uniform_policy() -> None:
    w = WEIGHTS["w"].clone().requires_grad_()
    episodes = batch(torch.zeros(2, 4, dtype=torch.int64), torch.zeros_like(REWARD))
    found = loss(PolicyGradient(entropy=0.5), {"w": w}, episodes)
    p = torch.softmax(w[0].detach(), dim=0)
    assert float(found.detach()) == pytest.approx(0.5 * float((p * p.log()).sum()))
    (slope,) = torch.autograd.grad(found, w)
    assert int(slope.argmax()) == int(p.argmax())


def test_phi_is_read_as_the_configured_value() -> None:
    rule = PolicyGradient(lr=0.003, discount=0.9, baseline=0.25, entropy=0.125)
    told = {name: float(value) for name, value in rule.readable(rule.init(WEIGHTS)).items()}
    assert told == pytest.approx({"lr": 0.003, "discount": 0.9, "baseline": 0.25, "entropy": 0.125}, rel=1e-9)
    at = {name: float(value) for name, value in rule.place(rule.init(WEIGHTS)).items()}
    assert at["discount"] == pytest.approx(0.9)
    assert at["lr"] == pytest.approx(1 - torch.log(double(0.003)).item() / torch.log(double(1e-5)).item())


def test_its_step_is_that_of_adam() -> None:
    rule, theirs = PolicyGradient(lr=0.01), WEIGHTS["w"].clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.01)
    ours, slots, phi = dict(WEIGHTS), rule.slots(WEIGHTS), rule.init(WEIGHTS)
    for step in range(4):
        grad = torch.sin(torch.arange(3.0).double() + step)[None]
        theirs.grad = grad.clone()
        optimizer.step()
        ours, slots = rule.update(phi, ours, {"w": grad}, slots)
    torch.testing.assert_close(ours["w"], theirs.detach(), rtol=1e-10, atol=1e-12)


def test_a_weight_that_never_moves_has_finite_derivatives() -> None:
    rule, phi = PolicyGradient(), PolicyGradient().init(WEIGHTS)
    grads = {"w": double([[0.0, 1.0, 2.0]]).requires_grad_()}
    moved, _ = rule.update(phi, WEIGHTS, grads, rule.slots(WEIGHTS))
    (slope,) = torch.autograd.grad(moved["w"].sum(), grads["w"])
    assert bool(torch.isfinite(slope).all())


def test_a_batch_that_is_no_episodes_is_refused() -> None:
    supervised = {"x": torch.ones(2, 1, 1).double(), "y": torch.zeros(2)}
    with pytest.raises(ConfigError, match=r"without action, reward.*task=gymnasium"):
        loss(PolicyGradient(), WEIGHTS, supervised)


@pytest.mark.parametrize(("field", "value"), [("lr", 2.0), ("lr", 0.0), ("discount", 1.1), ("entropy", -0.1)])
def test_a_start_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"rule.{field}"):
        PolicyGradient(**{field: value})
