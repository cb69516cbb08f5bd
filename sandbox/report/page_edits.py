"""The edits of arms as the page shows them: what stood, what was asked for, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from sandbox.lines.file import read
from sandbox.lines.line import Line
from sandbox.report.arms import Arm
from sandbox.report.programs import formula
from sandbox.report.read import Run

MOST = 12_000  # edits of a page
LEAST = 12  # of an arm
LONGEST = 4  # numbers of a value that are told one by one
WORDS = 400  # characters of a reason
UNKNOWN = ""

Row = list[Any]


@dataclass
class Book:
    """Words that repeat, each once: rows name them by place."""

    words: list[str] = field(default_factory=list[str])
    places: dict[str, int] = field(default_factory=dict[str, int])

    def place(self, word: str) -> int:
        word = word if len(word) <= WORDS else word[: WORDS - 1] + "…"
        if word not in self.places:
            self.places[word] = len(self.words)
            self.words.append(word)
        return self.places[word]


def edits(arms: Sequence[Arm]) -> dict[str, Any]:
    """{"words", "columns", "arms": [{"asked": how many edits there were, "rows": [[…]]}]}: of an arm with more edits
    than its share of the page, whole steps, evenly over its course. Paths, verdicts and reasons are places in `words`.
    """
    book = Book()
    most = max(LEAST, MOST // max(1, len(arms)))
    return {
        "columns": ["level", "step", "seed", "path", "before", "asked", "verdict", "why"],
        "arms": [_arm(arm, most, book) for arm in arms],
        "words": book.words,
    }


def _arm(arm: Arm, most: int, book: Book) -> dict[str, Any]:
    steps: dict[tuple[int, int], list[Row]] = {}
    for run in arm.runs:
        for row in _rows(run):
            steps.setdefault((row[1], row[0]), []).append(row)
    asked = sum(map(len, steps.values()))
    kept = sorted(steps)
    if asked > most:
        share = max(1, most * len(kept) // asked)
        kept = [kept[place] for place in np.linspace(0, len(kept) - 1, share).astype(int)]
    rows = [row for key in kept for row in steps[key]][:most]
    return {"asked": asked, "rows": [[*row[:3], *_worded(row, book)] for row in rows]}


def _worded(row: Row, book: Book) -> Row:
    path, before, asked, verdict, why = row[3:]
    return [book.place(path), before, asked, book.place(verdict), book.place(why)]


def _rows(run: Run) -> Iterator[Row]:
    """A row an edited path, seed and step. Before an edit of the top level stands the value in force at that path: what
    was last accepted there and not rolled back; None where that is the start's. At the levels below it is `UNKNOWN`:
    what they edit may be born anew with a life."""
    stands: dict[int, dict[str, Any]] = {}  # by seed: what is in force
    back: dict[int, dict[str, Any]] = {}  # and what was before the last accepted edit
    top = 0
    for line in read(run.folder):
        top = top or line["level"]
        if not line["step"]:
            stands = {seed: {path: formula(said[row]) for path, said in line["text"].items()}
                      for row, seed in enumerate(line["seeds"])}  # fmt: skip
        for row, seed in enumerate(line["seeds"]):
            verdict, now = line["verdict"][row], stands.setdefault(seed, {})
            asked = {path: _value(line, path, row) for path in _told(line)} if verdict != "no edit" else {}
            for path, value in asked.items():
                before = now.get(path) if line["level"] == top else UNKNOWN
                yield [line["level"], line["step"], seed, path, before, value, verdict, _why(line, row)]
            if line["level"] != top:
                continue
            if verdict == "accepted":
                back[seed] = dict(now)
                now.update(asked)
            elif verdict == "rolled back":
                stands[seed] = dict(back.get(seed, {}))


def _told(line: Line) -> list[str]:
    """The paths that are worth a row: beside formulas their many numbers are none, for they stand in the formulas."""
    said, edit = line["text"], line["edit"]
    return [path for path in edit if path in said or not said or np.size(edit[path].get("value", [0])[0]) <= LONGEST]


def _why(line: Line, row: int) -> str:
    """The reason; or else the words of the meta-learner."""
    return line["why"][row] or (line["note"] if isinstance(line["note"], str) else "")


def _value(line: Line, path: str, row: int) -> Any:
    """A formula, a number, a few, or in words how many there are and how large; what was not written is its size."""
    change, said = line["edit"][path], line["text"].get(path)
    if said and said[row]:
        return formula(said[row])
    if "value" not in change:
        size = change["size"][row]
        return "moved by ?" if size is None else f"moved by {size:.3g}"
    value = np.asarray(change["value"][row], float)
    if value.size <= LONGEST:
        told = [float(f"{x:.6g}") if isfinite(x) else None for x in value.ravel().tolist()]
        return told[0] if value.ndim == 0 else told
    return f"{value.size} numbers, norm {float(np.linalg.norm(value)):.4g}"
