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
from sandbox.lines.launch import launches, sweep_of
from sandbox.lines.line import Line
from sandbox.lines.mirror import FAILED, FOLLOWING, WHOLE, alone, follower, write_mirror
from sandbox.mirror.board import BEGIN, PATIENCE, Board, checked, opened
from sandbox.mirror.rows import row
from sandbox.mirror.settings import Filed, Settings, filed
from sandbox.mirror.source import Feed, Run, read_run

CLOSE = 30.0  # seconds that W&B has to close a mirror that went wrong
GIVE_WAY = 10.0  # seconds that another process has to leave a mirror to this one


@dataclass(frozen=True)
class End:
    """How a run ended."""

    finished: bool
    error: str = ""


Ended = Callable[[], End | None]
"""Waits a little, then tells whether the run has ended."""


class GoneError(SandboxError):
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
            told |= {"state": WHOLE, **_made(run, where, settings, ended, still)}
        except GoneError:
            raise
        except Exception as error:
            told |= {"state": FAILED, "why": sentence(error)}
        with suppress(OSError):
            write_mirror(folder, told)
    return told


def _made(run: Run, where: Filed, settings: Settings, ended: Ended, still: Callable[[], bool]) -> dict[str, Any]:
    """The mirror itself; returns its number of rows, and where it is to be looked at."""
    place = run.folder / "wandb"
    place.mkdir(exist_ok=True)
    board = opened(run, where)
    own = Path(board.open.dir).parent
    try:
        _drop_earlier(place, own)
        Follower(board, settings, still, Feed(run.folder)).follow(ended)
    except Exception:
        with _bounded(run.folder, CLOSE), suppress(Exception):
            board.open.finish(exit_code=1)
        raise
    return {"rows": board.rows, "at": own.name if where.mode == "offline" else str(board.open.url)}


def _drop_earlier(place: Path, kept: Path) -> None:
    """Remove earlier mirrors, whole or torn: the one that is kept will have all that they have."""
    for path in place.glob("*"):
        if path.is_dir() and not path.is_symlink() and path.name != kept.name:
            shutil.rmtree(path, ignore_errors=True)


def sentence(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


@dataclass
class Follower:
    """Sends what has been written, each line once. `looked`: when lines last came; `still`: whether the folder is the
    run's."""

    board: Board
    settings: Settings
    still: Callable[[], bool]
    feed: Feed
    looked: float = 0.0
    alerted: bool = False

    def follow(self, ended: Ended) -> None:
        """Until the run has ended, and all of it is sent."""
        run = self.board.run
        if self.board.there:
            checked(self.board, sum(line["level"] == run.top for line in Feed(run.folder).lines()))
        while (end := ended()) is None:
            self._look(live=True)
        with _bounded(run.folder, BEGIN + PATIENCE):
            self._look(live=False)
            if end.error:
                self.board.alert("failed", f"{run.folder.name}: {end.error}"[:1000])
            self.board.end(finished=end.finished, figures=figures_of(run))

    def _look(self, *, live: bool) -> None:
        """Send what has come; the last row of what came at once tells how long a step took, where that was seen."""
        if not self.still():
            raise GoneError(f"{self.board.run.folder} was moved, or is begun anew")
        steps = 0
        for line in self.feed.lines():
            self._take(line)
            steps += line["level"] == self.board.run.top
        now = time.monotonic()
        if steps and self.looked and live and self.board.waiting is not None:
            self.board.waiting["time/seconds_a_step"] = (now - self.looked) / steps
        self.looked = now if steps else self.looked

    def _take(self, line: Line) -> None:
        self.board.edits.take(line)
        if line["level"] == self.board.run.top:
            self.board.add(row(line, by_seed=self.settings.by_seed))
        if line["step"] and None in line["own"] and not self.alerted:
            self.board.alert("diverged", f"{self.board.run.folder.name}: A is not finite at step {line['step']}.")
            self.alerted = True


def figures_of(run: Run) -> list[Path]:
    """The figures of the newest report on a launch of the run's sweep, if there is one."""
    runs, sweep = run.folder.parent, run.config.get("sweep")
    names = [path.stem for path in launches(runs) if sweep and sweep_of(path) == sweep]
    found = [sorted((runs / "reports" / name).glob("*.png")) for name in names]
    return next((figures for figures in reversed(found) if figures), [])


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


@contextmanager
def _bounded(folder: Path, seconds: float) -> Iterator[None]:
    """End this process if the block takes longer, whatever W&B does meanwhile."""

    def give_up() -> None:
        with suppress(OSError):
            write_mirror(folder, {"state": FAILED, "why": f"W&B had not taken all after {seconds:.0f} s"})
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
