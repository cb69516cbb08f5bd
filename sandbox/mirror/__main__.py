"""The process beside a run: `python -m sandbox.mirror RUN SETTINGS`, told by its standard input how the run ended."""

from __future__ import annotations

import json
import os
import select
import sys
from contextlib import suppress
from pathlib import Path

from sandbox.core.error import SandboxError
from sandbox.lines.mirror import FAILED, WHOLE, write_mirror
from sandbox.mirror.follow import End, GoneError, mirrored
from sandbox.mirror.settings import Settings

NICE = 5  # the run comes first
KILLED = End(finished=False, error="its process was killed")
LOOK = 0.5  # seconds between two looks at the lineage


class Told:
    """What the run's process says at its end; one that is killed says nothing, and is no longer the parent."""

    def __init__(self) -> None:
        self.parent = os.getppid()

    def __call__(self) -> End | None:
        """Waits up to `LOOK` seconds."""
        ready = select.select([sys.stdin], [], [], LOOK)[0]
        if not ready:
            return None if os.getppid() == self.parent else KILLED
        with suppress(ValueError):
            return End(**json.loads(sys.stdin.readline()))
        return KILLED


def main() -> int:
    """0 where the mirror is whole, else 1."""
    os.nice(NICE)
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    try:
        told = mirrored(folder, Settings(**settings), Told())
    except GoneError:
        os._exit(1)  # at once: W&B's own process ends with this one
    except SandboxError as error:
        write_mirror(folder, {"state": FAILED, "why": str(error)})
        return 1
    return 0 if told.get("state") == WHOLE else 1


if __name__ == "__main__":
    sys.exit(main())
