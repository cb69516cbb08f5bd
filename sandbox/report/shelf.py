"""`sandbox ls`: the sweeps that there are, and the jobs of one, in a table."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox.lines.readings import read_readings
from sandbox.report.progress import span
from sandbox.report.readings import BUILT_IN, letter
from sandbox.report.sweeps import Job, Sweep, sweep, sweeps
from sandbox.report.table import number

INKS = {"finished": "green", "running": "cyan", "waiting": "bright_black", "pruned": "bright_black",
        "interrupted": "yellow", "missing": "yellow", "failed": "red", "killed": "red"}  # fmt: skip
SHOWN = 5  # headlines beside a job, where there is room
NARROW = 26  # columns that the words of a job have at least


def ls(runs: Path, names: Sequence[str], *, as_json: bool) -> int:
    """Print every sweep of `runs`, or the jobs of those that are named; raises `SandboxError` for one that isn't there.
    Returns 0."""
    found = [sweep(runs, name) for name in names] or sweeps(runs)
    if as_json:
        print(json.dumps([told(one) for one in found], indent=1))
        return 0
    console = Console(highlight=False)
    if not names:
        console.print(_all(found) if found else f"No sweep under {runs}. `sandbox -m KEY=A,B` begins one.")
        return 0
    for one in found:
        console.print(_one(one, console.width))
        for job in [job for job in one.jobs if job.why]:
            where = f" ({job.folder.name})" if job.folder else ""
            console.print(Text(f"{job.name}{where}: {job.why}", INKS[job.state]))
        console.print(_then(one), style="dim", soft_wrap=True)
    return 0


def told(one: Sweep) -> dict[str, Any]:
    """A sweep for `--json`."""
    jobs = [asdict(job) | {"folder": str(job.folder) if job.folder else None} for job in one.jobs]
    return {"sweep": one.name, "command": list(one.plan.command) if one.plan else None, "lives": one.lives,
            "counts": one.counts, "left": one.left, "jobs": jobs}  # fmt: skip


def _all(found: Sequence[Sweep]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    for title in ("sweep", "jobs", "state", "left", "began", "command"):
        table.add_column(title, no_wrap=title != "state", ratio=1 if title == "command" else None, overflow="ellipsis")
    for one in found:
        done = one.counts.get("finished", 0)
        began = time.strftime("%d %b %H:%M", time.localtime(one.plan.began)) if one.plan else ""
        command = " ".join(one.plan.command) if one.plan else ""
        left = span(one.left) if one.left else ""
        table.add_row(Text(one.name), f"{done}/{len(one.jobs)}", _states(one), left, began, Text(command))
    return table


def _states(one: Sweep) -> Text:
    return Text(", ").join(Text(f"{count} {state}", INKS[state]) for state, count in one.counts.items())


def _one(one: Sweep, width: int) -> Table:
    left = f", about {span(one.left)} left" if one.left is not None else ""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=Text(f"{one.name}: ") + _states(one) + Text(left),
                  title_justify="left")  # fmt: skip
    columns = _columns(one.jobs, most=max(0, (width - 2 * NARROW) // 14))
    table.add_column("job", justify="right", style="dim")
    table.add_column("run", overflow="fold", min_width=NARROW)
    for title in ("state", "step", "left"):
        table.add_column(title, no_wrap=True, justify="right" if title != "state" else "left")
    for title in columns.values():
        table.add_column(title, justify="right", no_wrap=True)
    told_apart = len({job.words for job in one.jobs}) == len(one.jobs)
    for job in one.jobs:
        told = " ".join(job.words) if told_apart and job.words else job.name
        figures = [number(job.latest[name]) if name in job.latest else "" for name in columns]
        step = f"{job.step}/{job.steps}" if job.steps else ""
        left = span(job.left) if job.left and job.state == "running" else ""
        table.add_row(str(job.number), Text(told), Text(job.state, INKS[job.state]), step, left, *figures)
    return table


def _columns(jobs: Sequence[Job], most: int) -> dict[str, str]:
    """{headline: what it is called in short}, those that some job has read; A first, and no nulls."""
    there = dict.fromkeys(name for job in jobs for name in job.latest)
    said = dict(BUILT_IN)
    for job in jobs:
        if job.folder is not None and job.latest.keys() - said.keys():
            said = {reading.name: reading for reading in read_readings(job.folder)} | said
    nulls = {reading.null for reading in said.values()}
    names = sorted((name for name in there if name not in nulls), key=lambda name: name != "own")
    return {name: letter(said[name]) if name in said else name for name in names[: min(most, SHOWN)]}


def _then(one: Sweep) -> str:
    """What to do next."""
    if one.open and not one.lives:
        return f"sandbox resume {one.name}    begins or goes on with the {len(one.open)} that are not finished"
    return f"sandbox report {one.launches[-1]}"
