"""Whether runs go on: by what they say of themselves, by who lives them, and by what their launch has still to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sandbox.lines.launch import Entry, entries, read_plan
from sandbox.lines.place import free, status


def over(paths: Sequence[Path]) -> bool:
    """Whether no run of `paths` goes on, and no job of their launches is still to come."""
    return all(_launched(path) if path.is_file() else not any(map(_lives, _folders(path))) for path in paths)


def _launched(manifest: Path) -> bool:
    if _launcher_lives(manifest):
        plan = read_plan(manifest)
        last: dict[int, Entry] = {entry["job"]: entry for entry in entries(manifest) if "label" in entry}
        done = [entry for entry in last.values() if "error" in entry or _ended(Path(entry["folder"]))]
        return plan is not None and len(done) >= len(plan.jobs)
    return not any(_lives(Path(entry["folder"])) for entry in entries(manifest) if "folder" in entry)


def _ended(folder: Path) -> bool:
    return status(folder).get("state", "running") != "running"


def _lives(folder: Path) -> bool:
    """Whether a run says that it goes on, and somebody lives it: a run that was killed had no time to say so."""
    if not folder.is_dir() or status(folder).get("state") != "running":
        return False
    with suppress(OSError), free(folder) as nobody:  # a folder that can't be written says what it says
        return not nobody
    return True


def _launcher_lives(manifest: Path) -> bool:
    """The file of a launch bears the number of the process that launched it: of this machine, as far as is known."""
    number = manifest.stem.rpartition("-")[2]
    if not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _folders(path: Path) -> Iterator[Path]:
    if (path / "config.yaml").is_file():
        yield path
    else:
        yield from (config.parent for config in path.glob("*/config.yaml"))
