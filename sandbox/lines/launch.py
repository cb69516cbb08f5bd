"""The files of a launch: what was planned, and a line for whatever became of each job. One writer and one reader.

`runs/launches/<launch>.plan.json` is written once, before the first job; `<launch>.jsonl`, its manifest, grows. A sweep
is all launches of one name: the command that began it, and those that went on with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.lines.place import COSMETIC, SEEDS
from sandbox.lines.whole import write_whole

LAUNCHES, PLAN, MANIFEST = "launches", ".plan.json", ".jsonl"
AROUND = (*COSMETIC, "hydra", "hydra/launcher", "hydra/sweeper")
LABELLED = ("label", "experiment", "preset")
Entry = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A launch before its first job. `sweep`: what its jobs are called together; `command`: its words, to be given
    again; `folder`: where it was given; `varies`: the keys that are swept, as typed; `jobs`: the words of each job;
    `began`: seconds since 1970."""

    sweep: str
    command: tuple[str, ...]
    folder: str
    varies: tuple[str, ...]
    jobs: tuple[tuple[str, ...], ...]
    began: float

    def apart(self, job: int) -> list[str]:
        """The words by which a job differs from the others: `rule.lr=0.1`, `seed=2`; none where it is alone."""
        if job >= len(self.jobs):  # of a sweeper that makes up its jobs as it goes
            return []
        return [word for word in self.jobs[job] if word.lstrip("+").partition("=")[0] in self.varies]


def write_plan(manifest: Path, plan: Plan) -> None:
    """Leave the plan beside its manifest, whole or not at all."""
    write_whole(manifest.with_suffix(PLAN), json.dumps(asdict(plan), indent=1).encode())


def read_plan(manifest: Path) -> Plan | None:
    """The plan of a launch; None where there is none, as beside those of earlier versions, or none that can be read:
    its manifest tells which runs there are."""
    path = manifest.with_suffix(PLAN)
    try:
        told = json.loads(path.read_text())
        return Plan(told["sweep"], tuple(told["command"]), told["folder"], tuple(told["varies"]),
                    tuple(map(tuple, told["jobs"])), told["began"])  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def append(manifest: Path, entry: Mapping[str, Any]) -> None:
    """Add a line, in one write: several processes add to one manifest."""
    with manifest.open("ab", buffering=0) as file:
        file.write(json.dumps(entry).encode() + b"\n")


def entries(manifest: Path) -> list[Entry]:
    """Every whole line. One of {`job`, `label`, `steps`, `apart`, `pid`, `host`, `folder`, `launches`}: a job that has
    found its folder, and where its manifest lay then; {`job`, `label`, `error`}: one that failed; {`job`, `told`}: a
    sentence for the user; {`job`, `pruned`}: the step at which a search ended it."""
    found = list[Entry]()
    for line in manifest.read_bytes().split(b"\n")[:-1]:
        with suppress(ValueError):  # a line was torn where its writer was killed, or its disk was full
            found.append(json.loads(line))
    return [entry for entry in found if isinstance(entry, dict)]


def folder_of(manifest: Path, entry: Mapping[str, Any]) -> Path:
    """Where a run of a launch is: as written, or beside the launches where these were moved or copied since: a copy
    must not reach into what it was copied from."""
    written, beside = Path(entry["folder"]), manifest.parents[1] / Path(entry["folder"]).name
    if "launches" in entry:
        return written if Path(entry["launches"]) == manifest.parent.resolve() else beside
    here = written.parent.resolve() == manifest.parents[1].resolve()  # of an earlier version, which didn't say
    return written if here or not beside.is_dir() else beside


@contextmanager
def held(manifest: Path) -> Iterator[None]:
    """The manifest as long as its launch goes on: by that others know that it does."""
    with manifest.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lives(manifest: Path) -> bool:
    """Whether the command of a launch is going on."""
    with manifest.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def me() -> dict[str, Any]:
    """The process that lives a job, as its manifest names it."""
    return {"pid": os.getpid(), "host": socket.gethostname()}


def here(entry: Mapping[str, Any]) -> bool:
    """Whether the process of an entry is one of this machine's, and not this one."""
    return entry.get("host", socket.gethostname()) == socket.gethostname() and entry.get("pid") != os.getpid()


def launches(runs: Path) -> list[Path]:
    """The manifests of all launches beside these runs, oldest first."""
    return sorted((runs / LAUNCHES).glob(f"*{MANIFEST}"), key=lambda path: (path.stat().st_mtime, path.name))


def sweep_of(manifest: Path) -> str:
    """The name of the sweep that a launch belongs to; one without a plan is a sweep by its own name."""
    plan = read_plan(manifest)
    return plan.sweep if plan else manifest.stem


def arm_of(label: str, apart: Sequence[str]) -> str:
    """What a job of a sweep is called beside the others, whatever its seeds: by what sets it apart, or by its label
    where that was chosen, or follows from the preset that was."""
    words = [word.lstrip("+") for word in apart if key_of(word) not in SEEDS]
    return label if not words or any(key_of(word) in LABELLED for word in words) else " ".join(words)


def what(words: Iterable[str]) -> frozenset[str]:
    """The words of a job that say what it is, and not how it is called, watched or launched, nor how long it lives."""
    return frozenset(word.lstrip("+") for word in words if key_of(word).partition(".")[0] not in AROUND)


def key_of(word: str) -> str:
    """`rule.lr` of `++rule.lr=0.1`."""
    return word.lstrip("+~").partition("=")[0]


def swept(jobs: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The keys of which not all jobs have the same word."""
    keys = dict.fromkeys(key_of(word) for job in jobs for word in job)
    told = {key: {next((word for word in job if key_of(word) == key), "") for job in jobs} for key in keys}
    return tuple(key for key, words in told.items() if len(words) > 1)
