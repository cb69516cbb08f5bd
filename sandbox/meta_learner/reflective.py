"""The agent that reads its own trace and edits its own loss and learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Grad, Heard, Needs, Params, Seen


@dataclass(frozen=True)
class Reflective:
    """phi ← phi - step · backoff^refusals · tanh(gain · ((1 - mu) g_P + mu g_A)) on the paths of `edits`.

    g_P is the hypergradient of the process's objective on practice data, g_A that of the agent's own loss over the
    `last` inner steps (its direct dependence on phi included), both through the horizon just lived. `mu` says whose
    objective it follows: 0 the process's, 1 its own, which the same edit rewrites. The tanh bounds each edit, without
    which short horizons drive a learning rate to its ceiling. `backoff` below 1 shrinks the step for each refusal in
    a row.
    """

    edits: tuple[str, ...] = ("rule/lr", "rule/trust", "rule/q")
    mu: float = 0.0
    step: float = 0.3
    gain: float = 30.0
    last: int = 5
    backoff: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.mu <= 1:
            raise ConfigError(explain(expected="meta_learner.mu between 0 and 1", got=f"{self.mu}",
                                      do="0 follows the process's objective, 1 the agent's own."))  # fmt: skip
        if not 0 < self.backoff <= 1:
            raise ConfigError(explain(expected="meta_learner.backoff in (0, 1]", got=f"{self.backoff}",
                                      do="1 ignores past verdicts."))  # fmt: skip

    @property
    def needs(self) -> Needs:
        of_process = tuple(Grad("process", path) for path in self.edits if self.mu < 1)
        of_own = tuple(Grad("own", path, last=self.last) for path in self.edits if self.mu > 0)
        return Needs(edits=self.edits, reads=self.edits, grads=of_process + of_own)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {"refusals": torch.zeros((), dtype=torch.float64)}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        step = self.step * self.backoff ** psi["refusals"]
        values: dict[str, Tensor] = {}
        for path, phi in seen.visible.items():
            follow = torch.zeros_like(phi)
            if self.mu < 1:
                follow = follow + (1 - self.mu) * seen.grad["process"][path]
            if self.mu > 0:
                follow = follow + self.mu * seen.grad["own"][path]
            values[path] = phi - step.to(phi.dtype) * torch.tanh(self.gain * follow)
        return Edit(values, note=f"down the hypergradient, mu {self.mu:g}"), psi

    def tell(self, psi: Params, heard: Heard) -> Params:
        return {"refusals": (psi["refusals"] + 1) * (1 - heard.accepted)}
