"""What is known of a run's mirror in W&B: `mirror.json`, and the lock of the process that makes it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.lines.whole import write_whole

MIRROR, LOCK = "mirror.json", ".mirror.lock"
WHOLE, FAILED, FOLLOWING = "whole", "failed", "following"
MODES = ("offline", "online", "disabled")
OLD_MODES = {"dryrun": "offline", "run": "online"}  # W&B's earlier words


def mode_of(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The mode that is given, or else that of `WANDB_MODE`, or else offline. Raises `ConfigError` for any other."""
    told = environment.get("WANDB_MODE", "").strip()
    mode = given or OLD_MODES.get(told, told) or MODES[0]
    if mode not in MODES:
        where = "tracker.wandb.mode" if given else "WANDB_MODE"
        raise ConfigError(explain(expected=f"{', '.join(MODES[:-1])} or {MODES[-1]} at {where}", got=f"'{mode}'",
                                  do=did_you_mean(mode, MODES)))  # fmt: skip
    return mode


def read_mirror(folder: Path) -> dict[str, Any]:
    """What the mirror last said of itself, {`state`: following, whole or failed; `mode`; `rows`; `why`; `at`: where it
    is to be looked at}; empty where there is none."""
    try:
        return json.loads((folder / MIRROR).read_text())
    except (OSError, ValueError):
        return {}


def write_mirror(folder: Path, told: Mapping[str, Any]) -> None:
    """Say it, whole or not at all."""
    write_whole(folder / MIRROR, json.dumps(told).encode())


def is_followed(folder: Path) -> bool:
    """Whether a process makes the mirror now."""
    with _opened(folder) as lock:
        return not _locked(lock)


@contextmanager
def alone(folder: Path) -> Iterator[Callable[[], bool] | None]:
    """Make the mirror alone, for as long as the block lasts: None where another process makes it. What is yielded tells
    whether the folder is still the run's: it may be moved or begun anew. The id of this process stands in the lock, so
    that another can end it."""
    with _opened(folder) as lock:
        if not _locked(lock):
            yield None
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()

        def still() -> bool:
            try:
                return (folder / LOCK).stat().st_ino == os.fstat(lock.fileno()).st_ino
            except OSError:
                return False

        yield still


def follower(folder: Path) -> int:
    """The id of the process that makes the mirror, or last made it; 0 where none did."""
    try:
        return int((folder / LOCK).read_text())
    except (OSError, ValueError):
        return 0


def _opened(folder: Path) -> TextIO:
    return (folder / LOCK).open("a")


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
