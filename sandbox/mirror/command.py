"""`sandbox mirror` and `sandbox dashboard`: what is given on the command line, and what is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sandbox.core.error import ConfigError, SandboxError, explain
from sandbox.lines.mirror import WHOLE, is_followed
from sandbox.lines.place import living
from sandbox.mirror.follow import End, mirrored, sentence
from sandbox.mirror.means import averaged, groups
from sandbox.mirror.settings import given
from sandbox.mirror.source import folders, read_run

LOOK = 0.5  # seconds between two looks at a run that is being lived


def mirror(paths: Sequence[str], words: Sequence[str], mode: str | None) -> int:
    """Make the mirrors of runs, or mend them, one after the other; returns 0 where all are whole, else 2."""
    if not paths:
        raise ConfigError(explain(expected="a run folder", got="nothing", do="Name one: sandbox mirror runs/…"))
    settings = settings_of(words) | ({"mode": mode} if mode else {})
    broken = 0
    for folder in folders(paths):
        run = read_run(folder)
        if run.status.get("state") == "running" and is_followed(folder):
            print(f"{folder}: is mirrored as it runs")
            continue
        try:
            told = mirrored(folder, given(run, settings), lambda folder=folder: end_of(folder))
        except SandboxError as error:
            told = {"state": "failed", "why": str(error)}
        if told["state"] == WHOLE:
            print(f"{folder}: {told['rows']} rows, {told['at']}")
        else:
            print(f"{folder}: {told['why']}", file=sys.stderr)
            broken += 1
    return 2 if broken else 0


def means(paths: Sequence[str], words: Sequence[str], mode: str | None) -> int:
    """One more W&B run for each group of finished runs that differ by their seeds alone."""
    settings = settings_of(words) | ({"mode": mode} if mode else {})
    found = groups([read_run(folder) for folder in folders(paths or ["runs"])])
    if not found:
        raise ConfigError(explain(expected="two finished runs or more that differ by their seeds alone", got="none",
                                  do="Sweep over seeds: sandbox -m seed=0,10 seeds=10."))  # fmt: skip
    broken = 0
    for group in found:
        try:
            print(averaged(group, settings), flush=True)
        except Exception as error:
            print(f"{', '.join(run.folder.name for run in group)}: {sentence(error)}", file=sys.stderr)
            broken += 1
    return 2 if broken else 0


def settings_of(words: Sequence[str]) -> dict[str, Any]:
    """`project=mine by_seed=true tags=[a,b]`, with their values as YAML reads them."""
    odd = [word for word in words if "=" not in word]
    if odd:
        raise ConfigError(explain(expected="KEY=VALUE", got=f"'{odd[0]}'", do="Say project=mine, for one."))
    try:
        return {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in words)}
    except yaml.YAMLError as error:
        raise ConfigError(explain(expected="values as YAML has them", got=sentence(error), do="Quote them.")) from error


def end_of(folder: Path) -> End | None:
    """How a run has ended; None while it is being lived, after a moment. One that says it runs, and that nobody lives,
    was killed."""
    status = read_run(folder).status
    state = status.get("state", "")
    if state == "running" and not living(folder):
        state, status = "killed", {"error": "its process was killed"}
    if state == "running":
        time.sleep(LOOK)
        return None
    return End(finished=state == "finished", error=status.get("error", ""))


def dashboard(what: str, paths: Sequence[str], words: Sequence[str]) -> int:
    """Print the dashboards of these runs (by default all in `runs`), or put them on a server."""
    from sandbox.mirror.dashboard import layout, pushed, shown

    runs = [read_run(folder) for folder in folders(paths or ["runs"])]
    where = settings_of(words)
    plan = layout(runs, project=where.pop("project", None), entity=where.pop("entity", None))
    if where:
        raise ConfigError(explain(expected="project=… or entity=…", got=f"'{next(iter(where))}'", do="Leave it out."))
    for line in [shown(plan)] if what == "show" else pushed(plan):
        print(line, flush=True)
    return 0
