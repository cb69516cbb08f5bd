"""What runs have left, as tables of plain columns: of one run, or of all the runs of a folder, a launch or a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sandbox.core.error import ConfigError, explain
from sandbox.lines import file
from sandbox.lines.format import config_of
from sandbox.lines.line import Line, Reader
from sandbox.report.arms import flat
from sandbox.report.sweeps import now

EDITS = ("level", "step", "seed", "path", "value", "text", "verdict", "why")
VERDICTS = ("level", "step", "seed", "verdict", "why", "anchor", "note")
LONG = ("step", "seed", "reading", "value")


class Columns(dict[str, list[Any]]):
    """{column: values}, all of one length, None where there is nothing. `pandas.DataFrame(columns)` takes it as it
    is."""

    def pandas(self) -> Any:
        """The same as a data frame of pandas; raises `ConfigError` where it is not installed."""
        return _module("pandas").DataFrame(dict(self))

    def polars(self) -> Any:
        """The same as a data frame of polars; raises `ConfigError` where it is not installed. There a column is of one
        kind: whole numbers among others become floats, and what is mixed otherwise becomes JSON."""
        polars = _module("polars")
        return polars.DataFrame({name: alike(values) for name, values in self.items()}, infer_schema_length=None)

    def frame(self) -> Any:
        """The same as `pandas()`."""
        return self.pandas()

    @property
    def rows(self) -> int:
        """How many values each column has."""
        return len(next(iter(self.values()), []))


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(explain(expected=f"{name}, which makes data frames", got="none installed",
                                  do=f"pip install {name}, or read the columns."))  from error  # fmt: skip


def alike(values: Sequence[Any]) -> list[Any]:
    """The values of one kind: as they are, as floats where all are numbers, or else as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2 and not kinds & {list, dict}:
        return list(values)
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else json.dumps(value) for value in values]


# ---- of one run -----------------------------------------------------------------------------------------------------


def readings_of(folder: Path) -> Columns:
    """A row a step of the top level and a seed: `step`, `seed`, `own` (A, None at the start) and every reading, None
    where a meter was not due."""
    lines = _top(folder)
    names = list(dict.fromkeys(name for line in lines for name in line["readings"]))
    found = Columns({name: [] for name in ("step", "seed", "own", *names)})
    for line in lines:
        nothing = [None] * len(line["seeds"])
        found["step"] += [line["step"]] * len(line["seeds"])
        found["seed"] += line["seeds"]
        found["own"] += line["own"] if line["step"] else nothing
        for name in names:
            found[name] += line["readings"].get(name, nothing)
    return found


def long_readings_of(folder: Path) -> Columns:
    """A row each number that was read, of the top level: `step`, `seed`, `reading`, `value`, None where it was not
    finite. What was not due has no row."""
    found = Columns({name: [] for name in LONG})
    for line in _top(folder):
        own = {"own": line["own"]} if line["step"] else {}
        for name, values in {**own, **line["readings"]}.items():
            found["step"] += [line["step"]] * len(values)
            found["seed"] += line["seeds"]
            found["reading"] += [name] * len(values)
            found["value"] += values
    return found


def _top(folder: Path) -> list[Line]:
    """The lines of the top level, which is that of the first line, without their edits: those of a long run are more
    than a memory holds at once."""
    lines = list(_lines(folder, Reader(edits=False)))
    top = max((line["level"] for line in lines), default=1)
    return [line for line in lines if line["level"] == top]


def edits_of(folder: Path) -> Columns:
    """A row an edited path, seed and step: `level`, `step`, `seed`, `path`, the `value` that was asked for (None where
    it was too large to be written), its `text` where the rule tells it in words, `verdict`, `why`."""
    return _columns(EDITS, (row for line in _lines(folder) for row in _edits(line)))


def _edits(line: Line) -> Iterator[Sequence[Any]]:
    for path, change in line["edit"].items():
        values, said = change.get("value"), line["text"].get(path)
        for row, seed in enumerate(line["seeds"]):
            yield (line["level"], line["step"], seed, path, values[row] if values else None,
                   said[row] if said else None, line["verdict"][row], line["why"][row])  # fmt: skip


def tried_of(folder: Path) -> Columns:
    """A row for whatever a meta-learner told of its way to an edit (`Edit.tried`): `level`, `step`, `seed`, and a
    column for each word that it used, of a search `id`, `parent`, `program`, `stage`, `score`, `price` and others."""
    return together(
        ({"level": line["level"], "step": line["step"], "seed": seed}, {word: [told] for word, told in one.items()})
        for line in _lines(folder, Reader(edits=False))
        for seed, each in zip(line["seeds"], line["tried"], strict=False)
        for one in each
    )


def verdicts_of(folder: Path) -> Columns:
    """A row a step of any level and a seed, from the first step on: `level`, `step`, `seed`, `verdict`, `why`, `anchor`
    and the meta-learner's `note`."""
    return _columns(VERDICTS, (
        (line["level"], line["step"], seed, line["verdict"][row], line["why"][row], line["anchor"][row], line["note"])
        for line in _lines(folder, Reader(edits=False)) if line["step"] for row, seed in enumerate(line["seeds"])
    ))  # fmt: skip


def _lines(folder: Path, reader: Reader | None = None) -> Iterator[Line]:
    """The lines of a run; none where it has written none."""
    if (folder / file.LINEAGE).is_file():
        yield from file.read(folder, reader)


def _columns(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Columns:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return Columns({name: list(values) for name, values in zip(names, columns, strict=True)})


# ---- of many --------------------------------------------------------------------------------------------------------


def together(tables: Iterable[tuple[Mapping[str, Any], Mapping[str, list[Any]]]]) -> Columns:
    """Tables below one another, each with the same words in front of its rows: {column: the one value}. A column that a
    table does not have is None there."""
    found = Columns()
    rows = 0
    for front, table in tables:
        more = len(next(iter(table.values()), []))
        columns = {**{name: [value] * more for name, value in front.items()}, **table}
        for name in columns:
            if name not in found:
                found[name] = [None] * rows
        for name, values in found.items():
            values += columns.get(name, [None] * more)
        rows += more
    return found


def configs_of(runs: Iterable[tuple[Path, str]]) -> Columns:
    """A row a run, given as folder and label: `run`, `label`, its `state`, `step` and `error` by status.json, and every
    key of its configuration with dots between, None where it does not have that."""
    found: list[tuple[dict[str, Any], dict[str, list[Any]]]] = []
    for folder, label in runs:
        told = now(folder)
        front = {"run": folder.name, "label": label, "state": told.get("state"), "step": told.get("step"),
                 "error": told.get("error")}  # fmt: skip
        settings = flat(config_of(folder))
        found.append((front, {key: [value] for key, value in settings.items() if key not in front}))
    return together(found)
