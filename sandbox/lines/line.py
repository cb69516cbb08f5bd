"""One reflective step as a line of JSON, and back. A line leaves out what is empty and what the line before it said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.lines.column import (
    plain,
    read_exact,
    read_numbers,
    read_words,
    rounded,
    write_exact,
    write_numbers,
    write_words,
)

Line = Mapping[str, Any]
"""What every reader gets of a step, the same however it was written: step, level, t, seeds, verdict, why, anchor, own,
edit {path: {"value"} or {"size", "digest"}}, text {path: …}, tried, note, digest, readings {name: …}; lists hold one
entry a seed, or none where nothing is told."""

Step = Mapping[str, Any]
"""A line before it is written: the same keys, with arrays [S, ...] in place of lists of numbers."""

WORDS = ("verdict", "why", "anchor")
SIZE = 4  # significant digits of the size of a change


def told(step: Step) -> Line:
    """The line that readers get once `step` is written: measured numbers rounded, None where they are not finite."""
    edit = {path: _change(change) for path, change in step["edit"].items()}
    readings = {name: plain(rounded(values)) for name, values in step["readings"].items()}
    return {**step, **{key: list(map(str, step[key])) for key in WORDS}, "own": plain(rounded(step["own"])),
            "edit": edit, "readings": readings}  # fmt: skip


def _change(change: Mapping[str, Any]) -> dict[str, Any]:
    if "value" in change:
        return {"value": plain(change["value"])}
    return {"size": plain(rounded(change["size"], SIZE)), "digest": list(change["digest"])}


@dataclass
class Writer:
    """Writes one step after the other. `packed`: columns as strings of bytes, for long runs of many seeds. `seeds` and
    `asked` (the values last asked for at each path) are those of the line before."""

    packed: bool = False
    seeds: list[int] = field(default_factory=list[int])
    asked: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    def write(self, step: Step) -> str:
        """Strict JSON in one line, without its end."""
        line: dict[str, Any] = {key: step[key] for key in ("step", "level", "t")}
        if step["seeds"] != self.seeds:
            line["seeds"] = self.seeds = list(step["seeds"])
        line |= {key: write_words(step[key]) for key in WORDS}
        line["own"] = write_numbers(rounded(step["own"]), packed=self.packed)
        line["edit"] = {path: self._edit(path, change) for path, change in step["edit"].items()}
        line["text"] = {path: write_words(said) for path, said in step.get("text", {}).items()}
        line |= {"tried": step.get("tried", []), "note": step["note"], "digest": list(step["digest"])}
        line["readings"] = {name: write_numbers(rounded(values), packed=self.packed)
                            for name, values in step["readings"].items()}  # fmt: skip
        line = {key: value for key, value in line.items() if value not in ("", [], {})}
        return json.dumps(line, allow_nan=False, separators=(",", ":"), ensure_ascii=False)

    def _edit(self, path: str, change: Mapping[str, Any]) -> Any:
        if "value" not in change:
            return {"size": plain(rounded(change["size"], SIZE)), "digest": list(change["digest"])}
        values = np.asarray(change["value"])
        written = write_exact(values, self.asked.get(path), packed=self.packed)
        self.asked[path] = values
        return written


@dataclass
class Reader:
    """Reads the lines of a lineage in their order, from the first. Without `edits`, which a report has no use for, it
    leaves them out and is faster."""

    edits: bool = True
    seeds: list[int] = field(default_factory=list[int])
    asked: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    def read(self, text: str | bytes) -> Line:
        """The line; raises `ValueError`, `KeyError`, `TypeError` or `AttributeError` for what is none."""
        found = json.loads(text)
        self.seeds = found.get("seeds", self.seeds)
        n = len(self.seeds)
        if not (n and isinstance(found["step"], int) and isinstance(found["level"], int)):
            raise ValueError(f"step {found['step']!r} of level {found['level']!r} of {n} seeds")
        line: dict[str, Any] = {"step": found["step"], "level": found["level"], "t": found["t"], "seeds": self.seeds}
        for key in WORDS:
            line[key] = read_words(found.get(key, ""), n)
        line["own"] = read_numbers(found["own"], n)
        edit = found.get("edit", {}) if self.edits else {}
        line["edit"] = {path: self._edit(path, change, n) for path, change in edit.items()}
        line["text"] = {path: read_words(said, n) for path, said in found.get("text", {}).items()}
        line |= {"tried": found.get("tried", []), "note": found.get("note", ""), "digest": found.get("digest", [])}
        line["readings"] = {name: read_numbers(values, n) for name, values in found.get("readings", {}).items()}
        return line

    def _edit(self, path: str, edit: Any, seeds: int) -> dict[str, Any]:
        if isinstance(edit, dict):
            return edit
        values, array = read_exact(edit, seeds, self.asked.get(path))
        if array is not None:
            self.asked[path] = array
        return {"value": values}
