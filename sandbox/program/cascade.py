"""The cheap stages that a proposed program passes before a life is spent on it, cheapest first.

language: nothing changed, or no valid program came of it. canonical: its canonical text was tried before. fingerprint:
what it computes on fixed probes was, or is not finite. sign: it can't teach (`program.descent`). Then it has to live:
practice, and gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from sandbox.program.archive import Archive, is_known, place
from sandbox.program.descent import fault
from sandbox.program.draw import Draw
from sandbox.program.formulas import Formulas, kept_in
from sandbox.program.moves import UNIFORMS, mutated, random_program
from sandbox.program.selection import Parents, parents

CHOICES = 4  # uniforms beside those of the move: parent, other parent, whether it is random, which program
EACH = UNIFORMS + CHOICES  # uniforms of a proposal


@dataclass(frozen=True)
class Proposal:
    """A proposed change of the program of one `kind`: the move that made it of the entry `parent`, the dearest `stage`
    that it has reached, and `why` it went no further; nothing where it is to live."""

    formulas: Formulas
    parent: int
    move: str
    stage: str = "practice"
    why: str = ""
    text: int = 0
    function: int = 0
    kind: str = ""


@dataclass(frozen=True)
class Breeder:
    """Draws proposals from an archive until `wanted` of them are to live or the noise is spent. A share `fresh` of them
    is a random program, whose parent is only who it is compared with."""

    parents: Parents
    fresh: float
    wanted: int

    def proposed(self, archive: Archive, now: Formulas, noise: Tensor) -> list[Proposal]:
        """In order, from uniforms [proposals · EACH], where `now` is in force."""
        screen, found, rows = Screen(archive), list[Proposal](), noise.reshape(-1, EACH).tolist()
        standing = [int(archive["current"])] * len(rows)
        families = zip(*(parents(archive, self.parents, [row[k] for row in rows]) or standing for k in (0, 1)),
                       strict=True)  # fmt: skip
        for row, family in zip(rows, families, strict=True):
            found.append(screen.passed(self._one(archive, now, family, row[2:])))
            if sum(not each.why for each in found) == self.wanted:
                break
        return found

    def _one(self, archive: Archive, now: Formulas, family: tuple[int, int], uniforms: Sequence[float]) -> Proposal:
        random, which, *noise = uniforms
        parent, partner = (formulas_of(archive, number, now) for number in family)
        kind, program = Draw([which]).choose(parent.programs)
        if random < self.fresh:
            found = parent.replaced(kind, random_program(program.signature, noise))
            return Proposal(found, family[0], "random", kind=kind)
        move, after = mutated(program, partner.by_kind[kind], noise)
        why = "it changes nothing" if after == program else ""
        stage = "language" if why else "practice"
        return Proposal(parent.replaced(kind, after), family[0], move, stage, why, kind=kind)


def formulas_of(archive: Archive, number: int, now: Formulas) -> Formulas:
    """The programs of an entry; `now` for what is not there."""
    if number < 0:
        return now
    at = place(archive, number)
    return kept_in(archive["code"][at], archive["constants"][at])


@dataclass
class Screen:
    """The stages, with what this batch has met already."""

    archive: Archive
    met: set[int] = field(default_factory=set[int])

    def passed(self, proposal: Proposal) -> Proposal:
        """The proposal with the dearest stage that it reaches, its hashes, and why it ends there."""
        if proposal.why:
            return proposal
        text = proposal.formulas.text_key
        if self._known(text):
            return _ended(proposal, "canonical", "its canonical form was tried before")
        function = proposal.formulas.function_key
        self.met.add(text)
        if function is None:
            return _ended(proposal, "fingerprint", proposal.formulas.functionless, text)
        if self._known(function):
            return _ended(proposal, "fingerprint", "it computes what was tried before", text)
        self.met.add(function)
        faults = [f"{kind}: {why}" for kind, program in proposal.formulas.programs if (why := fault(program))]
        if faults:
            return _ended(proposal, "sign", "; ".join(faults), text, function)
        return _ended(proposal, "practice", "", text, function)

    def _known(self, key: int) -> bool:
        return key in self.met or is_known(self.archive, key)


def _ended(proposal: Proposal, stage: str, why: str, text: int = 0, function: int = 0) -> Proposal:
    return replace(proposal, stage=stage, why=why, text=text, function=function)
