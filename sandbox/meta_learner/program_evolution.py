"""Evolution of programs: formulas are varied, screened, lived on practice data, and the best is left to the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b
from math import inf
from typing import Any, Literal

import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.core.protocols import Heard, Needs, Params, Seen
from sandbox.program import force
from sandbox.program.archive import (
    Archive,
    Entry,
    Fate,
    append,
    empty,
    holds,
    lived,
    lives,
    marked,
    met,
    place,
    score,
    skipped,
    unjudged,
)
from sandbox.program.cascade import EACH, Breeder, Proposal, formulas_of
from sandbox.program.descent import cell
from sandbox.program.force import current, with_current
from sandbox.program.formulas import Formulas, checked_edits, kept_in, paths, seen_in
from sandbox.program.selection import CHOICES, Parents, Retention, retained

HOW_TO_STAY = ("all", "better", "cells")


@dataclass(frozen=True)
class ProgramEvolution:
    """Regularised evolution of programs (Real et al. 2019) through a cascade from cheap to dear.

    At each reflective step up to `proposals` changes are drawn, moves of parents from the archive (or `moves` random:
    programs drawn anew, the control), and screened without a life (`program.cascade`). The first `population` - 1 that
    pass live a horizon beside what is in force, all on one stream, and are scored by P on practice data.

    The best of many scores is a lucky one. So up to `again` places are for those that score better than what is in
    force and were never judged: they live again, and a score is the mean over lives. Asked for is the best of those
    that have lived `lives` times and are ahead of what is in force on this stream, too; the gate decides on others.
    What was judged is never asked for again, and what was tried is never tried again, as long as its hash is among the
    last 4 · `capacity` that were met. `edits` are rule/loss, rule/update or both; each change is to one of them. A
    share `fresh` of the proposals is a random program.

    psi is the archive (`program.archive`) and "asked", the id that waits for a verdict.
    """

    edits: tuple[str, ...] = ("rule/loss",)
    population: int = 16
    proposals: int = 64
    lives: int = 2
    again: int = 4
    moves: Literal["mutate", "random"] = "mutate"
    fresh: float = 0.1
    parents: Parents = "score_child"
    retention: Retention = "all"
    capacity: int = 256

    def __post_init__(self) -> None:
        checked_edits(self.edits)
        if self.population < 2 or self.proposals < self.population - 1 or self.capacity < self.population:
            raise ConfigError(explain(
                expected="a population of 2 or more, as many proposals and places in the archive",
                got=f"population {self.population}, proposals {self.proposals}, capacity {self.capacity}",
                do="One of the population is what is in force; usual: 16, 64 and 256."))  # fmt: skip
        for name, value, known in (("moves", self.moves, ("mutate", "random")), ("parents", self.parents, CHOICES),
                                   ("retention", self.retention, HOW_TO_STAY)):  # fmt: skip
            if value not in known:
                raise ConfigError(explain(expected=f"meta_learner.{name} among {list(known)}", got=value,
                                          do=did_you_mean(value, known)))  # fmt: skip
        if not 0 <= self.fresh <= 1 or self.lives < 1:
            raise ConfigError(explain(expected="meta_learner.fresh in [0, 1] and lives of 1 or more",
                                      got=f"{self.fresh} and {self.lives}",
                                      do="Leave them out: .1 and 2."))  # fmt: skip
        if not (self.lives > 1) <= self.again < self.population - 1:
            raise ConfigError(explain(
                expected="room for a new candidate in the population, beside what is in force and those of "
                         "meta_learner.again that live again (1 or more, where lives is)",
                got=f"population {self.population}, again {self.again}, lives {self.lives}",
                do=f"Set meta_learner.again={max(1, (self.population - 1) // 4)}, or raise population."))  # fmt: skip

    @property
    def needs(self) -> Needs:
        leaves = paths(self.edits)
        return Needs(edits=leaves, reads=leaves, noise=self.proposals * EACH, population=self.population,
                     vmapped=False, lasting=True)  # fmt: skip

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        archive = with_current(empty(self.capacity), seen_in(edited), 0)
        return _asking(archive, -1)

    def vary(self, psi: Params, seen: Seen) -> Mapping[str, Tensor]:
        """{path: [population, ...]}: what is in force, who lives again, who is new; where too few are, the first."""
        now, archive = self._standing(psi, seen)
        again = [formulas_of(archive, number, now) for number in self._again(archive)]
        crowd = [now, *again, *(each.formulas for each in self._proposals(archive, now, seen) if not each.why)]
        rows = [formulas.edit(seen.visible) for formulas in crowd]
        rows += [rows[0]] * (self.population - len(rows))
        return {path: torch.stack([row[path] for row in rows]) for path in rows[0]}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        """The best of those that were never judged, have lived often enough, and are ahead of what is in force now."""
        now, archive = self._standing(psi, seen)
        again, proposals = self._again(archive), self._proposals(archive, now, seen)
        numbers, archive, tried = _after(archive, again, proposals, seen)
        tried = [*_entered(psi, archive), *tried]
        standing = float(seen.scores[0])
        archive = retained(archive, self.retention, partial(_cell, archive))
        often = [number for number in unjudged(archive) if lives(archive, number) >= self.lives]
        ahead = [number for number in often if numbers.get(number, inf) < standing]
        if not ahead:
            return Edit(note="nothing is surely better on practice", tried=tried), _asking(archive, -1)
        found = formulas_of(archive, ahead[0], now)
        archive = marked(archive, ahead[0], Fate.ASKED)
        tried = [{**each, "stage": "gate"} if each["id"] == ahead[0] else each for each in tried]
        note = f"program {ahead[0]}, P {numbers[ahead[0]]:.3g} on practice against {standing:.3g}"
        return Edit(found.edit(seen.visible), note, tried), _asking(archive, ahead[0])

    def tell(self, psi: Params, heard: Heard) -> Params:
        """The archive with the verdict, and with what the gate has measured where it has."""
        return force.heard(psi, heard)

    def _standing(self, psi: Params, seen: Seen) -> tuple[Formulas, Archive]:
        """What is in force, and the archive that knows it."""
        now = seen_in(seen.visible)
        archive = {name: leaf for name, leaf in psi.items() if name != "asked"}
        return now, current(archive, now, int(seen.step), int(psi["asked"]))

    def _again(self, archive: Archive) -> list[int]:
        """Who is to live again: what scores better than what is in force and was never judged."""
        current = int(archive["current"])
        if not lives(archive, current):
            return []
        bar = score(archive, current)
        return [number for number in unjudged(archive) if score(archive, number) < bar][: self.again]

    def _proposals(self, archive: Archive, now: Formulas, seen: Seen) -> tuple[Proposal, ...]:
        """What is proposed: a function of the archive, of what is in force and of noise, computed once."""
        return _proposed(self, self.population - 1 - len(self._again(archive)), _Handed(archive, now, seen.noise))


def _after(archive: Archive, again: Sequence[int], proposals: Sequence[Proposal], seen: Seen
           ) -> tuple[dict[int, float], Archive, list[Any]]:  # fmt: skip
    """{id: score of this step}, the archive with what has lived and what was met, and what was tried, for the
    lineage."""
    found = iter([score if alive else None for score, alive in zip(seen.scores.tolist(), seen.alive.tolist(),
                                                                   strict=True)])  # fmt: skip
    numbers, tried, price = dict[int, float](), list[Any](), len(seen.own)
    for number in (int(archive["current"]), *again):
        now = next(found)
        archive = archive if now is None else lived(archive, number, now)
        if number in again:
            archive = archive if now is not None else marked(archive, number, Fate.DEAD)
            numbers[number] = inf if now is None else now
            tried.append(_told_again(archive, number, now, price))
    for each in proposals:
        number, now = int(archive["count"]), None if each.why else next(found)
        archive = _with(archive, each, now, int(seen.step))
        numbers[number] = inf if now is None else now
        tried.append({"id": number, "parent": each.parent, "move": each.move, "path": f"rule/{each.kind}",
                      "program": each.formulas.text_of(each.kind), "stage": each.stage, "score": now,
                      "price": 0 if each.why else price,
                      "why": each.why or ("its life went non-finite" if now is None else "")})  # fmt: skip
    return numbers, archive, tried


def _told_again(archive: Archive, number: int, now: float | None, price: int) -> dict[str, Any]:
    at = place(archive, number)
    return {"id": number, "parent": int(archive["parent"][at]), "move": "again",
             "program": kept_in(archive["code"][at], archive["constants"][at]).text, "stage": "practice",
             "score": now, "price": price, "why": "" if now is not None else "its life went non-finite"}  # fmt: skip


def _entered(psi: Params, archive: Archive) -> list[dict[str, Any]]:
    """What somebody else has put in force since, which is an entry now: told for each of its programs."""
    number = int(psi["count"])
    if not holds(archive, number) or archive["fate"][place(archive, number)] != Fate.KNOWN:
        return []
    at = place(archive, number)
    found = kept_in(archive["code"][at], archive["constants"][at])
    return [{"id": number, "parent": int(archive["parent"][at]), "move": "found in force", "path": f"rule/{kind}",
             "program": found.text_of(kind), "stage": "practice", "score": None, "price": 0, "why": ""}
            for kind, _ in found.programs]  # fmt: skip


def _with(archive: Archive, proposal: Proposal, now: float | None, step: int) -> Archive:
    """The archive after a proposal: an entry where it has lived, else an id and what is known of it."""
    if proposal.why:
        return skipped(met(archive, (proposal.text, proposal.function)))
    code, constants = proposal.formulas.stored()
    fate = Fate.DEAD if now is None else Fate.SCORED
    return append(archive, Entry(code, constants, proposal.parent, step, fate, now, proposal.text, proposal.function)
                  )[0]  # fmt: skip


def _asking(archive: Archive, number: int) -> Params:
    """psi, of an archive of which the entry of that id waits for a verdict."""
    return {**archive, "asked": torch.full_like(archive["count"], number)}


@dataclass(frozen=True)
class _Handed:
    """What proposals are a function of, known by its bytes."""

    archive: Archive
    now: Formulas
    noise: Tensor

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handed) and self._bytes == other._bytes

    @property
    def _bytes(self) -> bytes:
        digest = blake2b(repr(self.now).encode() + self.noise.cpu().numpy().tobytes(), digest_size=16)
        for name in sorted(self.archive):
            digest.update(self.archive[name].cpu().contiguous().numpy().tobytes())
        return digest.digest()


@lru_cache(maxsize=64)
def _proposed(editor: ProgramEvolution, wanted: int, handed: _Handed) -> tuple[Proposal, ...]:
    fresh = 1.0 if editor.moves == "random" else editor.fresh
    return tuple(Breeder(editor.parents, fresh, wanted).proposed(handed.archive, handed.now, handed.noise))


def _cell(archive: Archive, number: int) -> tuple[int, ...]:
    at = place(archive, number)
    found = kept_in(archive["code"][at], archive["constants"][at])
    return tuple(part for _, program in found.programs for part in cell(program))
