"""Acting from end to end: a seed alone, replays, and worlds of one's own as the docs tell of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sandbox import experiment
from sandbox.archive.lineage import read
from sandbox.compose import composed
from sandbox.core.error import SandboxError
from sandbox.core.protocols import Level, World
from sandbox.core.record import Verdict
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.measure.interval import paired
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.replay import replay
from sandbox.rule.actor_critic import ActorCritic
from sandbox.task.coin_grid import CoinGrid
from sandbox.task.gymnasium import Gymnasium

PAGE = (Path(__file__).parents[1] / "docs" / "environments.md").read_text()
SMALL = ["tracker=[jsonl]", "meter=[performance]", "steps=2", "horizon=2", "seeds=2", "task.episodes=2"]
WORLDS = {
    "gymnasium": Gymnasium(episodes=2, steps=12, dtype="float64"),
    "coin_grid": CoinGrid(size=3, episodes=4, steps=5, dtype="float64"),
}


def loop(task, model_dtype: str = "float64") -> Loop:
    def network() -> MLP:
        return MLP(task.inputs, task.outputs, (5,), dtype=model_dtype)  # type: ignore[arg-type]

    level = Level(MetaGradient(edits=("rule/discount", "rule/trace")), Always(), 2)
    return Loop(World(task, Module(network), ActorCritic()), Functional(), (level,), check=False)


@pytest.mark.parametrize("name", WORLDS)
def test_a_seed_alone_lives_as_it_does_in_a_batch_and_again(name: str) -> None:
    lives = loop(WORLDS[name])
    both, again, alone = (list(lives.run(seeds, 2)) for seeds in ([0, 1], [0, 1], [1]))
    assert [str(record) for record in both] == [str(record) for record in again]
    for together, single in zip(both[1:], alone[1:], strict=True):
        torch.testing.assert_close(together.own[1:], single.own, rtol=1e-9, atol=1e-9)
        for path, change in single.edit.items():
            torch.testing.assert_close(together.edit[path].value[1:], change.value, rtol=1e-6, atol=1e-9)


class Remembers(nn.Module):
    """A recurrent network over time."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cell(x)[0])


def test_a_network_that_remembers_acts_and_is_edited_through() -> None:
    task = Gymnasium(episodes=2, steps=6, history=True)
    level = Level(MetaGradient(edits=("rule/discount",)), Always(), 2)
    lives = Loop(World(task, Module(Remembers), ActorCritic()), Functional(), (level,), check=False)
    (_, record) = lives.run([0], 1)
    assert record.verdict == [Verdict.ACCEPTED]


def told(page: str) -> dict[str, str]:
    """The modules that a page shows, by their file."""
    return dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", page, re.DOTALL))


def commands(page: str) -> list[list[str]]:
    return [line.split("#")[0].split()[1:] for line in page.splitlines() if line.startswith("sandbox ")]


@pytest.mark.slow
@pytest.mark.parametrize("words", commands(PAGE), ids=" ".join)
def test_every_command_of_the_page_runs_and_replays(words: list[str], tmp_path, monkeypatch) -> None:
    for file, code in told(PAGE).items():
        (tmp_path / file).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    short = [] if "trust=[doors]" in words else ["task.steps=12"]
    folder = experiment.perform(composed([*words, *SMALL, *short, f"runs={tmp_path / 'runs'}"]))
    trust = [word.split("[")[1].rstrip("]") for word in words if word.startswith("trust=")]
    assert replay(folder, trust=trust) == len(read(folder)) == 3


def test_the_page_shows_worlds_of_ones_own() -> None:
    assert {"corridor.py", "doors.py"} == set(told(PAGE))
    assert len(told(PAGE)["doors.py"].splitlines()) <= 45
    assert len(commands(PAGE)) >= 8


def test_a_rule_that_learns_from_acting_names_a_task_in_which_one_acts() -> None:
    with pytest.raises(
        SandboxError, match=r"rule=actor_critic and task=sinusoid: .*without action.* These do: .*task="
    ):
        experiment.perform(composed(["task=sinusoid", "rule=actor_critic", "meta_learner=none", *SMALL[:-1]]))


LEARNS = {
    "CartPole": ["steps=20"],
    "coin_grid": ["task=coin_grid", "task.elsewhere=1", "steps=80"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNS)
def test_the_preset_learns_with_no_setting_but_its_own(name: str, tmp_path) -> None:
    """The return of five seeds rises, by an interval that excludes 0; docs/environments.md has longer runs."""
    words = ["preset=actor_critic", *LEARNS[name], "seeds=5", "tracker=[jsonl]", "meter=[performance]"]
    lines = read(experiment.perform(composed([*words, f"runs={tmp_path}"])))
    human = [np.array(lines[at]["readings"]["performance/human"]) for at in (0, -1)]
    gained = paired(human[1], human[0])
    assert gained.low > (50 if name == "CartPole" else 0.2)
