"""A slippery grid: what is best in it, and that its tables are the world that it scores in."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.measure.mdp import MDP
from sandbox.task.slippery_grid import SlipperyGrid

TASK = SlipperyGrid(sharpness=1.0, dtype="float64")
DRAWN = TASK.draw(uniform(3, "draw", 0, (16,)), held_out=False)
BATCH = TASK.sample(DRAWN, lambda x: x, torch.zeros(0), "test")


def world() -> tuple[MDP, torch.Tensor]:
    table = TASK.tables(DRAWN, BATCH)["return"]
    return MDP(table.transitions[0].numpy(), table.discount, table.start[0].numpy()), table.reward[0]


def useful(policy) -> float:
    return float(TASK.human(DRAWN, torch.as_tensor(policy).clamp(min=1e-300).log().reshape(1, -1), BATCH))


def test_random_moves_are_worth_nothing_and_the_best_ones_all() -> None:
    mdp, reward = world()
    assert useful(mdp.uniform) == pytest.approx(0, abs=1e-9)
    assert useful(mdp.optimal(reward.numpy())) == pytest.approx(1, abs=1e-5)
    assert useful(mdp.optimal(-reward.numpy())) < 0


def test_usefulness_is_the_return_in_its_tables() -> None:
    mdp, reward = world()
    policy = torch.softmax(uniform(0, "policy", 0, (16, 5)), dim=-1).numpy()
    earned = [mdp.performance(reward.numpy(), one) for one in (policy, mdp.uniform, mdp.optimal(reward.numpy()))]
    assert useful(policy) == pytest.approx((earned[0] - earned[1]) / (earned[2] - earned[1]), abs=1e-5)


def test_there_are_a_goal_and_pits_and_a_move_may_go_astray() -> None:
    assert sorted(DRAWN["paid"].tolist()) == [-1, -1, *[0] * 13, 1]
    goes = BATCH["transitions"][0]
    assert torch.allclose(goes.sum(dim=-1), torch.ones(16, 5, dtype=torch.float64))
    assert goes[5, 1, 1] == pytest.approx(0.9 + 0.1 / 5)  # up
    assert goes[5, 1, 9] == pytest.approx(0.1 / 5)


def test_a_grid_without_a_cell_to_walk_on_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"task\.pits"):
        SlipperyGrid(size=2, pits=3)
