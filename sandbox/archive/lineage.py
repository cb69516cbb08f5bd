"""The lineage on disk: lines appended and flushed; reading changes nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sandbox.archive.file import write_whole
from sandbox.core.error import LineageError, explain
from sandbox.core.record import Change, Record, Verdict

LINEAGE = "lineage.jsonl"
Line = Mapping[str, Any]


# ---- lines ----------------------------------------------------------------------------------------------------------


def as_json(record: Record) -> str:
    """One line of strict JSON; numbers that are not finite become null."""
    return json.dumps(_plain(line(record)), allow_nan=False)


def line(record: Record) -> dict[str, Any]:
    """What is written: every field but the standing."""
    found = {field.name: getattr(record, field.name) for field in fields(record) if field.name != "standing"}
    return found | {"edit": {path: _change(change) for path, change in record.edit.items()}}


def _change(change: Change) -> dict[str, Any]:
    found: dict[str, Any] = {"size": change.size}
    if change.value is not None:
        return found | {"value": change.value}
    return found | {"digest": change.digest}


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def read(folder: Path) -> list[Line]:
    """Every whole line. A torn last line (the writer was killed) is left out; any other bad line is named."""
    path = folder / LINEAGE
    if not path.exists():
        raise LineageError(explain(expected=f"a run folder with {LINEAGE}", got=str(folder),
                                   do="Name a folder under runs/."))  # fmt: skip
    lines = path.read_text().split("\n")
    found: list[Line] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise LineageError(explain(expected=f"JSON on line {number} of {path}", got=str(error),
                                       do="The file was changed by hand, or its disk failed."))  from error  # fmt: skip
    return found


def cut(folder: Path, step: int) -> None:
    """Drop what was written after the top level's record `step`, and a torn last line."""
    lines = read(folder)
    top = max((line["level"] for line in lines), default=1)
    keep = next((i for i, line in enumerate(lines) if line["level"] == top and line["step"] == step), None)
    if keep is None:
        raise LineageError(explain(expected=f"a line for step {step} in {folder / LINEAGE}", got="none",
                                   do="Its checkpoint is ahead; move the folder away to start anew."))  # fmt: skip
    whole = (folder / LINEAGE).read_text().split("\n")[: keep + 1]
    write_whole(folder / LINEAGE, ("\n".join(whole) + "\n").encode())


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
