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
from rich.progress import BarColumn, Progress, TaskID, TimeElapsedColumn

from sandbox.lines.file import LINEAGE
from sandbox.lines.line import Line, Reader
from sandbox.lines.readings import read_readings
from sandbox.report.read import read_manifest
from sandbox.report.readings import OWN, letter
from sandbox.report.table import number

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

    def figures(self) -> str:
        called = [(so, self.latest[name]) for name, so in self.shown.items() if name in self.latest]
        return "  ".join(f"{so} {number(mean)}" for so, mean in called)

    def line(self) -> str:
        """What is printed at the end of a run."""
        what = f"{self.folder.name}: {self.state}, {self.step} of {self.status.get('steps')} steps"
        if not self.fresh:
            return f"{what} before this launch: skipped  {self.figures()}"
        since = f" from step {self.status['from_step']}" if self.status.get("from_step") else ""
        return f"{what}{since} in {self.status.get('seconds', 0):g} s  {self.figures()}"


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

    Off a terminal or a notebook only the lines of ended runs are printed. Nothing that goes wrong here reaches the
    block.
    """
    console = console or Console(highlight=False)
    columns = ("{task.description}", BarColumn(bar_width=24), "{task.completed}/{task.total}", "{task.fields[state]}",
               TimeElapsedColumn(), "{task.fields[figures]}")  # fmt: skip
    bars = Progress(*columns, console=console, disable=not (console.is_terminal or console.is_jupyter))
    seen: dict[Path, Glimpse] = {}
    tasks: dict[Path, TaskID] = {}
    began = time.time() - 1  # file systems round the times of files
    over = Event()

    def see(folder: Path, label: str, asked: int) -> None:
        before = seen.get(folder, Glimpse(folder, label, asked))
        if before.ended:
            return
        now = seen[folder] = look(before, began)
        if folder not in tasks:
            tasks[folder] = bars.add_task(label, total=None, state="", figures="")
        bars.update(tasks[folder], completed=now.step, total=now.status.get("steps"), state=now.state,
                    figures=now.figures(), visible=not now.ended)  # fmt: skip
        if now.ended:
            console.print(now.line(), soft_wrap=True, markup=False)

    def poll() -> None:
        with suppress(Exception):  # a half-written file is whole at the next look; no run may fail for its display
            entries = [json.loads(line) for line in manifest.read_text().splitlines()]
            asked = {Path(entry["folder"]): entry.get("steps", 0) for entry in entries if "folder" in entry}
            for folder, label in read_manifest(manifest):
                with suppress(Exception):
                    see(folder, label, asked.get(folder, 0))

    def keep_polling() -> None:
        while not over.wait(every):
            poll()

    thread = Thread(target=keep_polling, name="watch", daemon=True)
    with suppress(Exception):
        bars.start()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        poll()
        with suppress(Exception):
            bars.stop()
