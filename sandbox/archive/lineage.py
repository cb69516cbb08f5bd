"""The lineage on disk: lines appended and flushed; reading changes nothing. The format itself is in `sandbox.lines`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sandbox.core.error import LineageError, explain
from sandbox.core.reading import Reading
from sandbox.core.record import Change, Record, Verdict
from sandbox.lines import file
from sandbox.lines.file import LINEAGE as LINEAGE
from sandbox.lines.line import Line as Line
from sandbox.lines.line import Reader, Step, Writer, told
from sandbox.lines.readings import READINGS
from sandbox.lines.whole import write_whole

# ---- lines ----------------------------------------------------------------------------------------------------------


def as_json(record: Record) -> str:
    """The line that readers get of a record, in full; numbers that are not finite become null."""
    return json.dumps(told(step(record)), allow_nan=False)


def step(record: Record) -> Step:
    """What is written: every field but the standing, tensors as arrays."""
    found = {field.name: getattr(record, field.name) for field in fields(record) if field.name != "standing"}
    edit = {path: _change(change) for path, change in record.edit.items()}
    readings = {name: _array(values) for name, values in record.readings.items()}
    return found | {"own": _array(record.own), "edit": edit, "readings": readings}


def _change(change: Change) -> dict[str, Any]:
    if change.value is not None:
        return {"value": _array(change.value)}
    return {"size": _array(change.size), "digest": list(change.digest)}


def _array(values: Tensor) -> np.ndarray:
    values = values.detach().cpu()
    return (values.float() if values.dtype in (torch.bfloat16, torch.float16) else values).numpy()


def read(folder: Path) -> list[Line]:
    """Every whole line. A torn last line (the writer was killed) is left out; any other bad line is named."""
    return list(file.read(folder))


def places(folder: Path) -> list[tuple[int, int]]:
    """The (level, step) of every whole line: a long lineage of many edits is more than a memory holds at once."""
    return [(line["level"], line["step"]) for line in file.read(folder)]


def writer(folder: Path, *, packed: bool) -> Writer:
    """What goes on after the lines that are there: it must know what they said, so that it need not say it again."""
    reader = Reader()
    for _ in file.read(folder, reader):
        pass
    return Writer(packed, reader.seeds, reader.asked)


def write_readings(folder: Path, readings: Iterable[Reading]) -> None:
    """Keep in a run folder what its meters say of their readings."""
    write_whole(folder / READINGS, json.dumps([asdict(reading) for reading in readings], indent=1).encode())


def cut(folder: Path, step: int) -> None:
    """Drop what was written after the top level's record `step`, and a torn last line."""
    lines = places(folder)
    top = max((level for level, _ in lines), default=1)
    keep = next((i for i, place in enumerate(lines) if place == (top, step)), None)
    if keep is None:
        raise LineageError(explain(expected=f"a line for step {step} in {folder / LINEAGE}", got="none",
                                   do="Its checkpoint is ahead; move the folder away to start anew."))  # fmt: skip
    write_whole(folder / LINEAGE, b"".join(text + b"\n" for text in file.texts(folder)[0][: keep + 1]))


def select(lines: Sequence[Line], reading: str, *, count: int = 1, highest: bool = False) -> list[Line]:
    """The `count` lines whose `reading`, averaged over seeds, is best (lowest unless `highest`)."""
    scored = [(sum(line["readings"][reading]) / len(line["seeds"]), i) for i, line in enumerate(lines)
              if reading in line["readings"] and None not in line["readings"][reading]]  # fmt: skip
    return [lines[i] for _, i in sorted(scored, key=lambda pair: (-pair[0] if highest else pair[0], pair[1]))[:count]]


def course(lines: Sequence[Line], start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{path: [steps, S, ...]}: the value in force after each reflective step of level 1, from the accepted edits and
    the values at the `start` [S, ...]. Raises `LineageError` where an edit was too large to be written."""
    now = {path: value.clone() for path, value in start.items()}
    past = {path: list(value.clone()) for path, value in start.items()}
    steps: dict[str, list[Tensor]] = {path: [] for path in start}
    for line in lines:
        if line["level"] != 1 or line["step"] == 0:
            continue
        for path in start:
            for s, verdict in enumerate(line["verdict"]):
                if verdict == Verdict.ACCEPTED:
                    past[path][s] = now[path][s].clone()
                    if path in line["edit"]:
                        now[path][s] = torch.tensor(_value(line, path)[s], dtype=now[path].dtype)
                elif verdict == Verdict.ROLLED_BACK:
                    now[path][s] = past[path][s]
            steps[path].append(now[path].clone())
    return {path: torch.stack(values) for path, values in steps.items() if values}


def _value(line: Line, path: str) -> list[Any]:
    if "value" not in line["edit"][path]:
        raise LineageError(explain(expected=f"the values of '{path}' at step {line['step']}", got="their digest alone",
                                   do="An edit of more than a kilobyte a seed can't be lived by again."))  # fmt: skip
    return line["edit"][path]["value"]
