"""Reads run folders as `docs/run-folder.md` describes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sandbox.core.error import LineageError, did_you_mean, explain

Array = NDArray[np.float64]

OUTCOMES = {"edits/accepted": ("accepted",), "edits/refused": ("rejected", "refused", "rolled back")}


@dataclass(frozen=True)
class Run:
    """One run folder. `lines` are those of the top level of reflection; `torn`: the last line was cut off, as a
    killed run leaves it, and is left out."""

    folder: Path
    label: str
    config: dict[str, Any]
    status: dict[str, Any]
    lines: tuple[dict[str, Any], ...]
    torn: bool = False

    @property
    def seeds(self) -> list[int]:
        return self.lines[0]["seeds"] if self.lines else []

    def series(self, name: str) -> tuple[Array, Array]:
        """The steps [n] at which `name` was read, and what was read [n, S].

        `name`: a reading, `own`, or a key of `OUTCOMES` (1 where the step's edit had that outcome). What was written
        as null is NaN.
        """
        found = [(line["step"], values) for line in self.lines if (values := _values(line, name)) is not None]
        steps, values = np.array([step for step, _ in found], float), np.array([row for _, row in found], float)
        return steps, values.reshape(len(found), len(self.seeds))


def _values(line: dict[str, Any], name: str) -> list[Any] | None:
    if name == "own":
        return line["own"] if line["step"] else None
    if name in OUTCOMES:
        return [verdict in OUTCOMES[name] for verdict in line["verdict"]] if line["step"] else None
    return line["readings"].get(name)


def read_run(folder: Path, label: str | None = None) -> Run:
    """The run in `folder`, under its own label or the one that a launch gave it; raises `LineageError`."""
    if not (folder / "config.yaml").is_file():
        raise LineageError(explain(expected="a run folder, with config.yaml", got=str(folder), do=_near(folder)))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    status = folder / "status.json"
    lines, torn = _read_lines(folder / "lineage.jsonl")
    return Run(
        folder=folder,
        label=label or config.get("label", folder.name),
        config=config,
        status=json.loads(status.read_text()) if status.is_file() else {},
        lines=tuple(line for line in lines if line["level"] == lines[0]["level"]),  # the start is the top level's
        torn=torn,
    )


def _read_lines(path: Path) -> tuple[list[dict[str, Any]], bool]:
    texts = path.read_bytes().split(b"\n") if path.is_file() else []
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(texts, start=1):
        if not text:
            continue
        try:
            line = json.loads(text)
            _check(line, lines[0] if lines else line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(texts):
                return lines, True
            raise LineageError(explain(expected=f"a whole record on line {number} of {path}",
                                       got=f"{type(error).__name__}: {error}",
                                       do="Run it again: delete the folder first."))  from error  # fmt: skip
        lines.append(line)
    return lines, False


def _check(line: dict[str, Any], first: dict[str, Any]) -> None:
    for key in ("step", "level"):
        if not isinstance(line[key], int):
            raise ValueError(f"{key} is {line[key]!r}")
    if line["seeds"] != first["seeds"]:
        raise ValueError(f"seeds {line['seeds']}, on the first line {first['seeds']}")
    for name, values in {"verdict": line["verdict"], "own": line["own"], **line["readings"]}.items():
        if len(values) != len(line["seeds"]):
            raise ValueError(f"{len(values)} entries of {name} for {len(line['seeds'])} seeds")


def find_runs(paths: Sequence[str | Path], runs: Path = Path("runs")) -> list[Run]:
    """Every run that `paths` name, each once, in order.

    A path is a run folder, a folder that holds run folders, or the manifest of a launch. Without paths, it is the
    newest manifest in `runs`/launches.
    """
    found: dict[tuple[Path, str], Run] = {}
    for path in paths or [newest_launch(runs)]:
        for run in _runs_at(Path(path)):
            found.setdefault((run.folder.resolve(), run.label), run)
    return list(found.values())


def newest_launch(runs: Path) -> Path:
    """The manifest of the last launch."""
    manifests = sorted((runs / "launches").glob("*.jsonl"), key=lambda path: (path.stat().st_mtime, path.name))
    if not manifests:
        raise LineageError(explain(expected=f"a launch under {runs / 'launches'}", got="none",
                                   do="Run something first, or name run folders."))  # fmt: skip
    return manifests[-1]


def read_manifest(path: Path) -> list[tuple[Path, str]]:
    """Folder and label of each run of a launch, in the order in which they were asked for; folders as written, or
    beside the manifest's `launches/`. An entry without a folder tells of an error."""
    entries: list[tuple[int, Path, str]] = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        try:
            entry = json.loads(text)
            if "folder" not in entry:
                continue
            job, folder, label = entry.get("job", number), Path(entry["folder"]), entry["label"]
        except (ValueError, KeyError, TypeError) as error:
            raise LineageError(explain(expected=f"a folder and a label on line {number} of {path}", got=text[:80],
                                       do="Name run folders or the manifest of a launch."))  from error  # fmt: skip
        entries.append((job, folder if folder.exists() else path.parents[1] / folder.name, label))
    return [(folder, label) for _, folder, label in sorted(entries, key=lambda entry: entry[0])]


def _runs_at(path: Path) -> list[Run]:
    if path.is_file():
        return [read_run(folder, label) for folder, label in read_manifest(path)]
    if (path / "config.yaml").is_file():
        return [read_run(path)]
    folders = [config.parent for config in sorted(path.glob("*/config.yaml"))]
    if not folders:
        raise LineageError(explain(expected="a run folder, a folder of them or the manifest of a launch",
                                   got=f"'{path}', which {'holds none' if path.exists() else 'does not exist'}",
                                   do=_near(path)))  # fmt: skip
    return [read_run(folder) for folder in folders]


def _near(path: Path) -> str:
    beside = path.parent.iterdir() if path.parent.is_dir() else []
    return did_you_mean(path.name, [other.name for other in beside if other != path])
