"""The record of truth: one flushed JSON line a reflective step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from sandbox.archive.lineage import LINEAGE, cut, step, writer
from sandbox.core.record import Record
from sandbox.lines.line import Writer


@dataclass(frozen=True)
class Jsonl:
    """Writes `lineage.jsonl`; a resumed run drops the lines after its checkpoint and goes on. From `packed_from` steps
    times seeds on, columns of numbers are written as bytes: a third of the size, which `jq` can't read."""

    packed_from: int = 50_000

    def start(self, folder: Path, config: Mapping[str, Any], resumed: int) -> JsonlTracker:
        packed = config["steps"] * config["seeds"] >= self.packed_from
        if not resumed:
            return JsonlTracker((folder / LINEAGE).open("w"), Writer(packed))
        cut(folder, resumed)
        return JsonlTracker((folder / LINEAGE).open("a"), writer(folder, packed=packed))


@dataclass(frozen=True)
class JsonlTracker:
    """An open lineage."""

    file: TextIO
    writer: Writer = field(default_factory=Writer)

    def write(self, record: Record) -> None:
        self.file.write(self.writer.write(step(record)) + "\n")
        self.file.flush()

    def close(self, *, finished: bool) -> None:
        self.file.close()
