"""The audit: what was learned, on another family of tasks than the one that it was searched on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from torch import Tensor

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.core.protocols import Task
from sandbox.core.watch import Probe, Reading
from sandbox.meter.evaluation import evaluated


@dataclass(frozen=True)
class Audit:
    """P after a horizon on `tasks` held-out tasks of the run's own family a seed, and on as many of another: the run's
    task with some fields changed (`family`: {field: value}). A rule that was found on the one by a flaw of it (an
    optimum at 0, outliers on one side) has nothing on the other. Where lives persist, only an empty `family` will do.
    """

    every: int = 1000
    tasks: int = 40
    family: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.tasks < 1:
            raise ConfigError(explain(expected="a task or more", got=f"{self.tasks}", do="Leave it out: 40."))

    @property
    def readings(self) -> tuple[Reading, ...]:
        unit = "loss on held-out data"
        return (Reading("audit/own_family", "P on held-out tasks of the family", "lower", unit=unit, headline=True),
                Reading("audit/other_family", "P on the audit family", "lower", unit=unit, headline=True))  # fmt: skip

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        steps = probe.level.horizon
        families = {"own_family": probe.world.task, "other_family": other(probe.world.task, self.family)}
        return {f"audit/{name}": evaluated(probe, replace(probe.world, task=task), self.tasks, [steps])[steps]
                ["process"].mean(dim=1) for name, task in families.items()}  # fmt: skip


def other(task: Task, family: Mapping[str, Any]) -> Task:
    """The task with other fields; raises `ConfigError` where it has none of that name."""
    known = [each.name for each in fields(task)] if is_dataclass(task) else []
    unknown = [name for name in family if name not in known]
    if unknown:
        raise ConfigError(explain(expected=f"fields of {type(task).__name__} in meter.audit.family", got=unknown[0],
                                  do=did_you_mean(unknown[0], known)))  # fmt: skip
    told = {name: tuple(value) if isinstance(value, list) else value for name, value in family.items()}
    return replace(task, **told) if told and is_dataclass(task) else task  # type: ignore[type-var]
