"""What is mirrored: a run folder, and its lineage as it grows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.core.error import LineageError, explain
from sandbox.core.reading import Reading
from sandbox.lines.file import LINEAGE
from sandbox.lines.format import config_of
from sandbox.lines.launch import LAUNCHES, MANIFEST, entries, folder_of, launches, sweep_of
from sandbox.lines.line import Line, Reader
from sandbox.lines.place import status
from sandbox.lines.readings import read_readings

RUNS = Path("runs")


@dataclass(frozen=True)
class Run:
    """A run folder: its configuration, the words of its own command, those by which it differs from its sweep, and
    what its meters say of their readings."""

    folder: Path
    config: dict[str, Any]
    words: tuple[str, ...]
    apart: tuple[str, ...]
    readings: tuple[Reading, ...]

    @property
    def top(self) -> int:
        """The level whose reflective steps are the rows."""
        return 1 + len(self.config.get("above") or ())

    @property
    def status(self) -> dict[str, Any]:
        return status(self.folder)


def read_run(folder: Path) -> Run:
    """Raises `LineageError` for a folder that holds no run, or one of a newer version."""
    if not (folder / "config.yaml").is_file():
        raise LineageError(explain(expected="a run folder, with config.yaml", got=str(folder),
                                   do="Name a folder under runs/."))  # fmt: skip
    about = folder / "about.json"
    told = json.loads(about.read_text()) if about.is_file() else []
    last = told[-1] if told else {}
    return Run(folder, config_of(folder), tuple(last.get("overrides", ())),
               tuple(last.get("apart", ())), read_readings(folder))  # fmt: skip


def folders(paths: Sequence[str]) -> list[Path]:
    """Every run folder that is named: by itself, by a folder that holds some, by the manifest of a launch, or by the
    name of a sweep in `runs`."""
    found: dict[Path, None] = {}
    known = launches(RUNS)
    manifests = {path: [one for one in known if sweep_of(one) == path] for path in paths if not Path(path).exists()}
    for path in (Path(one) for name in paths for one in manifests.get(name) or [name]):
        if path.is_file() and path.suffix == MANIFEST:
            inside = [folder_of(path, entry) for entry in entries(path) if "folder" in entry]
        elif (path / "config.yaml").is_file():
            inside = [path]
        else:
            inside = [config.parent for config in sorted(path.glob("*/config.yaml"))]
        if not inside:
            raise LineageError(explain(expected="a run folder, a folder of them or the manifest of a launch",
                                       got=f"'{path}'", do=f"Manifests are in runs/{LAUNCHES}/."))  # fmt: skip
        found |= dict.fromkeys(inside)
    return list(found)


@dataclass
class Feed:
    """The lines of a lineage, each once, as they are written. `offset`: bytes that were read, by `reader`."""

    folder: Path
    offset: int = 0
    reader: Reader = field(default_factory=Reader)

    def lines(self) -> Iterator[Line]:
        """The whole lines that have come since the last look. Raises `LineageError` for what is none."""
        path = self.folder / LINEAGE
        if not path.is_file():
            return
        with path.open("rb") as file:
            file.seek(self.offset)
            for text in file:
                if not text.endswith(b"\n"):
                    return
                try:
                    line = self.reader.read(text)
                except (ValueError, KeyError, TypeError, AttributeError, StopIteration, IndexError) as error:
                    got = f"{type(error).__name__}: {error}"
                    raise LineageError(explain(expected=f"whole lines in {path}", got=got,
                                               do="The file was changed by hand."))  from error  # fmt: skip
                self.offset += len(text)
                yield line
