"""The record of truth: one flushed JSON line a reflective step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sandbox.archive.lineage import LINEAGE, as_json, cut
from sandbox.core.record import Record


@dataclass(frozen=True)
class Jsonl:
    """Writes `lineage.jsonl`; a resumed run drops the lines after its checkpoint and goes on."""

    def start(self, folder: Path, config: Mapping[str, Any], resumed: int) -> JsonlTracker:
        if resumed:
            cut(folder, resumed)
        return JsonlTracker((folder / LINEAGE).open("a" if resumed else "w"))


@dataclass(frozen=True)
class JsonlTracker:
    """An open lineage."""

    file: TextIO

    def write(self, record: Record) -> None:
        self.file.write(as_json(record) + "\n")
        self.file.flush()

    def close(self, *, finished: bool) -> None:
        self.file.close()
