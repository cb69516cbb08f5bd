"""Ends a trial that is worse than the others were at the same step, while it is lived: a glance at its lineage."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from sandbox.lines.launch import append, entries, here
from sandbox.lines.place import living
from sandbox.report.read import read_run
from sandbox.sweep.trials import Trials

EVERY = 1.0  # seconds between two looks; more where a look takes long
SHARE = 50  # a look may take this part of the time


def course(folder: Path, reading: str, most: int) -> list[tuple[int, float]]:
    """(step, mean over seeds) of a reading wherever it was taken in the first `most` steps, in order."""
    steps, values = read_run(folder).series(reading)
    return [(int(step), float(row.mean())) for step, row in zip(steps, values, strict=True) if step <= most]


@contextmanager
def pruned(trials: Trials, batch: Mapping[int, Any], reading: str, manifest: Path) -> Iterator[None]:
    """End the hopeless ones of these trials, {job: trial}, for as long as the block lasts: with a checkpoint, as any
    interruption. Which they are is told by their lineage alone, so nothing depends on when it is looked at."""
    over, told = Event(), set[int]()

    def look() -> None:
        for entry in entries(manifest):
            job: int = entry["job"]
            if job not in batch or job in told or "folder" not in entry or not here(entry):
                continue
            cut = trials.cut(batch[job].number, course(Path(entry["folder"]), reading, entry["steps"]))
            if cut is not None:
                told.add(job)
                append(manifest, {"job": job, "pruned": cut})
                if living(Path(entry["folder"])):  # else its pid may be somebody else's by now
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(entry["pid"], signal.SIGTERM)

    def keep_looking() -> None:
        pause = EVERY
        while not over.wait(pause):
            began = time.monotonic()
            with suppress(Exception):  # a file in the making is whole at the next look
                look()
            pause = max(EVERY, SHARE * (time.monotonic() - began))

    thread = Thread(target=keep_looking, name="pruning", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
