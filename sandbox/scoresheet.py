"""`sandbox eval`: what is asked on a command line, and one table of what was found in several runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox.core.error import ConfigError, LineageError, SandboxError, did_you_mean, explain
from sandbox.evaluation import Answer, Question, Row, evaluate
from sandbox.identity import COSMETIC
from sandbox.measure.interval import Interval, interval
from sandbox.report.table import text

KEYS = ("horizon", "tasks", "bound", "force")
HEADS = {"process": "P", "human": "H", "calibrated": "P calibrated", "own": "A"}
AROUND = ("launches", "reports")  # folders beside the runs
KINDS = """A task diverged where its P is not finite, or above the bound (ten times the worst P of any task of its seed
before adaptation, unless bound=… says otherwise). Such tasks count in the mean, and the median hardly feels them."""
LIVE = "Lives persist here: the run's own go on for so many inner steps, on the tasks that they know, unedited."


@dataclass(frozen=True)
class Line:
    """One line of the table: an `arm`, after so many inner steps; the figures of each seed."""

    arm: str
    horizon: int
    rows: Sequence[Row]

    def figure(self, name: str) -> Interval | None:
        """Mean and interval over seeds, or of a single seed over its tasks; None for what no row has."""
        if not all(name in row for row in self.rows):
            return None
        if len(self.rows) > 1:
            return interval([_number(row[name]) for row in self.rows])
        return Interval(*(_number(self.rows[0][f"{name}{end}"]) for end in ("", "_low", "_high")), n=1)

    def described(self) -> Row:
        """Ready for JSON: what the table says of this line, over seeds."""
        found: Row = {"arm": self.arm, "horizon": self.horizon, "n": len(self.rows)}
        for name in HEADS:
            figure = self.figure(name)
            if figure is not None:
                ends = {"mean": figure.mean, "low": figure.low, "high": figure.high}
                found[name] = {end: None if value != value else value for end, value in ends.items()}
        middle = [_number(row["process_median"]) for row in self.rows]
        found["process_median"] = None if sum(middle) != sum(middle) else sum(middle) / len(middle)
        for name in ("tasks", "diverged", "not_finite"):
            found[name] = sum(row[name] for row in self.rows)
        return found


# ---- what is asked --------------------------------------------------------------------------------------------------


def asked(words: Sequence[str]) -> tuple[list[Path], Question]:
    """Run folders (those of a launch, where its manifest is named) and the question; raises `SandboxError`."""
    folders, settings, fields = list[Path](), dict[str, Any](), dict[str, Any]()
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals or Path(word).exists():
            folders += _folders(Path(word))
        elif key in KEYS:
            settings[key] = _value(word, key)
        elif key.startswith("task."):
            fields[key.removeprefix("task.")] = _value(word, *key.split("."))
        else:
            raise _unknown(key)
    folders = [one for one in folders if one.name not in AROUND] if len(folders) > 1 else folders
    if not folders:
        raise LineageError(explain(expected="run folders", got="none", do="Name some, as in: sandbox eval runs/maml-*"))
    if settings.get("force", False) not in (True, False):
        raise ConfigError(
            explain(expected="force=true or force=false", got=repr(settings["force"]), do="Leave it out.")
        )
    return list(dict.fromkeys(folders)), Question(**settings, task=fields)


def _unknown(key: str) -> ConfigError:
    """What to say of a key that is none."""
    do = did_you_mean(key, [*KEYS, "task.shots"])
    if key == "task":
        do = "A run is evaluated on the task that it was made for: set fields of that, as in task.shots=5."
    return ConfigError(explain(expected=f"one of {', '.join(KEYS)}, or a field of the task such as task.shots",
                               got=f"'{key}'", do=do))  # fmt: skip


def _value(word: str, *keys: str) -> Any:
    """The value of a setting; raises `ConfigError`."""
    key, _, value = word.partition("=")
    if keys == ("horizon",) and "," in value and not value.startswith("["):
        word = f"{key}=[{value}]"
    try:
        found = OmegaConf.to_container(OmegaConf.from_dotlist([word]))
    except Exception as error:
        raise ConfigError(explain(expected=f"a value at {key}", got=repr(value), do=str(error))) from error
    for one in keys:
        found = found[one]  # type: ignore[index, call-overload]
    if found is None:
        raise ConfigError(explain(expected=f"a value at {key}", got=f"'{word}'", do=f"Leave {key} out, or set it."))
    return found


def _folders(path: Path) -> list[Path]:
    if path.suffix != ".jsonl" or not path.is_file():
        return [path]
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [Path(entry["folder"]) for entry in entries if "folder" in entry]


# ---- what is told ---------------------------------------------------------------------------------------------------


def evaluated(words: Sequence[str], *, trust: Sequence[str] = (), as_json: str | None = None,
              seeds: bool = False) -> int:  # fmt: skip
    """Evaluate and tell; returns the exit code: 2 where a run can't be evaluated. `as_json` names a file to write to,
    "" prints; `seeds` tells each seed by itself too."""
    folders, question = asked(words)
    if as_json and Path(as_json).is_dir():
        raise ConfigError(explain(expected="a file after --json", got=f"the folder {as_json}",
                                  do="Name the file first: --json rows.json"))  # fmt: skip
    answers, wrong = list[Answer](), 0
    for folder in folders:
        try:
            answers.append(evaluate(folder, question, trust=trust))
        except SandboxError as error:
            print(f"{folder}: {error}", file=sys.stderr)
            wrong = 2
    for sentence in (sentence for answer in answers for sentence in answer.told):
        print(sentence, file=sys.stderr)
    found = lines(answers)
    written = json.dumps({"arms": [line.described() for line in found],
                          "seeds": [row for answer in answers for row in answer.rows]}, indent=1)  # fmt: skip
    if as_json:
        Path(as_json).write_text(written + "\n")
    if as_json == "":
        print(written)
    elif answers:
        tell(found, seeds=seeds, live=not all(answer.fresh for answer in answers))
    return wrong


def lines(answers: Sequence[Answer]) -> list[Line]:
    """A line an arm and horizon: runs as long that differ in seeds alone are one arm, called by their label, or by
    a folder where two arms have one label."""
    arms: dict[str, list[Answer]] = {}
    for answer in answers:
        same = {key: value for key, value in answer.config.items() if key not in (*COSMETIC, "seed", "seeds")}
        key = json.dumps([answer.label, answer.step, same], sort_keys=True, default=str)
        arms.setdefault(key, []).append(answer)
    labels = [group[0].label for group in arms.values()]
    found = list[Line]()
    for group in arms.values():
        label = group[0].label
        name = label if labels.count(label) == 1 else group[0].folder.name
        rows = {(row["horizon"], row["seed"]): row for answer in group for row in answer.rows}
        for horizon in dict.fromkeys(horizon for horizon, _ in rows):
            found.append(Line(name, horizon, [row for (at, _), row in rows.items() if at == horizon]))
    return found


def tell(found: Sequence[Line], *, seeds: bool, live: bool) -> None:
    """The table: drawn in a terminal, else plain columns."""
    tables = [_cells(found)]
    if seeds:
        tables.append(_cells([Line(f"{line.arm} seed {row['seed']}", line.horizon, [row])
                              for line in found for row in line.rows]))  # fmt: skip
    many = any(len(line.rows) > 1 for line in found)
    over = "seeds (over tasks where there is one seed)" if many else "tasks"
    titles = [f"After so many inner steps: mean and 95 % interval over {over}", "Each seed, over its tasks"]
    console = Console()
    for title, cells in zip(titles, tables, strict=False):
        _drawn(console, title, cells) if console.is_terminal else _plain(title, cells)
    notes = [KINDS] if any(row["diverged"] for line in found for row in line.rows) else []
    for note in [*notes, *([LIVE] if live else [])]:
        print(note.replace("\n", " "))


def _cells(found: Sequence[Line]) -> list[list[str]]:
    names = [name for name in HEADS if any(line.figure(name) is not None for line in found)]
    table = [["arm", "n", "inner steps", *(HEADS[name] for name in names), "median of P", "tasks", "diverged"]]
    for line in found:
        said = line.described()
        figures = [_text(line.figure(name)) for name in names]
        middle = _text(Interval(_number(said["process_median"]), nan, nan, 1))
        lost = f"{said['diverged']}" + (f" ({said['not_finite']} not finite)" if said["not_finite"] else "")
        table.append([line.arm, f"{said['n']}", f"{line.horizon}", *figures, middle, f"{said['tasks']}", lost])
    return table


def _text(figure: Interval | None) -> str:
    if figure is None:
        return "–"
    return "not finite" if figure.mean != figure.mean else text(figure)


def _number(value: float | None) -> float:
    return nan if value is None else float(value)


def _drawn(console: Console, title: str, cells: Sequence[Sequence[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="italic")
    for place, head in enumerate(cells[0]):
        table.add_column(head, justify="left" if not place else "right")
    last = ""
    for arm, *rest in cells[1:]:
        table.add_row(Text("" if arm == last else arm, style="bold"), *map(Text, rest))
        last = arm
    console.print(table)


def _plain(title: str, cells: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(title)
    for row in cells:
        print("  ".join(_padded(row, widths)).rstrip())


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    first, *rest = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
