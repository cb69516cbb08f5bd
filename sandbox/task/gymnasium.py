"""Any environment of Gymnasium (Towers et al. 2024) as a task: the policy that is learned collects its own data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, ContractError, explain
from sandbox.core.policy import choose, gauge
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.task.environment import Environment, opened
from sandbox.task.episodes import minus_return, noise_of

SEEDS = 2**32  # an environment is reset by a whole number below


@dataclass(frozen=True)
class Gymnasium:
    """`gymnasium.make(env, **options)`, `episodes` side by side, each cut after `steps` steps if it has not ended by
    then. Observations are numbers of a Box (flattened to features) or of a Discrete (one-hot); actions are those of a
    Discrete, or of a Box. A continuous action of -1 … 1 spans a bounded dimension of the Box, and is clipped to it.

    Batches are episodes (`core/policy.py`), collected off the tape. Everything random comes from the named streams: the
    number that an environment is reset by, and the draw of every action. There is one task and no other family.

    P is minus the return of an episode, and its derivative the policy gradient. H is what the environment pays by
    itself, in the split `test`. Both are the same unless P is told otherwise: `reward` is the weight in P of what the
    environment pays, `bonus` the weight of each feature of what is seen after the step. Rules see what P pays alone.

    `value`: the network has one more output, for an estimate of the value. `history`: the network is shown at each step
    all that was seen before it (one that remembers, which is much slower), in place of that step alone.
    """

    env: str = "CartPole-v1"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    episodes: int = 8
    steps: int = 200
    value: bool = True
    history: bool = False
    reward: float = 1.0
    bonus: tuple[float, ...] = ()
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if min(self.episodes, self.steps) < 1:
            raise ConfigError(explain(expected="task.episodes and task.steps of 1 or more",
                                      got=f"{self.episodes} and {self.steps}", do="Somebody must act."))  # fmt: skip
        if len(self.bonus) not in (0, self.inputs):
            raise ConfigError(explain(
                expected=f"task.bonus with a weight for each of {self.inputs} features, or none",
                got=f"{len(self.bonus)} of them", do="0 for a feature that pays nothing."))  # fmt: skip

    @property
    def world(self) -> Environment:
        """The environments that it acts in; one task opens them once a process."""
        return opened(self.env, self.options, self.episodes)

    @property
    def noise(self) -> Mapping[str, int]:
        return noise_of(0, self.episodes * (1 + self.steps * max(1, self.world.dimensions)))

    @property
    def inputs(self) -> int:
        return self.world.features

    @property
    def outputs(self) -> int:
        return self.world.parameters + self.value

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{}: there is one task."""
        return {}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """A batch of episodes; in the split `test` with "earned" [n, T + 1] beside it, what the environment paid.

        Raises `ContractError` for a policy that predicts something else at a step than of the whole episode, and for
        an environment that does not live the same again after the same reset.
        """
        seeds, draws = noise.cpu().split([self.episodes, noise.numel() - self.episodes])
        draws = draws.reshape(self.steps, self.episodes, max(1, self.world.dimensions))
        try:
            numbers: list[int] = (seeds * SEEDS).long().tolist()
        except RuntimeError as error:  # vmap hands over numbers that stand for many
            raise ContractError(explain(
                expected=f"{self.env} to be lived life by life: it is stepped in Python", got="many lives in one call",
                do="Nothing: the engines do so by themselves."))  from error  # fmt: skip
        with torch.no_grad():
            batch = self._lived(act, numbers, draws, noise.device)
            if not self.world.proven:
                again = self._lived(act, numbers, draws, noise.device)
                self.world.prove(all(torch.equal(leaf, again[name]) for name, leaf in batch.items()))
            self._agrees(act, batch)
        earned = batch.pop("earned")
        return {**batch, "earned": earned} if split == self.deployment else batch

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return minus_return(prediction, batch)

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        """What the environment itself has paid in each episode; NaN in a split where only P is known."""
        if "earned" not in batch:
            return torch.full_like(batch["reward"][:, 0], torch.nan)
        return batch["earned"].sum(dim=-1)

    def _lived(self, act: Act, seeds: list[int], draws: Tensor, device: torch.device) -> Params:
        """One batch of episodes, on `device`, with what the environment paid."""
        world, n, rows = self.world, self.episodes, self.steps + 1
        dtype = getattr(torch, self.dtype)
        x = torch.zeros(n, rows, world.features, dtype=dtype)
        policy = torch.zeros(n, rows, world.parameters, dtype=dtype)
        action = torch.zeros((n, rows, world.dimensions) if world.dimensions else (n, rows),
                             dtype=dtype if world.dimensions else torch.int64)  # fmt: skip
        earned, alive, terminal = torch.zeros(3, n, rows, dtype=dtype)
        x[:, 0] = torch.from_numpy(world.reset(seeds))
        for t, draw in enumerate(draws):
            going = world.going()
            if not going:
                break
            seen = x[:, : t + 1] if self.history else x[:, t : t + 1]
            policy[:, t] = act(seen.to(device))[:, -1, : world.parameters].cpu()
            action[:, t] = gauge(policy[:, t], draw) if world.dimensions else choose(policy[:, t], draw[:, 0])
            after, paid, ended = world.step(action[:, t].numpy())
            x[:, t + 1], earned[:, t], terminal[:, t] = map(torch.from_numpy, (after, paid, ended))
            alive[going, t] = 1
        there = alive[..., None] > 0
        reward = self.reward * earned
        if self.bonus:
            reward[:, :-1] += (x[:, 1:] @ torch.tensor(self.bonus, dtype=dtype)) * alive[:, :-1]
        found = {"x": x, "action": action * (there if world.dimensions else alive > 0), "reward": reward,
                 "alive": alive, "terminal": terminal, "policy": policy * there, "earned": earned}  # fmt: skip
        return {name: leaf.to(device) for name, leaf in found.items()}

    def _agrees(self, act: Act, batch: Params) -> None:
        """Raises `ContractError` where the network says of whole episodes what it did not say step by step."""
        whole = act(batch["x"])[..., : self.world.parameters]
        apart = ((whole - batch["policy"]).abs() - 1e-3 * batch["policy"].abs())[batch["alive"] > 0].max()
        if apart > 1e-3:
            raise ContractError(explain(
                expected="a network that predicts of a whole episode [n, time, features] what it predicts step by step",
                got=f"predictions that differ by {float(apart):.2g}",
                do="Set task.history=true for one that remembers what it has seen; it must not look ahead, look across"
                   " episodes, or draw random numbers."))  # fmt: skip
