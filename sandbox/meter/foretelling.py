"""What foretells best whether the agent will do what the human wants: its supposed goal, or what is seen of the case?"""

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
    """The mean negative log-likelihood, in nats a case, of what comes about in cases that half of the kinds of cases
    were left out for: `foretold/<goal>` by an agent that pursues a goal of the task without fail, trusted to `trust`;
    `foretold/base` by how often it comes about in the other half; `foretold/features` by logistic regression there on
    what is seen of a case; `foretold/shuffled` by the same on features of other cases. Chances are exact, so no outcome
    is drawn. Read in deployment, and as `foretold_training/…` on the split that is trained on, where the task can be
    told case by case.
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
        kinds = rng.permutation(np.unique(group))
        fit, rest = (np.isin(group, half) for half in np.array_split(kinds, 2))
        rest = rest if rest.any() else fit  # of one kind there are no halves
        happens = self._chances(task, agent, agent.policy)

        def told_by(chance: Array) -> float:
            chance = np.clip(chance, 1 - self.trust, self.trust)
            return float(-(happens[rest] * np.log(chance) + (1 - happens[rest]) * np.log(1 - chance)).mean())

        found = {goal: told_by(self._chances(task, agent, _firm(table))[rest]) for goal, table in agent.tables.items()}
        found["base"] = told_by(np.full(rest.sum(), happens[fit].mean()))
        for name, seen in (("features", features), ("shuffled", rng.permutation(features))):
            found[name] = told_by(_logistic(seen[fit], happens[fit], seen[rest]))
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
