"""Evolution of programs: formulas are varied, screened, lived on practice data, and the best is left to the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b
from math import isfinite
from typing import Any, Literal

import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.core.protocols import Heard, Needs, Params, Seen
from sandbox.program.archive import (
    Archive,
    Entry,
    Fate,
    append,
    empty,
    in_force,
    lived,
    marked,
    met,
    place,
    score,
    skipped,
    unjudged,
)
from sandbox.program.cascade import EACH, Proposal, Proposer, formulas_of
from sandbox.program.descent import cell
from sandbox.program.force import current, with_current
from sandbox.program.formulas import Formulas, kept_in, paths, seen_in
from sandbox.program.selection import CHOICES, Parents, Retention, retained

EDITABLE = ("rule/loss", "rule/update")
HOW_TO_STAY = ("all", "better", "cells")


@dataclass(frozen=True)
class ProgramEvolution:
    """Regularised evolution of programs (Real et al. 2019) through a cascade from cheap to dear.

    At each reflective step up to `proposals` changes are drawn, moves of parents from the archive (or `moves` random:
    programs drawn anew, the control), and screened without a life (`program.cascade`). The first `population` - 1 that
    pass live a horizon beside what is in force, all on one stream, and are scored by P on practice data. Of all in the
    archive that were never judged, the best is asked for, if it scores better than what is in force; the gate decides
    on other streams. What was judged is never asked for again, and what was tried is never tried again, as long as its
    hash is among the last 4 · `capacity` that were met. `edits` are rule/loss, rule/update or both; each change is to
    one of them. A share `fresh` of the proposals is a random program.

    psi is the archive (`program.archive`) and "asked", the id that waits for a verdict.
    """

    edits: tuple[str, ...] = ("rule/loss",)
    population: int = 16
    proposals: int = 64
    moves: Literal["mutate", "random"] = "mutate"
    fresh: float = 0.1
    parents: Parents = "score_child"
    retention: Retention = "all"
    capacity: int = 256

    def __post_init__(self) -> None:
        wrong = [path for path in self.edits if path not in EDITABLE]
        if wrong or not self.edits:
            raise ConfigError(explain(expected=f"meta_learner.edits among {list(EDITABLE)}", got=f"{list(self.edits)}",
                                      do=did_you_mean(wrong[0] if wrong else "", EDITABLE)))  # fmt: skip
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
        if not 0 <= self.fresh <= 1:
            raise ConfigError(explain(expected="meta_learner.fresh in [0, 1]", got=f"{self.fresh}",
                                      do="Leave it out: .1."))  # fmt: skip

    @property
    def needs(self) -> Needs:
        leaves = paths(self.edits)
        return Needs(edits=leaves, reads=leaves, noise=self.proposals * EACH, population=self.population,
                     vmapped=False)  # fmt: skip

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        archive = with_current(empty(self.capacity), seen_in(edited), 0)
        return {**archive, "asked": torch.full((), -1, dtype=torch.int64)}

    def vary(self, psi: Params, seen: Seen) -> Mapping[str, Tensor]:
        """{path: [population, ...]}: what is in force, and behind it who is to live; where too few are, it again."""
        living = [each.formulas for each in self._proposals(psi, seen) if not each.why]
        now = seen_in(seen.visible)
        crowd = [now, *living, *[now] * (self.population - 1 - len(living))]
        rows = [formulas.edit(seen.visible) for formulas in crowd]
        return {path: torch.stack([row[path] for row in rows]) for path in rows[0]}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        """The best that was never judged, if it scores better than what is in force on the same stream."""
        proposals, now = self._proposals(psi, seen), seen_in(seen.visible)
        archive, tried = self._lived(_current(psi, now, int(seen.step)), proposals, seen)
        standing = float(seen.scores[0])
        archive = retained(archive, self.retention, partial(_cell, archive))
        ahead = [number for number in unjudged(archive) if score(archive, number) < standing]
        if not ahead:
            return Edit(note="nothing better on practice", tried=tried), {**archive, "asked": psi["asked"] * 0 - 1}
        chosen = ahead[0]
        found = formulas_of(archive, chosen, now)
        archive = marked(archive, chosen, Fate.ASKED)
        tried = _asked(tried, archive, chosen, found)
        note = f"program {chosen}, P {score(archive, chosen):.3g} on practice against {standing:.3g}"
        return Edit(found.edit(seen.visible), note, tried), {**archive, "asked": psi["asked"] * 0 + chosen}

    def tell(self, psi: Params, heard: Heard) -> Params:
        """The archive with the verdict, and with what the gate has measured where it has."""
        asked = int(psi["asked"])
        if asked < 0:
            return psi
        measured = (float(heard.incumbent), float(heard.candidate))
        known = all(map(isfinite, measured))
        taken = bool(heard.accepted > 0)
        fate = Fate.ACCEPTED if taken else Fate.REJECTED if known else Fate.REFUSED
        archive = marked(psi, asked, fate, measured if known else None)
        archive = in_force(archive, asked) if taken else archive
        return {**archive, "asked": psi["asked"] * 0 - 1}

    def _proposals(self, psi: Params, seen: Seen) -> tuple[Proposal, ...]:
        """What is proposed at this step: a function of psi, noise and what is in force, computed once."""
        now = seen_in(seen.visible)
        return _proposed(self, _Handed(_current(psi, now, int(seen.step)), now, seen.noise))

    def _lived(self, archive: Archive, proposals: tuple[Proposal, ...], seen: Seen) -> tuple[Archive, list[Any]]:
        """The archive with what has lived and what was met, and all that was tried, for the lineage."""
        scores, alive, tried, lives = seen.scores.tolist(), seen.alive.tolist(), list[Any](), 0
        if alive[0]:
            archive = lived(archive, int(archive["current"]), scores[0])
        for each in proposals:
            found, fate, why, number = None, Fate.DEAD, each.why, int(archive["count"])
            if each.why:
                archive = skipped(met(archive, (each.text, each.function)))
            else:
                lives += 1
                found = scores[lives] if alive[lives] else None
                fate = Fate.DEAD if found is None else Fate.SCORED
                why = "its life went non-finite" if found is None else ""
                code, constants = each.formulas.stored()
                archive, _ = append(archive, Entry(code, constants, each.parent, int(seen.step), fate, found,
                                                   each.text, each.function))  # fmt: skip
            tried.append({"id": number, "parent": each.parent, "move": each.move, "program": each.formulas.text,
                          "stage": each.stage, "score": found, "price": 0 if each.why else len(seen.own),
                          "why": why})  # fmt: skip
        return archive, tried


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
        digest = blake2b(repr(self.now).encode() + self.noise.numpy().tobytes(), digest_size=16)
        for name in sorted(self.archive):
            digest.update(self.archive[name].contiguous().numpy().tobytes())
        return digest.digest()


@lru_cache(maxsize=64)
def _proposed(editor: ProgramEvolution, handed: _Handed) -> tuple[Proposal, ...]:
    fresh = 1.0 if editor.moves == "random" else editor.fresh
    proposer = Proposer(editor.parents, fresh, editor.population - 1)
    return tuple(proposer.proposed(handed.archive, handed.now, handed.noise))


def _current(psi: Params, now: Formulas, step: int) -> Archive:
    """The archive of psi, in which what is in force is an entry."""
    return current({name: leaf for name, leaf in psi.items() if name != "asked"}, now, step, int(psi["asked"]))


def _cell(archive: Archive, number: int) -> tuple[int, ...]:
    at = place(archive, number)
    found = kept_in(archive["code"][at], archive["constants"][at])
    return tuple(part for _, program in found.programs for part in cell(program))


def _asked(tried: list[Any], archive: Archive, chosen: int, found: Formulas) -> list[Any]:
    """What was tried, with the one that goes on to the gate; it may be of an earlier step."""
    if all(each["id"] != chosen for each in tried):
        at = place(archive, chosen)
        tried = [*tried, {"id": chosen, "parent": int(archive["parent"][at]), "move": "kept", "program": found.text,
                          "stage": "gate", "score": score(archive, chosen), "price": 0, "why": ""}]  # fmt: skip
    return [{**each, "stage": "gate"} if each["id"] == chosen else each for each in tried]
