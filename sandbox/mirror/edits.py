"""Edits as a table: what each asked for, as a difference from what was in force, what became of it, and why."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import Any

import numpy as np

from sandbox.lines.line import Line

COLUMNS = ["step", "level", "path", "before", "asked", "difference", "verdict", "why", "note"]
ROWS = 1000  # edits kept: the newest, if there are more
WIDE = 40  # lines of a difference at most
FEW = 24  # numbers that are told one by one
LONG = 2000  # characters of a text at most
SEEDS = 4  # texts that are told one after the other

Values = list[Any]  # one a seed; None where nothing is known


@dataclass(frozen=True)
class Asked:
    """What a line asks for at one path, where `before` was in force; put into words for those that are shown."""

    line: Line
    path: str
    before: Values

    def row(self) -> list[Any]:
        """By `COLUMNS`."""
        line, change = self.line, self.line["edit"][self.path]
        asked = asked_of(line, self.path) or [None] * len(self.before)
        told = difference(self.before, asked) if any(asked) or "value" in change else (
            f"a change of norm {text(mean(change['size']))}")  # fmt: skip
        return [line["step"], line["level"], self.path, text(mean(self.before)), text(mean(asked)), told,
                counted(line["verdict"]), next(filter(None, line["why"]), ""), line["note"]]  # fmt: skip


@dataclass
class Edits:
    """`force` is what stands at each path for each seed, as far as edits have told; `past` what stood there before."""

    newest: deque[Asked] = field(default_factory=lambda: deque[Asked](maxlen=ROWS))
    force: dict[tuple[int, str], Values] = field(default_factory=dict[tuple[int, str], Values])
    past: dict[tuple[int, str], Values] = field(default_factory=dict[tuple[int, str], Values])

    @property
    def rows(self) -> list[list[Any]]:
        """The table."""
        return [asked.row() for asked in self.newest]

    def take(self, line: Line) -> None:
        """A row for each path that a line asks to change. The line of the start says in words what stands there."""
        if not line["step"]:
            self.force |= {(line["level"], path): list(said) for path, said in line["text"].items()}
        for path in line["edit"]:
            before = self.force.setdefault((line["level"], path), [None] * len(line["seeds"]))
            self.newest.append(Asked(line, path, list(before)))
        self._commit(line)

    def _commit(self, line: Line) -> None:
        for at, values in self.force.items():
            if at[0] != line["level"]:
                continue
            for seed, verdict in enumerate(line["verdict"]):
                past = self.past.setdefault(at, [None] * len(values))
                if verdict == "accepted":
                    past[seed] = values[seed]
                    if at[1] in line["edit"]:
                        values[seed] = (asked_of(line, at[1]) or [None] * len(values))[seed]
                elif verdict == "rolled back":
                    values[seed] = past[seed]


def asked_of(line: Line, path: str) -> Values | None:
    """What a line asks for at a path: in words where there are some, else in numbers; None where it was not written."""
    return line["text"].get(path) or line["edit"][path].get("value")


def mean(values: Sequence[Any]) -> Any:
    """The mean over seeds of numbers, or of lists of them within lists; None where one is unknown; of other things the
    first, if all are alike, or else all."""
    if any(value is None for value in values):
        return None
    try:
        return np.array(values, float).mean(axis=0).tolist()
    except (ValueError, TypeError):
        return values[0] if all(value == values[0] for value in values) else list(values)


def difference(before: Sequence[Any], asked: Sequence[Any]) -> str:
    """`0.1 → 0.2` for a number; for text, a tree or a few numbers the lines that differ, as `diff -u` tells them; for
    many numbers how many they are, and their norm. Texts that differ from seed to seed are told one after the other."""
    pairs = list(dict.fromkeys((old, new) for old, new in zip(before, asked, strict=True) if isinstance(new, str)))
    if len(pairs) > 1:
        return "\n".join(difference([old], [new]) for old, new in pairs[:SEEDS])
    old, new = mean(before), mean(asked)
    if not isinstance(new, (list, dict, str)) or _is_long(new):
        return f"{text(old)} → {text(new)}".lstrip()
    told = list(unified_diff(_lines(old), _lines(new), "before", "asked", n=1, lineterm=""))
    return "\n".join(told[:WIDE] + ([f"… {len(told) - WIDE} lines more"] if len(told) > WIDE else []))


def counted(verdicts: Sequence[str]) -> str:
    """`accepted`, or `accepted 3, rejected 1`."""
    found = Counter(verdicts)
    return next(iter(found)) if len(found) == 1 else ", ".join(f"{name} {n}" for name, n in found.items())


def text(value: Any) -> str:
    """One value in words; empty where it is unknown."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if _is_long(value):
        flat = np.array(value, float).ravel()
        return f"{flat.size} numbers, norm {np.linalg.norm(flat):.4g}"
    told = value if isinstance(value, str) else json.dumps(_rounded(value), ensure_ascii=False)
    return told if len(told) <= LONG else f"{told[:LONG]}…"


def _is_long(value: Any) -> bool:
    """Whether it is more numbers than anybody reads."""
    if not isinstance(value, list):
        return False
    try:
        return np.array(value, float).size > FEW
    except (ValueError, TypeError):  # words, or lists of other lengths
        return False


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def _lines(value: Any) -> list[str]:
    """A value over lines: those of a text, one a leaf of a tree or of nested lists, each under its path."""
    if value is None:
        return []
    return value.splitlines() if isinstance(value, str) else list(_leaves("", value))


def _leaves(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        parts: Iterator[tuple[Any, Any]] = iter(value.items())
    elif isinstance(value, list):
        parts = iter(enumerate(value))
    else:
        yield f"{path}: {text(value)}"
        return
    for name, part in parts:
        yield from _leaves(f"{path}/{name}" if path else str(name), part)
