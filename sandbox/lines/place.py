"""The place of a run: what its folder is called, who lives it, and what it last said of itself. It knows no torch."""

from __future__ import annotations

import fcntl
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sandbox.core.error import ConfigError, explain
from sandbox.lines.whole import write_whole

# How a run is called, where it is kept, who watches, how long it goes on and what its launch allows: not what it is.
COSMETIC = ("label", "runs", "tracker", "steps", "trust", "force", "launch", "sweep", "objective", "check")
SEEDS = ("seed", "seeds")
STATUS, LOCK = "status.json", ".lock"
ODD = re.compile(r"[^A-Za-z0-9_.=-]+")  # what no folder's name has: W&B, artifacts and shells have it otherwise
LONGEST = 60  # characters of a label in the name of a folder; W&B takes names of 118


def checked_label(label: Any) -> str:
    """A label, which may be any words in one line; raises `ConfigError`."""
    label = str(label)
    if not label.strip() or not label.isprintable() or len(label) > 2 * LONGEST:
        raise ConfigError(explain(expected=f"a label: words in one line, {2 * LONGEST} characters at most",
                                  got=f"{label[:LONGEST]!r} ({len(label)} characters)",
                                  do="Choose label=something-shorter."))  # fmt: skip
    return label


def folder_name(label: str, identity: str) -> str:
    """What the folder of a run is called: letters (without accents), digits and a few signs of its label, `_` for all
    others, and its identity."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return f"{ODD.sub('_', plain)[:LONGEST].strip('._-') or 'run'}-{identity}"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder for one process alone; a second one waits for it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is(lock, folder / LOCK):  # else the folder was removed while this process waited
                yield
                return


def _is(file: IO[str], path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@contextmanager
def free(folder: Path) -> Iterator[bool]:
    """Whether nobody lives the run; if so, nobody else can begin to for as long as the block lasts."""
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def living(folder: Path) -> bool:
    """Whether some process lives the run now; nothing in the folder is touched."""
    if not (folder / LOCK).exists():
        return False
    with (folder / LOCK).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def status(folder: Path) -> dict[str, Any]:
    """What the run last said of itself; empty where it hasn't begun, or where what it said is lost."""
    try:
        found = json.loads((folder / STATUS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def mark(folder: Path, state: str, why: str) -> bool:
    """Say in a run's place that it ended so, where it still says that it runs and nobody lives it; whether it did."""
    if status(folder).get("state") != "running":
        return False
    with free(folder) as mine:
        known = status(folder)
        if not mine or known.get("state") != "running":
            return False
        write_whole(folder / STATUS, json.dumps({**known, "state": state, "error": why}).encode())
    return True
