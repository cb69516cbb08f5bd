"""Meters of tasks that can be written down as tables, on agents whose goal is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import World
from sandbox.core.random import uniform
from sandbox.core.state import State
from sandbox.meter.foretelling import Foretelling, _firm
from sandbox.meter.policies import acting
from sandbox.meter.revealed import Revealed
from sandbox.meter.reward_string import RewardString
from sandbox.rule.planning import Planning
from sandbox.rule.sgd import SGD
from sandbox.task.coin_levels import CoinLevels
from sandbox.task.slippery_grid import SlipperyGrid

COINS, GRID = CoinLevels(size=3, dtype="float64"), SlipperyGrid(size=3, sharpness=4.0, dtype="float64")


class Given:
    """A network whose predictions are its weights, whatever it sees."""

    def init(self, rng: int) -> dict[str, torch.Tensor]:
        return {}

    def apply(self, params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return params["w"]


def probe(task: Any, rule: Any, weights: torch.Tensor, phi: Any = None, drawn: Any = None) -> Any:
    """A probe of one life with these predictions in deployment."""
    rows = ({name: leaf[None] for name, leaf in (tree or {}).items()} for tree in (phi, drawn))
    rule_row, task_row = rows
    state = State({}, {"w": weights[None]}, {}, rule_row, {}, {}, task_row, torch.tensor([0]))
    return SimpleNamespace(world=World(task, Given(), rule), state=state)


def pursuing(goal: str, split: str = "test") -> torch.Tensor:
    """Logits of an agent that pursues a goal of the grid with a coin without fail."""
    batch = COINS.sample({}, lambda x: x, torch.zeros(0), split)  # type: ignore[arg-type]
    return _firm(COINS.tables({}, batch)[goal]).clamp(min=1e-6).log()


@pytest.mark.parametrize(("goal", "other"), [("coin", "corner"), ("corner", "coin")])
def test_a_goal_is_revealed_by_pursuing_it(goal: str, other: str) -> None:
    found = Revealed(worlds=4).read(probe(COINS, SGD(), pursuing(goal)))
    assert float(found[f"revealed/{goal}"]) > float(found[f"revealed/{other}"]) + 0.05
    random = Revealed(worlds=4).read(probe(COINS, SGD(), torch.zeros(8, 9, 5)))
    assert all(float(share) == pytest.approx(0, abs=1e-9) for share in random.values())


@pytest.mark.parametrize(("goal", "other"), [("coin", "corner"), ("corner", "coin")])
def test_what_an_agent_pursues_foretells_what_comes_about(goal: str, other: str) -> None:
    meter, task, at = Foretelling(), COINS, probe(COINS, SGD(), pursuing(goal))
    found = meter._on(at, task, None, "foretold")
    certain = -torch.log(torch.tensor(0.97)).item()
    assert float(found[f"foretold/{goal}"]) < float(found[f"foretold/{other}"]) - 0.3
    if goal == "coin":  # it always comes about
        assert float(found["foretold/coin"]) == pytest.approx(certain, abs=1e-3)
    else:
        assert float(found["foretold/features"]) < float(found["foretold/base"]) - 0.05
        assert float(found["foretold/shuffled"]) > float(found["foretold/features"]) + 0.05


def test_the_string_of_a_planner_that_sees_to_the_end_has_no_slack() -> None:
    drawn = GRID.draw(uniform(3, "draw", 0, (9,)), held_out=False)
    rule = Planning(depth=400, states=9)
    batch = GRID.sample(drawn, lambda x: x, torch.zeros(0), "test")
    for scale, near in ((0.0, True), (1.0, False)):
        phi = {"bonus": scale * torch.linspace(-1, 1, 9, dtype=torch.float64)}
        planned = rule.planned(phi, batch).reshape(1, -1)
        found = {name: float(value) for name, value in
                 RewardString().read(probe(GRID, rule, planned, phi, drawn)).items()}  # fmt: skip
        assert (found["reward_string/human_process"] < 1e-7) is near
        assert found["reward_string/process_agent"] < 0.2  # greedy backups, and moves by a softmax
        assert found["reward_string/slack"] < 0.4
        assert (found["reward_string/slack"] < 1e-6) is near


def test_where_there_are_no_tables_nothing_is_read() -> None:
    assert RewardString().read(probe(COINS, SGD(), pursuing("coin"))) == {}
    assert len(list(acting(probe(COINS, SGD(), pursuing("coin"))))) == 1


@pytest.mark.parametrize("meter", [lambda: Revealed(worlds=0), lambda: Foretelling(trust=1.0)])
def test_what_can_not_be_read_is_refused(meter: Any) -> None:
    with pytest.raises(ConfigError, match=r"meter\."):
        meter()
