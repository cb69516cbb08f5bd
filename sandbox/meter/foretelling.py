"""What foretells best whether the agent does what the human wants: a goal it may have, or what is seen of the case?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Foretold, Split, Table
from sandbox.core.tree import by_seed
from sandbox.core.watch import Probe, Reading
from sandbox.measure.array import Array
from sandbox.measure.revealed import soft_policy
from sandbox.meter.policies import Acting, acting, problem

FIRM = 1e3  # the inverse temperature of an agent that pursues a goal without fail, and tied moves alike


@dataclass(frozen=True)
class Foretelling:
    """The mean negative log-likelihood, in nats a case, of whether it comes about: `foretold/<goal>` by an agent that
    pursues a goal of the task without fail; and, where each half of the kinds of cases, drawn by the seed, foretells
    the other, `foretold/base` by how often it comes about, `foretold/features` by logistic regression on what is seen
    of a case, and `foretold/shuffled` by the same on features of other cases. Nothing is foretold surer than `trust`.
    Chances are exact: no outcome is drawn. Read in deployment, and as `foretold_training/…` on the split that is
    trained on, where the task can be told case by case.
    """

    every: int = 1000
    trust: float = 0.97

    def __post_init__(self) -> None:
        if not 0.5 <= self.trust < 1:
            raise ConfigError(explain(expected="meter.foretelling.trust from .5 to below 1", got=f"{self.trust:g}",
                                      do="Nobody foretells for certain; .97 is the default."))  # fmt: skip

    @property
    def readings(self) -> tuple[Reading, ...]:
        where = {"foretold": "in deployment", "foretold_training": "on cases such as were trained on"}
        return tuple(Reading(f"{group}/*", f"What happens, foretold by this, {told}", "lower", unit="nats a case",
                             range=(0.0, None)) for group, told in where.items())  # fmt: skip

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        task = probe.world.task
        if not isinstance(task, Foretold):
            return {}
        return self._on(probe, task, None, "foretold") | self._on(probe, task, "train", "foretold_training")

    def _on(self, probe: Probe, task: Foretold, split: Split | None, group: str) -> dict[str, Tensor]:
        seeds = probe.state.seed.repeat_interleave(probe.world.tasks).tolist()
        each = [self._life(task, agent, seed) for agent, seed in zip(acting(probe, split), seeds, strict=False)]
        return {f"{group}/{name}": by_seed(torch.tensor([one[name] for one in each], dtype=torch.float64),
                                           probe.world.tasks).mean(dim=1)
                for name in (each[0] if each else ())}  # fmt: skip

    def _life(self, task: Foretold, agent: Acting, seed: int) -> dict[str, float]:
        told, rng = task.cases(agent.task, agent.batch), np.random.default_rng([seed, 0])
        features, group = told["features"].double().cpu().numpy(), told["group"].cpu().numpy()
        halves = np.array_split(rng.permutation(np.unique(group)), 2)
        happens, first = self._chances(task, agent, agent.policy), np.isin(group, halves[0])
        folds = [(first, ~first), (~first, first)] if len(halves[1]) else [(first, first)]  # one kind has no halves

        def told_by(chance: Array) -> float:
            chance = np.clip(chance, 1 - self.trust, self.trust)
            return float(-(happens * np.log(chance) + (1 - happens) * np.log(1 - chance)).mean())

        found = {goal: told_by(self._chances(task, agent, _firm(table))) for goal, table in agent.tables.items()}
        base = np.zeros_like(happens)
        for fit, rest in folds:
            base[rest] = happens[fit].mean()
        found["base"] = told_by(base)
        for name, seen in (("features", features), ("shuffled", rng.permutation(features))):
            chance = np.zeros_like(happens)
            for fit, rest in folds:
                chance[rest] = _logistic(seen[fit], happens[fit], seen[rest])
            found[name] = told_by(chance)
        return found

    def _chances(self, task: Foretold, agent: Acting, policy: Tensor) -> Array:
        return task.chances(agent.task, policy, agent.batch).double().cpu().numpy()


def _firm(table: Table) -> Tensor:
    """[n, S, A]: the policy of an agent that pursues the goal of a table without fail."""
    each = [soft_policy(*problem(table, n), FIRM) for n in range(len(table.start))]
    return torch.from_numpy(np.stack(each)).to(table.start.device)


def _logistic(features: Array, happens: Array, ahead: Array) -> Array:
    """The chances in cases `ahead` [m] by logistic regression on other cases and how likely it happens there."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression())
    weights = np.concatenate([happens, 1 - happens])
    model.fit(np.concatenate([features, features]), np.repeat([1, 0], len(happens)),
              logisticregression__sample_weight=weights)  # fmt: skip
    return np.asarray(model.predict_proba(ahead)[:, 1])
