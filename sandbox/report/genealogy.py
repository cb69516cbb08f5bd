"""Programs as a tree: what each was made from, how it scored, what was asked for, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import ndiff
from typing import Any

from sandbox.lines.file import read
from sandbox.lines.line import Line, Reader
from sandbox.report.read import Run

ASKED = "gate"  # the stage of the candidate that was asked for
FOUND = "found in force"  # the move of what somebody else has put in force
BEST = 5  # of those that were never asked for, so many are told with their line of descent


@dataclass
class Formula:
    """One program of one seed: its `text`, the place of its `parent` among all (None: it stood at the start), the
    `step` at which it came up, by which `move`; `scores`, one a life that it was scored by; how it was `asked` for:
    (step, verdict, why)."""

    text: str
    parent: int | None
    step: int
    path: str
    move: str = ""
    scores: list[float] = field(default_factory=list[float])
    asked: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])

    @property
    def accepted(self) -> bool:
        return any(verdict == "accepted" for _, verdict, _ in self.asked)


@dataclass
class Genealogy:
    """The programs of one seed in order of appearance; `fallen` counts candidates that were never lived, by (stage,
    why); `price`: inner steps spent on candidates; `stands`: the place of what is in force at each path.

    `texts` {(path, text): place}; `ids` {a candidate's id: {path: place}}, for a candidate is a program at each path
    that its meta-learner edits, and changes one of its parent's, `main` {id: place}. What stands at the start has the
    id 0.
    """

    seed: int
    formulas: list[Formula] = field(default_factory=list[Formula])
    fallen: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    price: int = 0
    stands: dict[str, int] = field(default_factory=dict[str, int])
    before: dict[str, int] = field(default_factory=dict[str, int])
    texts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    ids: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])
    main: dict[int, int] = field(default_factory=dict[int, int])

    def begin(self, texts: Mapping[str, str]) -> None:
        """What stands at the start."""
        for path, text in texts.items():
            self.stands[path] = self._met(path, text, None, 0, "")
        self.ids[0] = dict(self.stands)

    def tried(self, step: int, one: Mapping[str, Any]) -> None:
        """A candidate, as its meta-learner tells of it. One whose parent nobody has told of stands below the start."""
        self.price += int(one.get("price") or 0)
        key, score, path = one.get("id"), one.get("score"), one.get("path")
        lived = score is not None or one.get("stage") == ASKED or one.get("move") == FOUND
        if key is None or (key not in self.ids and (not lived or path is None)):
            self.fallen[str(one.get("stage", "")), str(one.get("why", ""))] += 1
            return
        if path is not None and path not in (mine := self.ids.setdefault(key, {})):
            family = self.ids.get(one.get("parent", 0), self.ids.get(0, {}))
            mine |= {at: place for at, place in family.items() if at not in mine}
            text, move = str(one.get("program") or ""), str(one.get("move", ""))
            mine[path] = self._met(path, text, family.get(path), step, move)
            self.main[key] = mine[path]
        if isinstance(score, int | float):
            self.formulas[self.main[key]].scores.append(float(score))

    def asked(self, step: int, texts: Mapping[str, str], verdict: str, why: str, key: int | None) -> None:
        """What was asked for at each path, and what became of it. `key`: the candidate that it was, where that is told;
        its text may be another of the same meaning."""
        if verdict == "accepted":
            self.before = dict(self.stands)
        told = {} if key is None else self.ids.get(key, {})
        for path, text in texts.items():
            place = told[path] if path in told else self._met(path, text, self.stands.get(path), step, "")
            self.formulas[place].asked.append((step, verdict, why))
            if verdict == "accepted":
                self.stands[path] = place

    def back(self) -> None:
        """The life went non-finite: what stood before the last accepted edit stands again."""
        self.stands = dict(self.before or self.stands)

    def line(self, place: int | None) -> Iterator[int]:
        """The line of descent from a program up to the start."""
        while place is not None:
            yield place
            place = self.formulas[place].parent

    def told(self, best: int = BEST) -> list[int]:
        """The places worth telling, in order of appearance: the start, all that was asked for, the best of the rest,
        and their lines of descent."""
        scored = sorted((sum(one.scores) / len(one.scores), place) for place, one in enumerate(self.formulas)
                        if one.scores and not one.asked)  # fmt: skip
        chosen = [place for _, place in scored[:best]]
        chosen += [place for place, one in enumerate(self.formulas) if one.asked or one.parent is None]
        return sorted({ancestor for place in chosen for ancestor in self.line(place)})

    def _met(self, path: str, text: str, parent: int | None, step: int, move: str) -> int:
        """The place of a program at a path: a new one where its text is new there."""
        if (path, text) not in self.texts:
            self.texts[path, text] = len(self.formulas)
            self.formulas.append(Formula(text, parent, step, path, move))
        return self.texts[path, text]


def genealogies(run: Run) -> list[Genealogy]:
    """One a seed; none for a run whose rule has no programs."""
    found: dict[int, Genealogy] = {}
    for line in read(run.folder, Reader(edits=False)):
        if not line["text"] and not line["tried"] and not found:
            return []
        for row, seed in enumerate(line["seeds"]):
            _grow(found.setdefault(seed, Genealogy(seed)), line, row)
    return list(found.values())


def difference(old: str, new: str) -> list[str]:
    """The lines of two texts, each marked by "  " (in both), "- " (in the old alone) or "+ " (in the new alone)."""
    return [line for line in ndiff(old.splitlines(), new.splitlines()) if not line.startswith("?")]


def _grow(tree: Genealogy, line: Line, row: int) -> None:
    texts = {path: said[row] for path, said in line["text"].items() if said[row]}
    if not line["step"]:
        return tree.begin(texts)
    chosen: int | None = None
    for one in _of(line["tried"], row):
        tree.tried(line["step"], one)
        chosen = one.get("id") if one.get("stage") == ASKED else chosen
    verdict = line["verdict"][row]
    if verdict == "rolled back":
        tree.back()
    elif verdict != "no edit":
        tree.asked(line["step"], texts, verdict, line["why"][row], chosen)
    return None


def _of(column: list[Any], row: int) -> Iterable[Mapping[str, Any]]:
    return column[row] if row < len(column) else ()
