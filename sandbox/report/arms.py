"""Arms: runs that differ only in their seeds, stacked, and named by what sets them apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

from sandbox.core.error import LineageError, did_you_mean, explain
from sandbox.lines.place import COSMETIC, SEEDS
from sandbox.report.read import OUTCOMES, Array, Run

NOT_A_DIFFERENCE = {*COSMETIC, *SEEDS} - {"steps"}


@dataclass(frozen=True)
class Arm:
    """Runs of one label and one configuration; every array has one column a seed, in order of `seeds`."""

    name: str
    runs: tuple[Run, ...]

    @property
    def config(self) -> dict[str, Any]:
        return self.runs[0].config

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({seed for run in self.runs for seed in run.seeds})

    def series(self, name: str) -> tuple[Array, Array]:
        """The steps [n] at which every run read `name`, and what was read [n, S]."""
        parts = [run.series(name) for run in self.runs]
        steps = reduce(np.intersect1d, [steps for steps, _ in parts])
        values = np.concatenate([values[np.isin(at, steps)] for at, values in parts], axis=1)
        _, columns = np.unique([seed for run in self.runs for seed in run.seeds], return_index=True)
        return steps, values[:, columns]

    def final(self, name: str) -> Array | None:
        """[S]: the reading of that name when it was last taken; None where it never was.

        `edits/accepted` and `edits/refused` (rejected by a gate, malformed, or rolled back) are shares of all edits
        that a seed asked for: NaN where it asked for none.
        """
        values = self.series(name)[1]
        if name in OUTCOMES:
            asked = sum(self.series(outcome)[1].sum(axis=0) for outcome in OUTCOMES)
            if not np.any(asked):
                return None
            return values.sum(axis=0) / np.where(asked, asked, np.nan)
        return values[-1] if len(values) else None


def group(runs: Iterable[Run]) -> list[Arm]:
    """The arms among `runs`, in order of appearance; runs that have written nothing are left out.

    Where one label stands for several configurations, the keys that differ follow it: `own rule.trust=0.25`; where
    there is no other label, they stand alone.
    """
    labels: dict[str, dict[str, tuple[dict[str, Any], list[Run]]]] = {}
    for run in runs:
        if not run.seeds:
            continue
        settings = flat({key: value for key, value in run.config.items() if key not in NOT_A_DIFFERENCE})
        known = json.dumps(settings, sort_keys=True, default=str)
        labels.setdefault(run.label, {}).setdefault(known, (settings, []))[1].append(run)
    arms: list[Arm] = []
    for label, variants in labels.items():
        keys = differing([settings for settings, _ in variants.values()])
        for settings, members in variants.values():
            name = [label] if len(labels) > 1 or not keys else []
            arms.append(Arm(" ".join([*name, *(_setting(key, settings) for key in keys)]), tuple(members)))
    return arms


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration as {dotted key: value}."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The dotted keys that not all of `settings` share. Where a class differs, it stands for the keys beside it."""
    keys = list(dict.fromkeys(key for one in settings for key in one))
    keys = [key for key in keys if any(one.get(key) != settings[0].get(key) for one in settings)]
    nodes = tuple(key.removesuffix("_target_") for key in keys if key.endswith("._target_"))
    return [key for key in keys if key.endswith("._target_") or not key.startswith(nodes)]


def _setting(key: str, settings: Mapping[str, Any]) -> str:
    value = settings.get(key)
    if key.endswith("._target_"):
        return f"{key.removesuffix('._target_')}={str(value).rpartition('.')[2]}"
    return f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"


def named(arms: Sequence[Arm], name: str) -> Arm:
    """The arm of that name; raises `LineageError` with a near miss."""
    for arm in arms:
        if arm.name == name:
            return arm
    raise LineageError(explain(expected="the name of an arm", got=f"'{name}'",
                               do=did_you_mean(name, [arm.name for arm in arms])))  # fmt: skip
