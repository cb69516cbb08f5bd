"""A mirror from beginning to end: every row there is, then each that comes, until the run has ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.core.error import SandboxError
from sandbox.lines.mirror import FAILED, FOLLOWING, WHOLE, alone, follower, write_mirror
from sandbox.mirror.board import BEGIN, PATIENCE, Board, checked, opened
from sandbox.mirror.rows import row
from sandbox.mirror.settings import Settings, filed
from sandbox.mirror.source import Feed, Run, read_run

GIVE_WAY = 10.0  # seconds that another process has to leave a mirror to this one


@dataclass(frozen=True)
class End:
    """How a run ended."""

    finished: bool
    error: str = ""


Ended = Callable[[], End | None]
"""Waits a little, then tells whether the run has ended."""


class GoneError(Exception):
    """The folder is no longer the run's: it was moved, removed or begun anew."""


def mirrored(folder: Path, settings: Settings, ended: Ended) -> dict[str, Any]:
    """Mirror a run until it has ended; returns what `mirror.json` then says. Nothing is raised but `SandboxError`, for
    a folder without a run, and for settings that can't be meant."""
    run = read_run(folder)
    where = filed(run, settings)
    told: dict[str, Any] = {"mode": where.mode, "id": where.id, "project": where.project, "host": socket.gethostname()}
    with _claimed(folder) as still:
        with suppress(OSError):
            write_mirror(folder, {"state": FOLLOWING, **told})
        try:
            shutil.rmtree(folder / "wandb", ignore_errors=True)  # parts of earlier mirrors: this one is whole
            (folder / "wandb").mkdir()
            board = opened(run, where)
            _follow(run, board, settings, ended, still)
            told |= {"state": WHOLE, "rows": board.rows, "at": _at(board)}
        except GoneError:
            os._exit(0)  # at once: W&B's own process ends with this one
        except Exception as error:
            told |= {"state": FAILED, "why": sentence(error)}
        with suppress(OSError):
            write_mirror(folder, told)
    return told


def sentence(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _follow(run: Run, board: Board, settings: Settings, ended: Ended, still: Callable[[], bool]) -> None:
    """Send what there is, and then what comes; the last row of what came at once says how long a step took."""
    if board.there:
        checked(board, [line["step"] for line in Feed(run.folder).lines() if line["level"] == run.top])
    feed, end, looked, alerted = Feed(run.folder), None, 0.0, False
    while end is None:
        end = ended()
        if not still():
            raise GoneError
        if end is not None:
            _bounded(run.folder, BEGIN + PATIENCE)
        steps, diverged = _taken(feed, board, settings)
        if steps and looked and end is None and board.waiting is not None:
            board.waiting["time/seconds_a_step"] = (time.monotonic() - looked) / steps
        looked = time.monotonic() if steps else looked
        if diverged and not alerted:
            board.alert("diverged", f"{run.folder.name}: A is not finite at step {diverged}.")
            alerted = True
    if end.error:
        board.alert("failed", f"{run.folder.name}: {end.error}"[:1000])
    board.end(finished=end.finished, figures=figures_of(run))


def _taken(feed: Feed, board: Board, settings: Settings) -> tuple[int, int]:
    """How many rows there were to send, and the first step at which A was not finite (0: none)."""
    steps = diverged = 0
    for line in feed.lines():
        board.edits.take(line)
        if line["level"] == board.run.top:
            board.add(row(line, by_seed=settings.by_seed))
            steps += 1
        if None in line["own"]:
            diverged = diverged or line["step"]
    return steps, diverged


def figures_of(run: Run) -> list[Path]:
    """The figures of the report on the run's sweep, if there is one."""
    sweep = run.config.get("sweep")
    return sorted((run.folder.parent / "reports" / str(sweep)).glob("*.png")) if sweep else []


def _at(board: Board) -> str:
    if board.filed.mode == "online":
        return str(board.open.url or "")
    return str(next(iter((board.run.folder / "wandb").glob("offline-run-*")), "").name)  # type: ignore[union-attr]


@contextmanager
def _claimed(folder: Path) -> Iterator[Callable[[], bool]]:
    """The mirror for this process alone. One that an earlier start of the run has left behind gives way."""
    until = time.monotonic() + GIVE_WAY
    while True:
        with alone(folder) as still:
            if still is not None:
                yield still
                return
        late = time.monotonic() > until
        if late:
            raise SandboxError(f"another process ({follower(folder)}) makes the mirror of {folder}")
        _end(follower(folder), signal.SIGKILL if time.monotonic() > until - GIVE_WAY / 2 else signal.SIGTERM)
        time.sleep(0.2)


def _end(process: int, how: int) -> None:
    """End the process that holds the lock; its id is sure for as long as it does, on this machine."""
    with suppress(OSError, ValueError):
        words = Path(f"/proc/{process}/cmdline").read_bytes()
        if process != os.getpid() and b"sandbox" in words:
            os.kill(process, how)


def _bounded(folder: Path, seconds: float) -> None:
    """End this process after so many seconds, whatever W&B does meanwhile."""

    def give_up() -> None:
        with suppress(OSError):
            write_mirror(folder, {"state": FAILED, "why": f"W&B had not taken all after {seconds:.0f} s"})
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
