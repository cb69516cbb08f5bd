"""The grid with a coin: where things begin, how they move, when it ends, and that P and H part in deployment."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Split
from sandbox.core.random import uniform
from sandbox.task.coin_grid import CoinGrid

STAY, UP, DOWN, LEFT, RIGHT = range(5)


def heading(*actions: int):
    """A policy that takes one of these actions, the same all along."""
    logits = torch.full((6,), -1000.0)
    logits[list(actions)] = 0
    return lambda x: logits.to(x.dtype).expand(*x.shape[:-1], 6)


def lived(task: CoinGrid, act: Any, split: Split = "train", seed: int = 0) -> dict[str, Tensor]:
    return dict(task.sample({}, act, uniform(seed, split, 0, (task.noise[split],)), split))


def places(task: CoinGrid, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Cells of agent and coin [n, T + 1]."""
    agent, coin = batch["x"].split(task.cells, dim=-1)
    assert bool((agent.sum(dim=-1) == 1).all())
    assert bool((coin.sum(dim=-1) == 1).all())
    return agent.argmax(dim=-1), coin.argmax(dim=-1)


def test_it_begins_anywhere_but_on_the_coin_and_the_corner() -> None:
    task = CoinGrid(size=3, steps=1, episodes=3000, elsewhere=0.25)
    agent, coin = (cells[:, 0] for cells in places(task, lived(task, heading(STAY))))
    assert not bool((agent == coin).any())
    assert not bool((agent == task.corner).any())
    counts = torch.bincount(coin, minlength=9) / 3000
    assert float(counts[task.corner]) == pytest.approx(0.75, abs=0.02)
    assert (counts[[c for c in range(9) if c != 2]] * 8).tolist() == pytest.approx([0.25] * 8, abs=0.08)
    assert torch.bincount(agent, minlength=9).nonzero()[:, 0].tolist() == [0, 1, 3, 4, 5, 6, 7, 8]
    deployed = places(task, lived(task, heading(STAY), "test"))[1]
    assert not bool((deployed == task.corner).any())


@pytest.mark.parametrize(
    ("action", "by"), [(STAY, (0, 0)), (UP, (-1, 0)), (DOWN, (1, 0)), (LEFT, (0, -1)), (RIGHT, (0, 1))]
)
def test_a_step_goes_one_cell_and_walls_hold(action: int, by: tuple[int, int]) -> None:
    task = CoinGrid(size=4, steps=1, episodes=200)
    agent, _ = places(task, lived(task, heading(action)))
    for before, after in agent.tolist():
        row, column = (min(3, max(0, at + d)) for at, d in zip(divmod(before, 4), by, strict=True))
        assert after == 4 * row + column


def test_reaching_the_goal_pays_once_and_ends_the_episode() -> None:
    task = CoinGrid(size=3, steps=12, episodes=100)
    batch = lived(task, heading(UP, RIGHT))
    agent, coin = places(task, batch)
    reached = (agent[:, 1:] == coin[:, 1:]).int().argmax(dim=1)
    assert float(batch["reward"].sum()) == pytest.approx(100, abs=3)
    for n in range(100):
        if batch["reward"][n].any():
            end = int(reached[n])
            assert batch["reward"][n].nonzero().flatten().tolist() == [end]
            assert batch["terminal"][n].tolist() == batch["reward"][n].tolist()
            assert batch["alive"][n].tolist() == [1.0] * (end + 1) + [0.0] * (12 - end)
            assert bool((agent[n, end + 1 :] == coin[n, 0]).all())
        else:
            assert batch["alive"][n].tolist() == [1.0] * 12 + [0.0]


def test_an_agent_that_goes_to_the_corner_looks_well_in_training_alone() -> None:
    for goal in ("coin", "corner"):
        task = CoinGrid(size=3, steps=12, episodes=200, goal=goal)
        seen = {split: lived(task, heading(UP, RIGHT), split) for split in ("train", "test")}
        p = {split: -float(task.objective({}, heading(UP)(batch["x"]), batch).mean()) for split, batch in seen.items()}
        h = {split: float(task.human({}, batch["x"], batch).mean()) for split, batch in seen.items()}
        assert p["train"] == h["train"] > 0.97
        assert h["test"] < 0.5
        assert p["test"] == h["test"] if goal == "coin" else p["test"] > 0.97


def test_the_coin_counts_where_it_is_passed_on_the_way() -> None:
    task = CoinGrid(size=2, steps=2, episodes=1, goal="corner")
    cells = torch.eye(4)
    x = torch.cat([cells[[0, 2, 3]], cells[[2, 2, 2]]], dim=1)[None]
    alive = torch.tensor([[1.0, 1.0, 0.0]])
    assert task.human({}, x, {"x": x, "alive": alive}).tolist() == [1]
    assert task.human({}, x, {"x": x, "alive": torch.zeros(1, 3)}).tolist() == [0]


def test_many_are_sampled_as_one_is() -> None:
    task = CoinGrid(episodes=4, steps=6, elsewhere=0.5, dtype="float64")
    weights = uniform(0, "weights", 0, (3, 50, 6))
    noise = uniform(0, "train", 0, (3, task.noise["train"]))

    def one(w: Tensor, u: Tensor) -> dict[str, Tensor]:
        return dict(task.sample({}, partial(torch.matmul, other=w), u, "train"))

    together = vmap(one)(weights, noise)
    for n in range(3):
        alone = one(weights[n], noise[n])
        assert all(torch.allclose(leaf, together[name][n], rtol=0, atol=1e-12) for name, leaf in alone.items())


@pytest.mark.parametrize("told", [{"size": 1}, {"steps": 0}, {"elsewhere": 1.5}], ids=str)
def test_no_way_to_go_is_refused(told) -> None:
    with pytest.raises(ConfigError, match=r"task\.size"):
        CoinGrid(**told)
