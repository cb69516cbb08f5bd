"""A planner as a rule: an inner step is a plan, and an edit of its reward changes what it thinks moves are worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sandbox.compose import composed
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Reach
from sandbox.core.random import uniform
from sandbox.experiment import build_loop
from sandbox.rule.planning import Planning
from sandbox.task.slippery_grid import SlipperyGrid

TASK = SlipperyGrid(dtype="float64")
DRAWN = TASK.draw(uniform(3, "draw", 0, (16,)), held_out=False)
BATCH = TASK.sample(DRAWN, lambda x: x, torch.zeros(0), "train")
WEIGHTS = {"w": uniform(0, "weights", 0, (80,))}
REACH = Reach(lambda params, x: x @ params["w"][None], lambda prediction, batch: prediction.sum(dim=-1))


def stepped(rule: Planning, phi: dict[str, torch.Tensor]) -> torch.Tensor:
    """Weights [S, A] after one inner step."""
    at = {"w": WEIGHTS["w"].clone().requires_grad_()}
    (slope,) = torch.autograd.grad(rule.loss(phi, at, {}, BATCH, REACH), [at["w"]])
    return rule.update(phi, WEIGHTS, {"w": slope}, {})[0]["w"].reshape(16, 5)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_an_inner_step_is_so_many_backups_from_nothing(depth: int) -> None:
    rule, bonus = Planning(depth=depth, temperature=1e-5), uniform(1, "bonus", 0, (16,))
    goes, value = BATCH["transitions"][0], torch.zeros(16, dtype=torch.float64)
    for _ in range(depth):
        q = goes @ (DRAWN["paid"] + bonus + 0.95 * value)
        value = q.amax(dim=-1)
    assert torch.allclose(stepped(rule, {"bonus": bonus}), q, atol=1e-3)


def test_a_shaping_moves_a_short_plan_and_not_a_long_one() -> None:
    potential = uniform(1, "potential", 0, (16,))
    for depth, same in ((1, False), (400, True)):
        rule = Planning(depth=depth, temperature=1e-5, internal="shaping")
        q, shaped = (stepped(rule, {"potential": scale * potential}) for scale in (0, 1))
        advantage, after = (one - one.amax(dim=-1, keepdim=True) for one in (q, shaped))
        assert torch.allclose(advantage, after, atol=1e-3) is same


def test_a_planner_needs_a_world() -> None:
    with pytest.raises(ConfigError, match="transitions"):
        Planning().loss({"bonus": torch.zeros(16)}, WEIGHTS, {}, {"x": BATCH["x"]}, REACH)
    with pytest.raises(ConfigError, match=r"rule\.states"):
        Planning(states=9).loss({"bonus": torch.zeros(9)}, WEIGHTS, {}, BATCH, REACH)
    with pytest.raises(ConfigError, match=r"rule\.depth"):
        Planning(depth=0)


def test_a_search_finds_a_reward_by_which_a_short_sighted_agent_serves_better() -> None:
    found = {}
    for arm in ("b_plain_1", "b_searched_1"):
        config = composed([f"experiment=claim/{arm}", "seed=1000", "seeds=2", "steps=15", "check=off"])
        loop = replace(build_loop(config), check=False)
        *_, last = loop.run([1000, 1001], config["steps"])
        found[arm] = last.readings
    plain, searched = found.values()
    assert bool((searched["performance/human"] > plain["performance/human"] + 0.05).all())
    assert bool((plain["reward_string/human_process"] < 1e-7).all())
    assert bool((plain["reward_string/slack"] < 1e-7).all())
    assert bool((searched["reward_string/slack"] > 0.1).all())
