"""Whether runs go on: by what they say of themselves, and by the processes that live them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.lines.launch import entries, read_plan

DONE = ("finished", "failed", "interrupted", "killed")


def over(paths: Sequence[Path]) -> bool:
    """Whether no run of `paths` goes on and no job of their launches is still to come."""
    return all(_launched(path) if path.is_file() else all(map(_done, _folders(path))) for path in paths)


def _launched(manifest: Path) -> bool:
    plan = read_plan(manifest)
    last: dict[int, Mapping[str, Any]] = {entry["job"]: entry for entry in entries(manifest) if "label" in entry and "job" in entry}
    ended = all("error" in entry or _done(Path(entry.get("folder", "")), entry) for entry in last.values())
    told = len(last) >= len(plan.jobs) if plan else True
    return ended and (told or not _launcher_lives(manifest))


def _done(folder: Path, entry: Mapping[str, Any] | None = None) -> bool:
    """Whether a run says that it has ended, or the process that lived it is gone."""
    try:
        state = json.loads((folder / "status.json").read_text()).get("state")
    except (OSError, ValueError):
        state = None
    if state in DONE:
        return True
    return entry is not None and entry.get("host") == socket.gethostname() and not _lives(entry.get("pid"))


def _launcher_lives(manifest: Path) -> bool:
    """A launch's file bears the number of the process that launched it, on this machine as far as anybody knows."""
    number = manifest.stem.rpartition("-")[2]
    return number.isdigit() and _lives(int(number))


def _lives(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, TypeError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _folders(path: Path) -> Iterator[Path]:
    if (path / "config.yaml").is_file():
        yield path
    else:
        yield from (config.parent for config in path.glob("*/config.yaml"))
