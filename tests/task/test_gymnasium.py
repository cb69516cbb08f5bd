"""Environments of Gymnasium: trajectories by the named noise alone, shapes, what is paid, and what is refused."""

from __future__ import annotations

import random
import sys
from functools import partial
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from sandbox.core.error import ConfigError, ContractError
from sandbox.core.random import generators, uniform
from sandbox.task import environment
from sandbox.task.gymnasium import Gymnasium


class Counter(gymnasium.Env):
    """Sees how many steps it has been and a number drawn at the reset; pays the number of its action; ends at four."""

    observation_space = spaces.Box(-np.inf, np.inf, (2, 1), dtype=np.float64)
    action_space: ClassVar[Any] = spaces.Discrete(3, start=5)

    def __init__(self, ends: int = 4) -> None:
        self.ends = ends

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.count, self.drawn = 0, self.np_random.random()
        return self.seen(), {}

    def seen(self) -> Any:
        return np.array([[self.count], [self.drawn]])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        return self.seen(), self.paid(action), self.count == self.ends, False, {}

    def paid(self, action: Any) -> float:
        assert self.action_space.contains(action)
        return float(action)


class Pressing(Counter):
    """Pays the sum of its continuous action."""

    action_space: ClassVar[Any] = spaces.Box(np.array([0, -10]), np.array([4, 30]), dtype=np.float64)

    def paid(self, action: Any) -> float:
        assert self.action_space.contains(action)
        return float(action.sum())


class Places(Counter):
    """Sees one of three places."""

    observation_space = spaces.Discrete(3, start=1)

    def seen(self) -> Any:
        return 1 + self.count % 3


class Unruly(Counter):
    """Pays by a generator of its own."""

    def paid(self, action: Any) -> float:
        return random.Random().random()


class Many(Counter):
    action_space = spaces.MultiBinary(2)


for cls in (Counter, Pressing, Places, Unruly, Many):
    gymnasium.register(f"{cls.__name__}-v0", entry_point=cls, order_enforce=False, disable_env_checker=True)


def policy(outputs: int, x: Tensor) -> Tensor:
    """Says the same of everything."""
    return torch.linspace(-1, 1, outputs, dtype=x.dtype).expand(*x.shape[:-1], outputs)


def lived(task: Gymnasium, split: Any = "train", seed: int = 0, act: Any = None) -> dict[str, Tensor]:
    noise = uniform(seed, split, 0, (task.noise[split],))
    return dict(task.sample({}, act or partial(policy, task.outputs), noise, split))


def test_a_batch_of_episodes_has_its_shapes_and_its_ends() -> None:
    task = Gymnasium("Counter-v0", episodes=3, steps=6)
    batch = lived(task)
    assert (task.inputs, task.outputs) == (2, 4)
    shapes = {name: tuple(leaf.shape) for name, leaf in batch.items()}
    assert shapes == {"x": (3, 7, 2), "action": (3, 7), "reward": (3, 7), "alive": (3, 7), "terminal": (3, 7),
                      "policy": (3, 7, 3)}  # fmt: skip
    assert batch["x"][:, :, 0].tolist() == [[0, 1, 2, 3, 4, 0, 0]] * 3
    assert batch["alive"].tolist() == [[1, 1, 1, 1, 0, 0, 0]] * 3
    assert batch["terminal"].tolist() == [[0, 0, 0, 1, 0, 0, 0]] * 3
    assert torch.equal(batch["reward"], (batch["action"] + 5) * batch["alive"])
    assert len(set(batch["x"][:, 0, 1].tolist())) == 3  # each its own reset


def test_time_that_runs_out_is_no_end_of_the_world() -> None:
    batch = lived(Gymnasium("Counter-v0", episodes=2, steps=3))
    assert batch["alive"].tolist() == [[1, 1, 1, 0]] * 2
    assert not bool(batch["terminal"].any())
    assert batch["x"][:, 3, 0].tolist() == [3, 3]
    longer = lived(Gymnasium("Counter-v0", {"ends": 5}, episodes=2, steps=5))
    assert longer["terminal"].tolist() == [[0, 0, 0, 0, 1, 0]] * 2
    cut = lived(Gymnasium("Counter-v0", {"max_episode_steps": 2}, episodes=2, steps=3))  # a limit of its own
    assert (cut["alive"].sum(), cut["terminal"].sum()) == (4, 0)


def test_trajectories_are_a_function_of_noise_and_weights() -> None:
    before, task = generators(), Gymnasium(episodes=4, steps=30)
    torch.manual_seed(3)
    batch, other = lived(task), lived(task, seed=1)
    torch.manual_seed(4)
    np.random.seed(5)
    again = lived(Gymnasium(episodes=4, steps=30))
    assert all(torch.equal(leaf, again[name]) for name, leaf in batch.items())
    assert not torch.equal(batch["x"], other["x"])
    assert torch.equal(batch["reward"], batch["alive"])  # CartPole pays 1 a step
    assert len(set(batch["alive"].sum(dim=1).tolist())) > 1  # episodes end apart
    assert before[2:] != generators()[2:]  # the seeds above, and nothing else
    state = generators()
    lived(task)
    assert state == generators()


def test_the_policy_acts() -> None:
    def always(x: Tensor) -> Tensor:
        return torch.tensor([-100.0, 100.0, -100.0, 0.0]).expand(*x.shape[:-1], 4)

    assert lived(Gymnasium("Counter-v0", episodes=2, steps=2), act=always)["action"].tolist() == [[1, 1, 0]] * 2


def test_continuous_actions_span_their_box() -> None:
    def act(means: tuple[float, float], x: Tensor) -> Tensor:
        return torch.tensor([*means, -50.0, -50.0, 0.0]).expand(*x.shape[:-1], 5)

    task = Gymnasium("Pressing-v0", episodes=1, steps=1)
    assert (task.inputs, task.outputs) == (2, 5)
    for means, paid in (((0.0, 0.0), 2 + 10), ((-1.0, 0.5), 0 + 20), ((7.0, -7.0), 4 - 10)):
        batch = lived(task, act=partial(act, means))
        assert float(batch["reward"][0, 0]) == pytest.approx(paid, abs=0.7)  # the least spread is e^-5
        assert batch["action"].shape == (1, 2, 2)


def test_discrete_observations_are_one_hot() -> None:
    batch = lived(Gymnasium("Places-v0", episodes=1, steps=3))
    assert batch["x"][0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_a_bonus_pays_in_p_alone() -> None:
    """P: half of what the environment pays, and 2 for each step counted after the step."""
    task = Gymnasium("Counter-v0", episodes=2, steps=3, reward=0.5, bonus=(2.0, 0.0))
    batch = lived(task, "test")
    paid = (batch["action"] + 5) * batch["alive"]
    assert torch.equal(batch["reward"][:, :3], 0.5 * paid[:, :3] + 2 * torch.tensor([1.0, 2.0, 3.0]))
    prediction = policy(task.outputs, batch["x"])
    assert torch.equal(task.human({}, prediction, batch), paid.sum(dim=1))
    torch.testing.assert_close(task.objective({}, prediction, batch), -batch["reward"].sum(dim=1))
    assert "earned" not in lived(task)  # a rule can't reach what the environment pays
    assert bool(task.human({}, prediction, lived(task)).isnan().all())


class Remembers(nn.Module):
    """A recurrent policy."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(2, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x)[0])


def test_a_network_that_remembers_is_shown_the_history() -> None:
    network = Remembers()
    batch = lived(Gymnasium("Counter-v0", episodes=2, steps=4, history=True), act=network)
    whole = network(batch["x"]).detach()[..., :3] * batch["alive"][..., None]
    torch.testing.assert_close(batch["policy"], whole)
    with pytest.raises(ContractError, match=r"task\.history=true"):
        lived(Gymnasium("Counter-v0", episodes=2, steps=4), act=network)


def test_a_network_that_mixes_episodes_is_refused() -> None:
    def act(x: Tensor) -> Tensor:
        return policy(4, x) * x.mean()

    with pytest.raises(ContractError, match="look across episodes"):
        lived(Gymnasium("Counter-v0", episodes=2, steps=4), act=act)


def test_an_environment_that_lives_otherwise_after_the_same_reset_is_refused() -> None:
    with pytest.raises(ContractError, match=r"Unruly-v0 to live the same again.*np_random"):
        lived(Gymnasium("Unruly-v0", episodes=1, steps=2))


def test_side_by_side_it_says_why_it_can_not() -> None:
    task = Gymnasium("Counter-v0", episodes=1, steps=2)
    with pytest.raises(ContractError, match="stepped in Python"):
        torch.func.vmap(lambda u: task.sample({}, partial(policy, 4), u, "train"))(torch.zeros(2, 3).double())


def test_what_is_not_finite_is_left_to_the_loop() -> None:
    batch = lived(
        Gymnasium("Pressing-v0", episodes=1, steps=2), act=lambda x: torch.full((*x.shape[:-1], 5), torch.nan)
    )
    assert bool(batch["policy"][:, 0].isnan().all())


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"env": "CartPol-v1"}, "CartPole"),
        ({"env": "mine:Maze-v0"}, "would import a module"),
        ({"env": "CartPole-v1", "options": {"gravity": 3}}, "gravity"),
        ({"env": "Many-v0"}, "actions of a Discrete or a Box in Many-v0; got MultiBinary"),
        ({"env": "Blackjack-v1"}, "observations of a Discrete or a Box"),
        ({"episodes": 0}, r"task\.episodes"),
        ({"bonus": (1.0,)}, "a weight for each of 4 features"),
    ],
    ids=str,
)
def test_what_it_cannot_be_is_refused(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Gymnasium(**told)


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.setattr(environment, "_OPEN", {})
    with pytest.raises(ConfigError, match=r"pip install 'reflective-sandbox\[gymnasium\]'"):
        Gymnasium()
