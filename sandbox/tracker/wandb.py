"""A mirror of the lineage in Weights & Biases, made by a process of its own: the run never waits for W&B, nor fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sandbox.core.error import ConfigError, explain
from sandbox.core.record import Record
from sandbox.lines.mirror import FAILED, WHOLE, is_followed, mode_of, read_mirror

INTERRUPTED = 3.0  # seconds that an interrupted run waits: who ends it may not wait much longer
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # at most, for the mirror
LEFT: dict[Path, subprocess.Popen[bytes]] = {}  # those that go on after their run, by its folder


@dataclass(frozen=True)
class Wandb:
    """What is left at null is W&B's own setting of the environment (`WANDB_MODE`, `WANDB_PROJECT`, `WANDB_ENTITY`,
    `WANDB_RUN_GROUP`, `WANDB_NAME`, `WANDB_TAGS`, `WANDB_NOTES`, `WANDB_JOB_TYPE`), or else follows from the run: mode
    offline, project sandbox, a group of runs that differ by their seeds alone, named by what varies. `mode` is
    "offline", "online" or "disabled". `by_seed` adds each seed's own curves to their mean and interval. The end of a
    run waits for `deadline` seconds at most; what is left is then done in the background."""

    mode: Literal["offline", "online", "disabled"] | None = None
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    tags: tuple[str, ...] | None = None
    notes: str | None = None
    job_type: str | None = None
    by_seed: bool = False
    deadline: float = 20.0

    def __post_init__(self) -> None:
        mode_of(self.mode)
        if not self.deadline >= 0:
            raise ConfigError(explain(expected="a deadline of 0 seconds or more", got=repr(self.deadline),
                                      do="Leave it out: 20."))  # fmt: skip

    def start(self, folder: Path, config: Mapping[str, Any], resumed: int) -> WandbTracker:
        if mode_of(self.mode) == "disabled":
            return WandbTracker(None, folder, 0.0)
        settings = {key: value for key, value in asdict(self).items() if key != "deadline"}
        command = [sys.executable, "-P", "-m", "sandbox.mirror", str(folder.resolve()), json.dumps(settings)]
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, env=os.environ | ONE_CORE,
                                       start_new_session=True)  # fmt: skip
        except OSError:  # no process can be begun; `told` will say that there is no mirror
            process = None
        return WandbTracker(process, folder, self.deadline)

    def told(self, folder: Path) -> Iterator[str]:
        """What a user should know of the mirror of a run that has ended; one that is missing is made first."""
        if mode_of(self.mode) == "disabled":
            return
        if not read_mirror(folder) and not any((folder / "wandb").glob("*run-*")):
            self.start(folder, {}, 0).close(finished=True)
        known, remedy = read_mirror(folder), f"`sandbox mirror {folder}` makes it whole"
        if known.get("state") == WHOLE:
            return
        if (folder in LEFT and LEFT[folder].poll() is None) or is_followed(folder):
            yield "its W&B mirror is not done yet; it goes on in the background"
        elif known.get("state") == FAILED:
            yield f"its W&B mirror is not whole ({known.get('why')}); {remedy}"
        else:
            yield f"its W&B mirror ended without a word; {remedy}"


@dataclass(frozen=True)
class WandbTracker:
    """The process that makes the mirror, told by its standard input when the run has ended. It reads the lineage."""

    process: subprocess.Popen[bytes] | None
    folder: Path
    deadline: float

    def write(self, record: Record) -> None:
        """Nothing: the lineage has it."""

    def close(self, *, finished: bool) -> None:
        if self.process is None or self.process.stdin is None:
            return
        error = None if finished else sys.exception()
        waits = min(self.deadline, INTERRUPTED) if isinstance(error, KeyboardInterrupt) else self.deadline
        how = {"finished": finished, "error": "" if error is None else str(error) or type(error).__name__}
        with suppress(OSError):  # it has ended before
            self.process.stdin.write(json.dumps(how).encode() + b"\n")
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(waits)
        except subprocess.TimeoutExpired:
            LEFT[self.folder] = self.process
