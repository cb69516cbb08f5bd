"""A run's folder: whose it is, how far it got, from where it goes on, and what is kept aside in it."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.archive import checkpoint, lineage
from sandbox.core.record import Standing
from sandbox.core.state import State
from sandbox.identity import Config, identity
from sandbox.lines.place import LOCK, STATUS, checked_label, folder_name, status
from sandbox.lines.whole import write_whole

ABOUT, PAST = "about.json", "past"


def folder_of(config: Config) -> Path:
    """Where the run lives: the folder that already holds this identity, whatever its label, or a new one."""
    runs, name = Path(config["runs"]), identity(config)
    return next(iter(sorted(runs.glob(f"*-{name}"))), runs / folder_name(checked_label(config["label"]), name))


# ---- how far it got -------------------------------------------------------------------------------------------------


def reached(folder: Path) -> int:
    """The last step of the top level that its lineage tells of; -1 where there is no lineage, or an empty one."""
    if not (folder / lineage.LINEAGE).exists():
        return -1
    lines = lineage.places(folder)
    top = max((level for level, _ in lines), default=1)
    return max((step for level, step in lines if level == top), default=-1)


def has_all(folder: Path, steps: int) -> bool:
    """Whether nothing is left to do for `steps` steps: the lineage tells of more, or of as many by a finished run."""
    known, step = status(folder), reached(folder)
    if step > steps:
        return True
    return step == steps and known.get("state") == "finished" and known.get("steps") == steps


def code_of(folder: Path) -> Mapping[str, Any]:
    """The code that the run was last gone on with; empty where none was recorded."""
    path = folder / ABOUT
    entries = json.loads(path.read_text()) if path.exists() else []
    return entries[-1].get("code", {}) if entries else {}


@dataclass(frozen=True)
class Notes:
    """What a run says of itself as it goes: `status.json`, and an entry of `about.json` for each time it is begun or
    gone on with. `reached` holds "step", and "from_step" if it was gone on with; `latest` {headline: its mean over
    seeds, as last read}."""

    folder: Path
    steps: int
    began: float
    reached: dict[str, int]
    latest: dict[str, float] = field(default_factory=dict)

    def say(self, state: str, **more: Any) -> None:
        seconds = round(time.monotonic() - self.began, 1)
        latest = {name: value for name, value in self.latest.items() if math.isfinite(value)}
        found = {"state": state, **self.reached, "steps": self.steps, "seconds": seconds, "latest": latest, **more}
        write_whole(self.folder / STATUS, json.dumps(found).encode())

    def describe(self, described: Mapping[str, Any]) -> None:
        path, done = self.folder / ABOUT, self.reached["from_step"]
        past = json.loads(path.read_text()) if done and path.exists() else []
        write_whole(path, json.dumps([*past, {"from_step": done, **described}], indent=1).encode())


# ---- from where it goes on ------------------------------------------------------------------------------------------


def resume(folder: Path, like: State, steps: int, *, recorded: bool,
           alike: Callable[[int], bool]) -> tuple[Standing, int] | None:  # fmt: skip
    """The newest standing from which a run of `steps` steps goes on, and its step; None where it starts anew.

    Its line must be there (unless none is `recorded`) and be what a run of `steps` steps would have written. The last
    line of a run that was asked for fewer steps may hold more than that, unless it is `alike` whether or not the run
    ends there. Later checkpoints are dropped, before anything else is written.
    """
    asked, told = status(folder).get("steps", steps), _told(folder, recorded)
    alone = asked if asked != steps else -1
    fit = [step for step in checkpoint.steps(folder)
           if step <= steps and (told is None or step in told) and (step != alone or alike(step))]  # fmt: skip
    checkpoint.drop_after(folder, fit[-1] if fit else -1)
    return checkpoint.load_checkpoint(folder, like)


def _told(folder: Path, recorded: bool) -> set[int] | None:
    """The top level's steps of which there is a line; None where there is to be none."""
    if not (folder / lineage.LINEAGE).exists():
        return set() if recorded else None
    lines = lineage.places(folder)
    top = max((level for level, _ in lines), default=1)
    return {step for level, step in lines if level == top}


# ---- kept aside -----------------------------------------------------------------------------------------------------


def set_aside(folder: Path) -> Path:
    """Move all that the folder holds into a new folder of its `past`; returns that."""
    aside = _aside(folder)
    for path in list(folder.iterdir()):
        if path.name not in (PAST, LOCK):
            path.rename(aside / path.name)
    return aside


def keep_aside(folder: Path) -> None:
    """Copy a finished run's record into its `past`, before a longer run goes on in its place."""
    if not (folder / lineage.LINEAGE).exists():
        return
    aside = _aside(folder)
    for name in (lineage.LINEAGE, STATUS, ABOUT, "config.yaml"):
        if (folder / name).exists():
            shutil.copy2(folder / name, aside / name)


def _aside(folder: Path) -> Path:
    number = 1 + max((int(path.name) for path in (folder / PAST).glob("[0-9]*")), default=0)
    aside = folder / PAST / f"{number}"
    aside.mkdir(parents=True)
    return aside
