"""Live progress of a launch, from the files of its runs: a bar for each that lives, a line for each that has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TimeElapsedColumn

from sandbox.lines.file import LINEAGE
from sandbox.lines.launch import entries, read_plan
from sandbox.lines.line import Line, Reader
from sandbox.lines.readings import read_readings
from sandbox.report.readings import OWN, letter
from sandbox.report.sweeps import read_sweep
from sandbox.report.table import number

SPEAK = 600.0  # seconds between two words about a run that goes on, off a terminal
SHOWN = 4  # figures beside a bar: own, and the first headlines that have a better side


@dataclass(frozen=True)
class Glimpse:
    """A run as last seen. `offset`: bytes of lineage already read, by `reader`; `top`: its top level; `shown`:
    {reading: what it is called}; `latest`: means over seeds."""

    folder: Path
    label: str
    asked: int = 0
    status: Mapping[str, Any] = field(default_factory=dict)
    fresh: bool = False
    offset: int = 0
    reader: Reader = field(default_factory=lambda: Reader(edits=False))
    top: int = 0
    step: int = 0
    shown: Mapping[str, str] = field(default_factory=dict)
    latest: Mapping[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The state of the run; an end that an earlier launch left is none until this launch writes its own."""
        state = self.status.get("state", "waiting")
        there = state == "finished" and self.status.get("step", 0) >= self.asked
        return state if self.fresh or there else "waiting"

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")

    @property
    def left(self) -> float | None:
        """Seconds until it has all its steps, at the pace of this process; None where it hasn't shown one."""
        lived = self.step - self.status.get("from_step", 0)
        if self.state != "running" or lived <= 0 or "seconds" not in self.status:
            return None
        return self.status["seconds"] / lived * (self.status["steps"] - self.step)

    def figures(self) -> str:
        called = [(so, self.latest[name]) for name, so in self.shown.items() if name in self.latest]
        return "  ".join(f"{so} {number(mean)}" for so, mean in called)

    def line(self) -> str:
        """What is printed at the end of a run."""
        what = f"{self.folder.name}: {self.state}, {self.step} of {self.status.get('steps')} steps"
        if self.left is not None:
            return f"{what}, {_about(self.left)}  {self.figures()}"
        if not self.fresh:
            return f"{what} before this launch: skipped  {self.figures()}"
        since = f" from step {self.status['from_step']}" if self.status.get("from_step") else ""
        return f"{what}{since} in {self.status.get('seconds', 0):g} s  {self.figures()}"


def span(seconds: float) -> str:
    """A length of time in two units at most: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole < 36_000 else "")


def look(before: Glimpse, began: float) -> Glimpse:
    """The run now: its status, and the lines of lineage written since `before`. `began`: when the launch did."""
    now = before
    path = before.folder / "status.json"
    if path.exists():
        now = replace(now, status=json.loads(path.read_text()), fresh=path.stat().st_mtime >= began)
    path = before.folder / LINEAGE
    if not path.exists():
        return now
    if path.stat().st_size < now.offset:  # a resumed run drops the lines after its checkpoint
        now = replace(now, offset=0, reader=Reader(edits=False))
    with path.open("rb") as file:
        file.seek(now.offset)
        new = file.read()
    whole = new[: new.rfind(b"\n") + 1]
    for text in whole.splitlines():
        line = now.reader.read(text)
        now = replace(
            now, shown=now.shown or _shown(now.folder), top=now.top or line["level"]
        )  # the start is the top's
        if line["level"] == now.top:
            now = replace(now, step=line["step"], latest={**now.latest, **_means(line, now.shown)})
    return replace(now, offset=now.offset + len(whole))


def _shown(folder: Path) -> dict[str, str]:
    headlines = [reading for reading in read_readings(folder) if reading.headline and reading.better]
    return {reading.name: letter(reading) for reading in (OWN, *headlines)[:SHOWN]}


def _means(line: Line, shown: Iterable[str]) -> dict[str, float]:
    read = {"own": line["own"], **line["readings"]} if line["step"] else line["readings"]
    found = {name: read[name] for name in shown if name in read}
    return {name: sum(float("nan") if x is None else x for x in row) / len(row) for name, row in found.items()}


@contextmanager
def watch(manifest: Path, *, console: Console | None = None, every: float = 0.5) -> Iterator[None]:
    """Show the runs of `manifest` for as long as the block lasts, looking `every` so many seconds.

    Off a terminal or a notebook there is a line for each run that has ended, and one in ten minutes for each that goes
    on. Nothing that goes wrong here reaches the block.
    """
    shown = Shown(manifest, console or Console(highlight=False))
    over = Event()

    def keep_looking() -> None:
        while not over.wait(every):
            shown.look()

    thread = Thread(target=keep_looking, name="watch", daemon=True)
    with suppress(Exception):
        shown.bars.start()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        shown.look()
        with suppress(Exception):
            shown.bars.stop()


class Shown:
    """What is shown of a launch: a bar for each run that lives, and above them one for the sweep."""

    def __init__(self, manifest: Path, console: Console) -> None:
        self.manifest, self.console = manifest, console
        self.quiet = not (console.is_terminal or console.is_jupyter)
        columns = (
            "{task.description}",
            BarColumn(bar_width=24),
            "{task.completed}/{task.total}",
            *("{task.fields[state]}", TimeElapsedColumn(), "{task.fields[left]}", "{task.fields[figures]}"),
        )
        self.bars = Progress(*columns, console=console, disable=self.quiet)
        self.began = time.time() - 1  # file systems round the times of files
        self.seen: dict[Path, Glimpse] = {}
        self.tasks: dict[Path, TaskID] = {}
        self.spoke, self.next = time.monotonic(), 0.0
        self.left: float | None = None
        self.plan = read_plan(manifest) if manifest.is_file() else None
        self.jobs = len(self.plan.jobs) if self.plan else 0

    def look(self) -> None:
        """See how every run is now."""
        with suppress(Exception):  # a half-written file is whole at the next look; no run may fail for its display
            self._told_of()
            for folder in list(self.seen):
                with suppress(Exception):
                    self._see(folder)
            self._sweep()
            if self.quiet and time.monotonic() - self.spoke > SPEAK:
                self.spoke = time.monotonic()
                for glimpse in [one for one in self.seen.values() if one.state == "running"]:
                    self.console.print(glimpse.line(), soft_wrap=True, markup=False)

    def _told_of(self) -> None:
        """The runs that the manifest names by now."""
        for entry in [entry for entry in entries(self.manifest) if "folder" in entry]:
            folder = Path(entry["folder"])
            if folder not in self.seen:
                name = " ".join([entry["label"], *entry.get("apart", [])])
                self.seen[folder] = Glimpse(folder, name, entry.get("steps", 0))

    def _see(self, folder: Path) -> None:
        before = self.seen[folder]
        if before.ended:
            return
        now = self.seen[folder] = look(before, self.began)
        if folder not in self.tasks:
            self.tasks[folder] = self.bars.add_task(escape(now.label), total=None, state="", left="", figures="")
        self.bars.update(self.tasks[folder], completed=now.step, total=now.status.get("steps"), state=now.state,
                         left=_about(now.left), figures=now.figures(), visible=not now.ended)  # fmt: skip
        if now.ended:
            self.console.print(f"{now.line()}{self._of_all()}", soft_wrap=True, markup=False)

    def _of_all(self) -> str:
        """`  [3 of 30, about 4 min left]`, in a sweep."""
        if self.jobs < 2:
            return ""
        left = _about(self._left())
        return f"  [{self._ended()} of {self.jobs}{', ' if left else ''}{left}]"

    def _left(self) -> float | None:
        """Seconds until the sweep ends; looked up as seldom as it is dear, for many jobs are many files."""
        began = time.monotonic()
        if began >= self.next:
            self.left = read_sweep("", [self.manifest]).left
            self.next = time.monotonic() + max(2.0, 50 * (time.monotonic() - began))
        return self.left

    def _ended(self) -> int:
        return sum(glimpse.ended for glimpse in self.seen.values())

    def _sweep(self) -> None:
        if self.jobs < 2 or self.quiet or self.plan is None:
            return
        if self.manifest not in self.tasks:
            self.tasks[self.manifest] = self.bars.add_task(escape(self.plan.sweep), state="jobs", left="", figures="")
        left = _about(self._left())
        self.bars.update(self.tasks[self.manifest], completed=self._ended(), total=self.jobs, left=left)


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f"about {span(seconds)} left"
