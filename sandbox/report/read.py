"""Reads run folders as `docs/run-folder.md` describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.core.error import LineageError, did_you_mean, explain
from sandbox.core.reading import Reading
from sandbox.lines.file import LINEAGE, read, texts
from sandbox.lines.format import config_of
from sandbox.lines.launch import MANIFEST, arm_of, folder_of, launches, lives, sweep_of
from sandbox.lines.line import Line, Reader
from sandbox.lines.readings import described, read_readings
from sandbox.report.sweeps import now, read_sweep

Array = NDArray[np.float64]

RUNS = Path("runs")
NO_RUN = {"waiting": "waiting for its turn", "missing": "not begun, or removed"}
PROCESS = "performance/process"
OUTCOMES = {"edits/accepted": ("accepted",), "edits/refused": ("rejected", "refused", "rolled back")}


@dataclass(frozen=True)
class Run:
    """One run folder, as the lines of its top level of reflection tell it. `columns`: {name: (steps [n], values [n,
    S])}; `step`: the last one written; `readings`: what its meters say of them. `torn`: the last line was cut off, as a
    killed run leaves it, and is left out."""

    folder: Path
    label: str
    config: dict[str, Any]
    status: dict[str, Any]
    seeds: list[int]
    step: int
    columns: Mapping[str, tuple[Array, Array]]
    readings: tuple[Reading, ...] = ()
    torn: bool = False

    def series(self, name: str) -> tuple[Array, Array]:
        """The steps [n] at which `name` was read, and what was read [n, S].

        `name`: a reading, `own`, or a key of `OUTCOMES` (1 where the step's edit had that outcome). What was written
        as null is NaN.
        """
        return self.columns.get(name, (np.empty(0), np.empty((0, len(self.seeds)))))


def read_run(folder: Path, label: str | None = None) -> Run:
    """The run in `folder`, under its own label or the one that a launch gave it; raises `LineageError`."""
    if not (folder / "config.yaml").is_file():
        raise LineageError(explain(expected="a run folder, with config.yaml", got=str(folder), do=_near(folder)))
    config = config_of(folder)
    written = (folder / LINEAGE).is_file()
    seeds, step, columns = _columns(folder) if written else ([], 0, {})
    return Run(
        folder=folder,
        label=label or config.get("label", folder.name),
        config=config,
        status=now(folder),
        seeds=seeds,
        step=step,
        columns=columns,
        readings=read_readings(folder),
        torn=written and texts(folder)[1],
    )


def last(folder: Path, name: str | None, steps: int) -> float | None:
    """The mean over seeds of a reading when it was last taken in so many steps (a run may have lived longer), by
    default P, or A where no meter reads P; None where it never was taken. Raises `LineageError` for a name that the run
    doesn't have."""
    run = read_run(folder)
    name = name or next((one for one in (PROCESS, "own") if one in run.columns), "own")
    if name not in run.columns and not any(described(name, [reading]) for reading in run.readings):
        raise LineageError(explain(expected="a reading of this run as its objective", got=f"'{name}'",
                                   do=did_you_mean(name, list(run.columns))))  # fmt: skip
    at, values = run.series(name)
    values = values[at <= steps]
    return float(values[-1].mean()) if len(values) else None


def _columns(folder: Path) -> tuple[list[int], int, dict[str, tuple[Array, Array]]]:
    """Seeds, last step and every column of the lines of the top level, which is that of the first line."""
    rows: dict[str, tuple[list[int], list[Array]]] = {}
    seeds: list[int] = []
    step = top = 0
    for number, line in enumerate(read(folder, Reader(edits=False)), start=1):
        top = top or line["level"]
        seeds = seeds or line["seeds"]
        if line["seeds"] != seeds:
            raise LineageError(explain(expected=f"the seeds of the first line on line {number} of {folder / LINEAGE}",
                                       got=f"{line['seeds']}, not {seeds}", do="Run it again."))  # fmt: skip
        if line["level"] != top:
            continue
        step = line["step"]
        for name, values in _values(line).items():
            steps, found = rows.setdefault(name, ([], []))
            steps.append(step)
            found.append(np.array(values, float))
    return seeds, step, {name: (np.array(steps, float), np.array(found)) for name, (steps, found) in rows.items()}


def _values(line: Line) -> dict[str, Any]:
    """What a line says in numbers; nothing was lived, and nothing asked for, before the first step."""
    if not line["step"]:
        return dict(line["readings"])
    outcomes = {name: [verdict in such for verdict in line["verdict"]] for name, such in OUTCOMES.items()}
    return {"own": line["own"], **outcomes, **line["readings"]}


@dataclass(frozen=True)
class Failure:
    """A job that has left no run: its label, the words that set it `apart` from the other jobs, the `error` or what
    else keeps it, and the name of its folder where it had one."""

    label: str
    apart: tuple[str, ...]
    error: str
    run: str = ""


def find_runs(paths: Sequence[str | Path], runs: Path = RUNS) -> list[Run]:
    """Every run that `paths` name, each once, in order.

    A path is a run folder, a folder that holds run folders, the manifest of a launch, or the name of a sweep whose
    launches lie in `runs`/launches. Without paths, it is the newest manifest there.
    """
    return [read_run(folder, label) for folder, label in folders(paths or [newest_launch(runs)], runs)]


def folders(paths: Sequence[str | Path], runs: Path = RUNS) -> list[tuple[Path, str]]:
    """Folder and label of every run that `paths` name (see `find_runs`), each once, in order."""
    found: dict[tuple[Path, str], tuple[Path, str]] = {}
    for path in map(Path, paths):
        mine: dict[Path, set[str]] = {}  # a launch may call one run by two labels; the next of its sweep by no third
        for one in unfolded([path], runs):
            there = set(mine)
            for folder, label in _runs_at(one):
                if folder.resolve() not in there:
                    mine.setdefault(folder.resolve(), set()).add(label)
                    found.setdefault((folder.resolve(), label), (folder, label))
    return list(found.values())


def unfolded(paths: Sequence[str | Path], runs: Path = RUNS) -> list[Path]:
    """`paths` with the manifests of all its launches in place of a sweep's name, oldest first."""
    return [one for path in map(Path, paths) for one in ([path] if path.exists() else _sweep(path, runs) or [path])]


def _sweep(name: Path, runs: Path) -> list[Path]:
    known = launches(name.parent if name.parent != Path() else runs)
    return [manifest for manifest in known if name.name in (sweep_of(manifest), manifest.stem)]


def failures(paths: Sequence[Path]) -> list[Failure]:
    """The jobs of the launches among `paths` that have left no run."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        if path.is_file():
            named.setdefault(sweep_of(path), []).append(path)
    jobs = [job for name, manifests in named.items() for job in read_sweep(name, manifests).jobs]
    gone = [job for job in jobs if job.folder is None or not (job.folder / "config.yaml").is_file()]
    return [Failure(job.label, job.words, job.why or NO_RUN.get(job.state, job.state),
                    job.folder.name if job.folder else "") for job in gone]  # fmt: skip


def over(paths: Sequence[Path]) -> bool:
    """Whether no launch among `paths` goes on, and no run that they name."""
    if any(lives(path) for path in paths if path.is_file()):
        return False
    return not any(now(folder).get("state") == "running" for folder, _ in folders(paths))


def newest_launch(runs: Path) -> Path:
    """The manifest of the last launch."""
    manifests = launches(runs)
    if not manifests:
        raise LineageError(explain(expected=f"a launch under {runs / 'launches'}", got="none",
                                   do="Run something first, or name run folders."))  # fmt: skip
    return manifests[-1]


def read_manifest(path: Path) -> list[tuple[Path, str]]:
    """Folder and label of each run of a launch, in the order in which they were asked for; folders as written, or
    beside the manifest's `launches/`. An entry without a folder tells of an error."""
    told: list[tuple[int, Path, str]] = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        try:
            entry = json.loads(text)
            if "folder" not in entry:
                continue
            job, folder = entry.get("job", number), folder_of(path, entry)
            label = arm_of(entry["label"], entry.get("apart", []))
        except (ValueError, KeyError, TypeError) as error:
            raise LineageError(explain(expected=f"a folder and a label on line {number} of {path}", got=text[:80],
                                       do="Name run folders or the manifest of a launch."))  from error  # fmt: skip
        told.append((job, folder, label))
    return [(folder, label) for _, folder, label in sorted(told, key=lambda entry: entry[0])]


def _runs_at(path: Path) -> list[tuple[Path, str]]:
    """Of a launch those runs that have begun."""
    if path.is_file():
        return [(folder, label) for folder, label in read_manifest(path) if (folder / "config.yaml").is_file()]
    if (path / "config.yaml").is_file():
        return [(path, _label(path))]
    there = [config.parent for config in sorted(path.glob("*/config.yaml"))]
    if not there:
        got = f"'{path}', which {'holds none' if path.exists() else 'does not exist'}"
        expected = "a run folder, a folder of them, the manifest of a launch or a sweep's name"
        raise LineageError(explain(expected=expected, got=got, do=_near(path)))
    return [(folder, _label(folder)) for folder in there]


def _label(folder: Path) -> str:
    return config_of(folder).get("label", folder.name)


def _near(path: Path) -> str:
    """What might have been meant: a folder or a manifest beside it, or a sweep."""
    beside = [other for other in path.parent.iterdir() if other != path] if path.parent.is_dir() else []
    there = [other.name for other in beside if other.is_dir() or other.suffix == MANIFEST]
    return did_you_mean(path.name, [*there, *{sweep_of(manifest) for manifest in launches(RUNS)}])
