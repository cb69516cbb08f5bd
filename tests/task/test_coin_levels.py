"""The grid with a coin in closed form: what is sampled elsewhere, to the digit, and where the coin may lie."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.measure.mdp import MDP
from sandbox.task.coin_grid import CoinGrid
from sandbox.task.coin_levels import CoinLevels
from sandbox.task.grid import neighbours

NONE = torch.zeros(0)


def policy(x: Tensor) -> Tensor:
    """Logits that depend on agent and coin."""
    weights = uniform(0, "weights", 0, (x.shape[-1], 5)).to(x)
    return 3 * torch.sin(7 * x @ weights)


def said(task: CoinLevels, split: str) -> tuple[Tensor, Tensor]:
    """P and H of that policy, averaged over levels."""
    batch = task.sample({}, policy, NONE, split)  # type: ignore[arg-type]
    prediction = policy(batch["x"])
    return task.objective({}, prediction, batch).mean(), task.human({}, prediction, batch).mean()


@pytest.mark.parametrize("goal", ["coin", "corner"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_it_is_what_the_sampled_grid_is_on_average(goal, split) -> None:
    exact = CoinLevels(size=3, steps=6, goal=goal, elsewhere=0.25, discount=1.0, dtype="float64")
    drawn = CoinGrid(size=3, steps=6, goal=goal, elsewhere=0.25, episodes=40_000, value=False, dtype="float64")
    batch = drawn.sample({}, policy, uniform(1, split, 0, (drawn.noise[split],)), split)
    rewards = batch["reward"].sum(dim=1)
    p, h = said(exact, split)
    assert float(-p) == pytest.approx(float(rewards.mean()), abs=4 * float(rewards.std()) / 200)
    if goal == "coin":  # else an episode that reached the corner is over in the sampled grid
        assert float(h) == pytest.approx(float(rewards.mean()), abs=4 * float(rewards.std()) / 200)


def test_the_coin_lies_in_its_square_but_for_a_share() -> None:
    task = CoinLevels(square=2, elsewhere=0.2)
    batch = task.sample({}, policy, NONE, "train")
    near = {coin: w for coin, w in zip(batch["coin"].tolist(), batch["weight"].tolist(), strict=True) if w > 1}
    assert sorted(near) == [3, 4, 8, 9]
    assert sum(near.values()) / len(batch["coin"]) == pytest.approx(0.8)
    assert float(batch["weight"].mean()) == pytest.approx(1)
    assert CoinLevels(square=2).sample({}, policy, NONE, "train")["coin"].tolist() == [3, 4, 8, 9]
    deployed = CoinLevels(square=2).sample({}, policy, NONE, "test")["coin"].tolist()
    assert sorted([*deployed, 3, 4, 8, 9]) == list(range(25))


def test_tables_are_the_same_problems() -> None:
    task = CoinLevels(size=3, steps=400, goal="corner", discount=0.9, dtype="float64")
    batch = task.sample({}, policy, NONE, "test")
    acts = task.policy(policy(batch["x"]))
    p = task.objective({}, policy(batch["x"]), batch)
    table = task.tables({}, batch)["corner"]
    for n in range(len(acts)):
        world = MDP(table.transitions[n].numpy(), table.discount, table.start[n].numpy())
        assert world.performance(table.reward[n].numpy(), acts[n].numpy()) == pytest.approx(-float(p[n]))


def test_cases_are_told_by_distances_and_their_chances_make_up_h() -> None:
    task = CoinLevels(size=3, dtype="float64")
    batch = task.sample({}, policy, NONE, "test")
    told, chances = task.cases({}, batch), task.chances({}, task.policy(policy(batch["x"])), batch)
    first = int((told["group"] == 0).nonzero()[0, 0])  # the coin at the top left, the agent beside it
    assert told["features"][first].tolist() == [1, 2, 1]
    each = torch.stack([chances[told["group"] == coin].mean() for coin in batch["coin"]])
    assert torch.allclose(each, task.human({}, policy(batch["x"]), batch))


def test_walls_hold() -> None:
    assert neighbours(2)[1].tolist() == [1, 1, 3, 0, 1]


@pytest.mark.parametrize("told", [{"square": 5}, {"steps": 0}, {"elsewhere": -0.1}, {"discount": 0.0}], ids=str)
def test_what_leaves_no_deployment_is_refused(told) -> None:
    with pytest.raises(ConfigError):
        CoinLevels(**told)
