"""Replay: a run executed again from its folder, and every line compared with its lineage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sandbox.archive import lineage
from sandbox.archive.journal import DiskJournal
from sandbox.core.error import LineageError, explain
from sandbox.experiment import build_loop
from sandbox.identity import seeds_of
from sandbox.lines.format import config_of
from sandbox.lines.place import status


def replay(folder: Path, *, trust: Sequence[str] = ()) -> int:
    """Re-execute a run and compare every line with its lineage; returns how many agree, all of them.

    Only `trust` says whose packages may be built from, never the run's own configuration. Raises `LineageError` naming
    the first line and key that differ, and for a lineage that is too long or too short.
    """
    if not (folder / "config.yaml").exists():
        raise LineageError(explain(expected="a run folder with config.yaml", got=str(folder),
                                   do="Name a folder under runs/."))  # fmt: skip
    config = config_of(folder) | {"trust": list(trust), "force": False}
    torch.set_num_threads(config["threads"])
    lines = lineage.read(folder)
    loop = replace(build_loop(config), journal=DiskJournal(folder, sealed=True), check=False)
    records = loop.run(seeds_of(config), config["steps"])
    number = 0
    for number, line in enumerate(lines, start=1):
        record = next(records, None)
        if record is None:
            raise LineageError(explain(expected=f"{number - 1} lines in {folder / lineage.LINEAGE}",
                                       got=str(len(lines)), do="Lines were added."))  # fmt: skip
        again = json.loads(lineage.as_json(record))
        for key in again.keys() | line.keys():
            if again.get(key) != line.get(key):
                where, written, replayed = _differ(key, line.get(key), again.get(key))
                raise LineageError(explain(
                    expected=f"line {number} (step {line.get('step')}) of {folder / lineage.LINEAGE} to replay",
                    got=f"another '{where}': {written} written, {replayed} replayed",
                    do="The line was changed, or code or versions differ from about.json."))  # fmt: skip
    if not lines or (status(folder).get("state") == "finished" and next(records, None) is not None):
        raise LineageError(explain(expected=f"the whole lineage of a finished run in {folder / lineage.LINEAGE}",
                                   got=f"{number} lines", do="Lines were taken away."))  # fmt: skip
    return number


def _differ(where: str, written: Any, replayed: Any) -> tuple[str, Any, Any]:
    """The first place within two JSON values at which they differ, and what stands there."""
    if isinstance(written, list) and isinstance(replayed, list) and len(written) == len(replayed):
        pairs = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(written, replayed, strict=True))]
    elif isinstance(written, dict) and isinstance(replayed, dict) and written.keys() == replayed.keys():
        pairs = [(f"{where}.{key}", written[key], replayed[key]) for key in written]
    else:
        return where, written, replayed
    return next((_differ(*pair) for pair in pairs if pair[1] != pair[2]), (where, written, replayed))
