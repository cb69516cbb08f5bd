"""Runs that differ by their seeds alone, as one more W&B run: means and intervals over all their seeds, each once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.core.error import LineageError, explain
from sandbox.lines.line import Line
from sandbox.lines.place import COSMETIC, SEEDS
from sandbox.mirror.board import opened
from sandbox.mirror.rows import row
from sandbox.mirror.settings import ODDER, Filed, Settings, filed, given, legal
from sandbox.mirror.source import Feed, Run

MEANS = Path("reports", "means")  # the folder beside the runs in which these lie
OWN = (*COSMETIC, *SEEDS)
TOLD = ("own", "verdict", "why", "anchor")


def groups(runs: Sequence[Run]) -> list[list[Run]]:
    """The finished runs, those together that differ by their seeds (and by names and places) alone; of two or more."""
    found: list[list[Run]] = []
    for run in runs:
        if run.status.get("state") != "finished":
            continue
        like = next((group for group in found if _kept(group[0]) == _kept(run)), None)
        if like is None:
            found.append([run])
        else:
            like.append(run)
    return [group for group in found if len(group) > 1]


def _kept(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.config.items() if key not in OWN}


def averaged(runs: Sequence[Run], words: dict[str, Any]) -> str:
    """Make the W&B run of a group, anew; returns what was made, in words."""
    settings = given(runs[0], words)
    seeds = sorted(
        {seed for run in runs for seed in range(run.config["seed"], run.config["seed"] + run.config["seeds"])}
    )
    where = named(runs, settings, seeds)
    place = runs[0].folder.parent / MEANS / where.id
    shutil.rmtree(place, ignore_errors=True)  # an earlier one of the same seeds
    (place / "wandb").mkdir(parents=True)
    config = {**runs[0].config, "seed": seeds[0], "seeds": len(seeds), "of": [run.folder.name for run in runs]}
    board = opened(Run(place, config, (), (), runs[0].readings), where)
    try:
        for line in joint(runs):
            board.add(row(line, by_seed=settings.by_seed))
    except Exception:
        with suppress(Exception):
            board.open.finish(exit_code=1)
        raise
    board.end(finished=True)
    return f"{where.name}, of {len(runs)} runs: {board.rows} rows, {Path(board.open.dir).parent}"


def named(runs: Sequence[Run], settings: Settings, seeds: Sequence[int]) -> Filed:
    """How it is filed: in the runs' own group, under a name of its own. Other seeds make another run of it."""
    first = filed(runs[0], settings)
    name = f"{first.group}: mean of {len(seeds)} seeds"
    told = ",".join(map(str, seeds))
    own = legal(f"{first.group} mean {told}", ODDER)
    return replace(first, id=own, name=name, job_type="mean", notes=f"seeds {told}", tags=(*first.tags, "mean"))


def joint(runs: Sequence[Run]) -> Iterator[Line]:
    """The lines of all runs, step by step, as long as the shortest of them goes on."""
    feeds = [(line for line in Feed(run.folder).lines() if line["level"] == run.top) for run in runs]
    for lines in zip(*feeds, strict=False):
        if len({line["step"] for line in lines}) > 1:
            got = f"steps {[line['step'] for line in lines]}"
            raise LineageError(explain(expected="the same steps in runs of one group", got=got,
                                       do="Mirror them one by one."))  # fmt: skip
        yield joined(lines)


def joined(lines: Sequence[Line]) -> Line:
    """One line of all their seeds: the first that has a seed tells of it. Edits are told by the runs themselves."""
    places: dict[int, tuple[int, int]] = {}
    for number, line in enumerate(lines):
        for at, seed in enumerate(line["seeds"]):
            places.setdefault(seed, (number, at))
    order = [places[seed] for seed in sorted(places)]
    shared = [name for name in lines[0]["readings"] if all(name in line["readings"] for line in lines)]
    told = {key: [lines[number][key][at] for number, at in order] for key in TOLD}
    readings = {name: [lines[number]["readings"][name][at] for number, at in order] for name in shared}
    return {**lines[0], **told, "seeds": sorted(places), "readings": readings, "edit": {}, "digest": []}
