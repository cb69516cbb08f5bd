"""Whole standings on disk, so that a killed run goes on bitwise as if it had not been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.archive.checkpoint import save_checkpoint
from sandbox.core.record import Record


@dataclass(frozen=True)
class Checkpoint:
    """Saves every `every` reflective steps of the top level, and at the end; the last `keep` stay."""

    every: int = 30
    keep: int = 2

    def start(self, folder: Path, config: Mapping[str, Any], resumed: int) -> CheckpointTracker:
        return CheckpointTracker(self, folder, 1 + len(config["above"]))


@dataclass
class CheckpointTracker:
    """Remembers the last record of the top level, so that it can be saved at the end."""

    schedule: Checkpoint
    folder: Path
    top: int
    last: Record | None = field(default=None)
    saved: int = field(default=0)

    def write(self, record: Record) -> None:
        if record.level == self.top:
            self.last = record
            if record.step and record.step % self.schedule.every == 0:
                self._save(record)

    def close(self, *, finished: bool) -> None:
        if self.last is not None and self.last.step > self.saved:
            self._save(self.last)

    def _save(self, record: Record) -> None:
        save_checkpoint(self.folder, record, keep=self.schedule.keep)
        self.saved = record.step
