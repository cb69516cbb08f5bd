"""An open W&B run: its metrics and their axes, one row a reflective step, and what is told once at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.core.error import LineageError, explain
from sandbox.lines.file import LINEAGE
from sandbox.lines.format import config_of
from sandbox.mirror.charts import Curves, Standings
from sandbox.mirror.edits import COLUMNS, Edits
from sandbox.mirror.names import AXIS, ENDS, INNER_AXIS, OWN, axis_of, key_of
from sandbox.mirror.rows import Row
from sandbox.mirror.settings import Filed
from sandbox.mirror.source import Run

PATIENCE = 300.0  # seconds in which W&B must have taken all, once the run has ended
BEGIN = 60.0  # seconds in which it must have answered
FIGURES = 12  # of a report at most


@dataclass
class Board:
    """`there`: rows that W&B has already, of an earlier mirror of the same run; they are not sent again."""

    run: Run
    filed: Filed
    open: Any
    there: int = 0
    rows: int = 0
    edits: Edits = field(default_factory=Edits)
    waiting: Row | None = None
    curves: Curves = field(default_factory=lambda: Curves(()))
    standings: Standings = field(default_factory=lambda: Standings({}))

    def add(self, row: Row) -> None:
        """Send the row before; the last one waits for what is told at the end."""
        self._send()
        self.curves.take(row)
        self.standings.take(row)
        self.waiting = row

    def _send(self, **more: Any) -> None:
        if self.waiting is None:
            return
        if self.rows >= self.there:
            self.open.log(self.waiting | more)
        self.rows, self.waiting = self.rows + 1, None

    def alert(self, title: str, words: str) -> None:
        """Tell whoever has asked W&B to be told."""
        self.open.alert(title, words, level="ERROR")

    def end(self, *, finished: bool, figures: Sequence[Path] = ()) -> None:
        """The last row with tables, charts and figures; artifacts where they are uploaded; the run's own end. What W&B
        refuses of all that is raised once every row is sent and the run has ended."""
        with ExitStack() as after:
            after.callback(self.open.finish, exit_code=0 if finished else 1)
            after.callback(self._sum_up)
            after.callback(self._send)
            self._send(**self._told(figures))
            if self.filed.mode == "online":
                self._artifacts()

    def _sum_up(self) -> None:
        for key, standing in self.standings.told():
            self.open.summary[key] = standing
        status = self.run.status
        if seconds := status.get("seconds"):
            self.open.summary["time/seconds"] = seconds

    def _told(self, figures: Sequence[Path]) -> dict[str, Any]:
        import wandb

        rows: Any = self.edits.rows
        told: dict[str, Any] = {"edits": wandb.Table(columns=list(COLUMNS), data=rows)}
        for key, steps, curves in self.curves.told():
            title = f"{key}: mean and 95 % interval over seeds"
            told[f"seeds/{key}"] = wandb.plot.line_series(steps, curves, ["mean", "low", "high"], title, AXIS)
        for figure in figures[:FIGURES]:
            told[f"report/{figure.stem}"] = wandb.Image(str(figure))
        return told

    def _artifacts(self) -> None:
        """The record and the newest state, uploaded from where they lie; a yoked run says by whose edits it lives."""
        import wandb

        if source := source_of(self.run):
            with suppress(wandb.Error, ValueError):  # that run may have no mirror
                self.open.use_artifact(f"state-{source}:latest")
        if not (self.run.folder / "checkpoint").is_dir():
            return
        artifact = wandb.Artifact(f"state-{self.filed.id}", type="state")
        for name in (LINEAGE, "config.yaml", "about.json"):
            artifact.add_file(str(self.run.folder / name), policy="immutable", skip_cache=True)
        for name in ("checkpoint", "blobs"):
            artifact.add_dir(str(self.run.folder / name), name=name, policy="immutable", skip_cache=True)
        self.open.log_artifact(artifact)


def opened(run: Run, filed: Filed) -> Board:
    """A W&B run for this one. Offline it begins at the first row. Online it goes on after the rows that are there:
    the same run lived again from a checkpoint has the same rows."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # W&B's reports on itself, not on runs
    os.environ |= {"WANDB_SILENT": "true", "WANDB_DATA_DIR": str(run.folder / "wandb"),
                   "WANDB_CACHE_DIR": str(run.folder / "wandb" / "cache")}  # fmt: skip
    sys.argv = ["sandbox", *run.words]  # W&B keeps the command line of a run: that of this one
    import wandb

    settings = wandb.Settings(console="off", program="sandbox", disable_git=True, disable_code=True,
                              x_disable_stats=True, x_save_requirements=False, x_transaction_log_flush_interval=2.0,
                              init_timeout=BEGIN, finish_timeout=PATIENCE, finish_timeout_raises=True)  # fmt: skip
    online = filed.mode == "online"
    begun = wandb.init(mode="online" if online else "offline", project=filed.project, entity=filed.entity, id=filed.id,
                       group=filed.group, name=filed.name, tags=list(filed.tags), notes=filed.notes,
                       job_type=filed.job_type, config={**run.config, "overrides": list(run.words)},
                       dir=str(run.folder), resume="allow" if online else None, allow_val_change=True,
                       settings=settings)  # fmt: skip
    board = Board(run, filed, begun, begun.starting_step)
    _define(begun, run)
    headlines = [OWN, *(reading for reading in run.readings if reading.headline)]
    board.curves = Curves(tuple(key_of(reading.name) for reading in headlines))
    board.standings = Standings({key_of(reading.name): reading.better for reading in (OWN, *run.readings)})
    return board


def _define(begun: Any, run: Run) -> None:
    """Axes and summaries. A metric that is named by itself forgets what a pattern said of it, so each says its axis."""
    for axis in (AXIS, INNER_AXIS):
        begun.define_metric(axis)
    begun.define_metric("*", step_metric=AXIS)
    if (axis := axis_of("inner/", run.config)) != AXIS:
        begun.define_metric("inner/*", step_metric=axis)
    for reading in (OWN, *run.readings):
        key = key_of(reading.name)
        axis = axis_of(key, run.config)
        begun.define_metric(key, step_metric=axis, summary="last")
        for end in () if key.endswith("*") else ENDS:  # beside their mean, and no panels of their own
            begun.define_metric(key + end, step_metric=axis, hidden=True)


def checked(board: Board, rows: int) -> None:
    """Raises `LineageError` where W&B has more under the run's id than the run has `rows`: they are another's."""
    if board.there > rows:
        raise LineageError(explain(expected=f"{rows} rows of {board.run.folder.name} in W&B at most",
                                   got=f"{board.there}",
                                   do=f"Delete the run {board.filed.id} there, and mirror it again."))  # fmt: skip


def source_of(run: Run) -> str:
    """The folder's name of the run by whose edits a yoked one lives; empty where it lives by its own."""
    learner = run.config.get("meta_learner") or {}
    if "source" not in learner or "of" not in learner:
        return ""
    for path in run.folder.parent.glob("*/config.yaml"):
        other = config_of(path.parent)
        alike = all(other.get(key) == run.config.get(key) for key in ("seed", "seeds", "task", "rule", "model", "gate"))
        if other.get("label") == learner["source"] and other.get("meta_learner") == learner["of"] and alike:
            return path.parent.name
    return ""
