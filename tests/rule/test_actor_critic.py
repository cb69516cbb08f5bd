"""The actor and its critic: advantages by hand at the ends of discount and trace, and what derivatives pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Reach
from sandbox.rule.actor_critic import ActorCritic

LIFE = Reach(lambda params, x: x @ params["w"], lambda prediction, batch: prediction.sum(dim=(1, 2)))


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# One feature a moment: 1, 2, 3 and 4. The policy is uniform everywhere, the value is the feature itself.
X = double([[1.0], [2.0], [3.0], [4.0]])[None]
WEIGHTS = {"w": double([[0.0, 0.0, 1.0]])}
REWARD = double([[5.0, -1.0, 2.0, 0.0]])


def batch(*, terminal: float = 0.0, steps: int = 3) -> dict[str, Tensor]:
    alive = (torch.arange(4) < steps).double()[None]
    ends = (torch.arange(4) == steps - 1).double()[None] * terminal
    return {"x": X, "action": torch.tensor([[0, 1, 0, 0]]), "reward": REWARD * alive, "alive": alive, "terminal": ends,
            "policy": torch.zeros(1, 4, 2, dtype=torch.float64)}  # fmt: skip


def loss(rule: ActorCritic, episodes: dict[str, Tensor], params: dict[str, Tensor] = WEIGHTS) -> Tensor:
    return rule.loss(rule.init(WEIGHTS), params, rule.slots(WEIGHTS), episodes, LIFE)


def earned(rule: ActorCritic, **told: float) -> float:
    """The mean of g."""
    return -float(loss(rule, batch(**told)))


def test_without_discount_only_the_step_itself_counts() -> None:
    assert earned(ActorCritic(discount=0, value=0, entropy=0)) == pytest.approx((5 - 1 + 2) / 3)


def test_a_full_trace_looks_to_the_end_and_on_by_the_critic() -> None:
    """Time ran out: what is to come is the critic's 4. Rewards are over T = 3."""
    g = [(5 - 1 + 2) / 3 + 4, (-1 + 2) / 3 + 4, 2 / 3 + 4]
    assert earned(ActorCritic(discount=1, trace=1, value=0, entropy=0)) == pytest.approx(sum(g) / 3)
    ended = [(5 - 1 + 2) / 3, (-1 + 2) / 3, 2 / 3]
    assert earned(ActorCritic(discount=1, trace=1, value=0, entropy=0), terminal=1) == pytest.approx(sum(ended) / 3)


def test_no_trace_looks_one_step_on() -> None:
    c = 1 + 0.5 + 0.25
    g = [5 / c + 0.5 * 2, -1 / c + 0.5 * 3, 2 / c + 0.5 * 4]
    assert earned(ActorCritic(discount=0.5, trace=0, value=0, entropy=0)) == pytest.approx(sum(g) / 3)


def test_a_trace_between_mixes_and_stops_at_the_end_of_an_episode() -> None:
    c, y = 1.75, 0.5 * 0.8
    surprise = [5 / c + 0.5 * 2 - 1, -1 / c + 0.0 - 2]  # the second step ends it
    g = [surprise[0] + y * surprise[1] + 1, surprise[1] + 2]
    rule = ActorCritic(discount=0.5, trace=0.8, value=0, entropy=0)
    assert earned(rule, terminal=1, steps=2) == pytest.approx(sum(g) / 2)


def test_the_value_is_drawn_to_what_was_earned_and_the_policy_by_the_advantage() -> None:
    params = {"w": WEIGHTS["w"].clone().requires_grad_()}
    found = loss(ActorCritic(discount=0, value=1.0, entropy=0), batch(), params)
    (slope,) = torch.autograd.grad(found, params["w"])
    advantage = [5 - 1, -1 - 2, 2 - 3]
    pull = -(0.5 * 1 * advantage[0] - 0.5 * 2 * advantage[1] + 0.5 * 3 * advantage[2]) / 3
    towards = -(1 * advantage[0] + 2 * advantage[1] + 3 * advantage[2]) / 3
    assert slope[0].tolist() == pytest.approx([pull, -pull, towards])


def test_no_inner_gradient_passes_the_critic_and_a_hypergradient_does() -> None:
    rule, episodes = ActorCritic(entropy=0), batch()
    params = {"w": WEIGHTS["w"].clone().requires_grad_()}
    slots = {name: leaf.clone().requires_grad_() for name, leaf in rule.slots(WEIGHTS).items()}
    found = rule.loss(rule.init(WEIGHTS), params, slots, episodes, LIFE)
    (grad,) = torch.autograd.grad(found, params["w"], create_graph=True)
    (passes,) = torch.autograd.grad(grad.sum(), slots["critic.w"])
    assert bool(passes.any())


def test_a_step_has_the_derivative_in_phi_that_differences_have() -> None:
    rule, episodes = ActorCritic(), batch()

    def moved(phi: dict[str, Tensor]) -> Tensor:
        params = {"w": WEIGHTS["w"].clone().requires_grad_()}
        found = rule.loss(phi, params, rule.slots(WEIGHTS), episodes, LIFE)
        (grad,) = torch.autograd.grad(found, params["w"], create_graph=True)
        after, _ = rule.update(phi, WEIGHTS, {"w": grad}, rule.slots(WEIGHTS) | {"v.w": torch.ones_like(grad)})
        return (after["w"] * double([[1.0, 2.0, -3.0]])).sum()

    start = rule.init(WEIGHTS)
    for name in start:
        at = start[name].clone().requires_grad_()
        (slope,) = torch.autograd.grad(moved({**start, name: at}), at)
        ends = [float(moved({**start, name: start[name] + h}).detach()) for h in (1e-5, -1e-5)]
        assert float(slope) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6), name


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_the_critic_follows_the_weights(rate: float) -> None:
    rule = ActorCritic(critic_rate=rate)
    moved, slots = rule.update(rule.init(WEIGHTS), WEIGHTS, {"w": torch.ones(1, 3).double()}, rule.slots(WEIGHTS))
    torch.testing.assert_close(slots["critic.w"], WEIGHTS["w"] + rate * (moved["w"] - WEIGHTS["w"]))


def test_a_prediction_without_a_value_is_refused() -> None:
    episodes = {**batch(), "policy": torch.zeros(1, 4, 3, dtype=torch.float64)}
    with pytest.raises(ConfigError, match=r"task\.value=true"):
        loss(ActorCritic(), episodes)


@pytest.mark.parametrize(("field", "value"), [("trace", 1.5), ("value", -1.0), ("critic_rate", 2.0)])
def test_a_start_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"rule.{field}"):
        ActorCritic(**{field: value})
