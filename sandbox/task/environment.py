"""Environments of Gymnasium side by side: opened once, reset by given numbers, each stepped until its episode ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.core.error import ConfigError, ContractError, explain

Numbers = NDArray[np.float64]
INSTALL = "pip install 'reflective-sandbox[gymnasium]'"


_OPEN: dict[tuple[str, str, int], Environment] = {}


def opened(name: str, options: Mapping[str, Any], count: int) -> Environment:
    """`count` environments of one kind, opened once a process. Raises `ConfigError`."""
    key = name, json.dumps(options, sort_keys=True, default=repr), count
    if key not in _OPEN:
        _OPEN[key] = Environment(name, options, count)
    return _OPEN[key]


class Environment:
    """`features`: numbers that are seen. `dimensions`: of a continuous action; 0 for a discrete one. `parameters`: of a
    policy over its actions."""

    def __init__(self, name: str, options: Mapping[str, Any], count: int) -> None:
        self.name, self.proven = name, False
        self.envs = [_made(name, options) for _ in range(count)]
        self.seen, self.acts = self.envs[0].observation_space, self.envs[0].action_space
        self.ended = np.ones(count, dtype=bool)
        self.features = self._size(self.seen, "observations")
        size = self._size(self.acts, "actions")
        self.dimensions = 0 if _discrete(self.acts) else size
        self.parameters = 2 * size if self.dimensions else size

    def reset(self, seeds: Sequence[int]) -> Numbers:
        """What is seen at first [count, features]."""
        self.ended = np.zeros(len(self.envs), dtype=bool)
        return np.stack([self._features(env.reset(seed=seed)[0]) for env, seed in zip(self.envs, seeds, strict=True)])

    def going(self) -> list[int]:
        """Which episodes have not ended."""
        return np.flatnonzero(~self.ended).tolist()

    def step(self, action: NDArray[Any]) -> tuple[Numbers, Numbers, Numbers]:
        """What is seen next [count, features], what was paid, and where (1) the world ended the episode [count]; zeros
        where the episode had ended before."""
        after = np.zeros((len(self.envs), self.features))
        paid, terminal = np.zeros((2, len(self.envs)))
        for n in self.going():
            seen, reward, ended, cut, _ = self.envs[n].step(self._action(action[n]))
            after[n], paid[n], terminal[n] = self._features(seen), reward, ended
            self.ended[n] = ended or cut
        return after, paid, terminal

    def prove(self, alike: bool) -> None:
        """Whether the same resets and actions have led to the same episodes; raises `ContractError` if not."""
        if not alike:
            raise ContractError(explain(
                expected=f"{self.name} to live the same again after the same reset(seed=…) and actions",
                got="another episode",
                do="Let it draw from self.np_random alone, and keep nothing over a reset."))  # fmt: skip
        self.proven = True

    def _size(self, space: Any, what: str) -> int:
        if _discrete(space):
            return int(space.n)
        if type(space).__name__ == "Box" and space.dtype.kind in "fiu" and space.shape is not None:
            return int(np.prod(space.shape))
        raise ConfigError(explain(
            expected=f"{what} of a Discrete or a Box in {self.name}", got=f"{space}",
            do="Wrap the environment (gymnasium.wrappers), and register what comes of it."))  # fmt: skip

    def _features(self, seen: Any) -> Numbers:
        if _discrete(self.seen):
            return (np.arange(self.features) == int(seen) - int(self.seen.start)).astype(float)
        return np.asarray(seen, dtype=float).reshape(-1)

    def _action(self, action: Any) -> Any:
        space = self.acts
        if not self.dimensions:
            return int(action) + int(space.start)
        given = np.nan_to_num(action.astype(float)).reshape(space.shape)
        low, high = (np.asarray(bound, dtype=float) for bound in (space.low, space.high))
        bounded = np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):
            spanned = low + (np.clip(given, -1, 1) + 1) / 2 * (high - low)
        return np.clip(np.where(bounded, spanned, given), low, high).astype(space.dtype)


def _discrete(space: Any) -> bool:
    return type(space).__name__ == "Discrete"


def _made(name: str, options: Mapping[str, Any]) -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise ConfigError(explain(expected="the package gymnasium for task=gymnasium", got="none installed",
                                  do=f"Install it: {INSTALL}.")) from error  # fmt: skip
    if ":" in name:
        raise ConfigError(explain(
            expected="the id of a registered environment at task.env", got=f"'{name}', which would import a module",
            do="Import it where a task of your own stands: task._target_=mypkg.Mine trust=[mypkg]"
               " (docs/environments.md)."))  # fmt: skip
    try:
        return gymnasium.make(name, **options)
    except Exception as error:
        raise ConfigError(explain(expected="an environment at task.env that gymnasium.make can build",
                                  got=f"'{name}' ({type(error).__name__}: {error})",
                                  do=f"{', '.join(_near(gymnasium.registry, name))}."))  from error  # fmt: skip


def _near(known: Mapping[str, Any], name: str) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(name, known, n=2) or ["See gymnasium.registry for what there is"]
