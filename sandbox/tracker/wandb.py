"""A mirror of the lineage in Weights & Biases: offline unless told otherwise; the lineage stays the record of truth."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sandbox.archive.checkpoint import CHECKPOINTS
from sandbox.archive.lineage import LINEAGE
from sandbox.core.error import ConfigError, explain
from sandbox.core.record import Record, Verdict
from sandbox.lines.readings import read_readings

AXIS = "reflective_step"
SUMMARIES = {"higher": "last,max", "lower": "last,min", "": "last"}  # by the better side that a reading has
ROWS = 1000  # edits kept in the table: the newest, if there are more


@dataclass(frozen=True)
class Wandb:
    """`mode` is "offline", "online" or "disabled". Every reading is logged as its mean over seeds and, where there are
    several, each seed's own under `seed_<n>/` if `by_seed`; its summary holds the last value and, where it has a better
    side, the best."""

    mode: Literal["offline", "online", "disabled"] = "offline"
    project: str = "sandbox"
    by_seed: bool = False

    def start(self, folder: Path, config: Mapping[str, Any], resumed: int) -> WandbTracker:
        os.environ["WANDB_DATA_DIR"] = str(folder / "wandb")  # artifacts are staged beside the run, not in $HOME
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb
        from wandb.errors import CommError, UsageError

        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        try:
            run = wandb.init(
                mode=self.mode,
                project=self.project,
                group=config["label"],
                job_type=config["label"],
                name=folder.name,
                id=folder.name,
                resume="allow" if self.mode == "online" else None,
                config=dict(config),
                dir=str(folder),
                reinit="finish_previous",
                settings=wandb.Settings(x_disable_stats=True, console="off"),
            )
        except (UsageError, CommError) as error:
            raise ConfigError(explain(expected=f"a W&B that can be reached, with mode {self.mode}", got=str(error),
                                      do="Run `wandb login`, or set mode=offline.")) from error  # fmt: skip
        run.define_metric(AXIS)
        run.define_metric("*", step_metric=AXIS)
        for reading in read_readings(folder):
            run.define_metric(reading.name, step_metric=AXIS, summary=SUMMARIES[reading.better])
        return WandbTracker(self, run, folder, 1 + len(config["above"]))


@dataclass
class WandbTracker:
    """An open W&B run."""

    settings: Wandb
    run: Any
    folder: Path
    top: int
    edits: list[list[Any]] = field(default_factory=list)
    values: dict[str, float | None] = field(default_factory=dict)

    def write(self, record: Record) -> None:
        self._tabulate(record)
        if record.level < self.top:
            return
        numbers: dict[str, Any] = {AXIS: record.step, "own": float(record.own.mean())}
        numbers |= {name: float(values.mean()) for name, values in record.readings.items()}
        for verdict in Verdict:
            numbers[f"verdict/{verdict.replace(' ', '_')}"] = record.verdict.count(verdict) / len(record.verdict)
        if self.settings.by_seed:
            for name, values in {"own": record.own, **record.readings}.items():
                numbers |= {
                    f"seed_{seed}/{name}": value for seed, value in zip(record.seeds, values.tolist(), strict=True)
                }
        self.run.log(numbers)

    def _tabulate(self, record: Record) -> None:
        """One row an edited path: what changed, by how much, how many seeds took it."""
        for path, change in record.edit.items():
            new = None if change.value is None else float(change.value.double().mean())
            old = self.values.get(path)
            accepted = record.verdict.count(Verdict.ACCEPTED)
            self.edits.append([record.step, record.level, path, old, new, float(change.size.mean()), accepted,
                               len(record.verdict) - accepted, record.note])  # fmt: skip
            self.values[path] = new
        self.edits = self.edits[-ROWS:]

    def close(self, *, finished: bool) -> None:
        if self.settings.mode != "disabled":
            import wandb

            columns: list[Any] = [
                "step",
                "level",
                "path",
                "mean_before",
                "mean_asked",
                "mean_size",
                "accepted",
                "not_accepted",
                "note",
            ]
            self.run.log({"edits": wandb.Table(columns=columns, data=self.edits)})
            if (self.folder / CHECKPOINTS).exists():
                artifact = wandb.Artifact(f"state-{self.folder.name}", type="state")
                for name in (LINEAGE, "config.yaml"):
                    artifact.add_file(str(self.folder / name))
                artifact.add_dir(str(self.folder / CHECKPOINTS), name=CHECKPOINTS)
                artifact.add_dir(str(self.folder / "blobs"), name="blobs")
                self.run.log_artifact(artifact)
        self.run.finish(exit_code=0 if finished else 1)
