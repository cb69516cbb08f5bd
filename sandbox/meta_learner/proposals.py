"""What a proposer remembers: an archive of programs (`program.archive`), what waits for a verdict, and what is spent.

psi = the archive, "asked" (the id that waits, -1: none), "spent" [3] (requests, tokens, seconds) and "said" [faults,
bytes], what was wrong with the latest answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Params
from sandbox.program.archive import Archive, Entry, Fate, append, empty, skipped
from sandbox.program.force import current, with_current
from sandbox.program.formulas import Formulas, kept_in

OURS = ("asked", "spent", "said")
FATES = {
    Fate.KNOWN: "stood before", Fate.SCORED: "lived on practice",
    Fate.DEAD: "accepted, then undone: the life with it was not finite, or others put back what stood before",
    Fate.ASKED: "not judged yet", Fate.REJECTED: "rejected", Fate.ACCEPTED: "accepted",
    Fate.REFUSED: "refused: a life with it was not finite, or it is malformed",
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """A program that was proposed, or stood: its `id`, that of the program it is a change of (-1: none), what became of
    it, and the mean scores of the gate's trials, None where it measured none."""

    id: int
    parent: int
    formulas: Formulas
    fate: Fate
    incumbent: float | None = None
    candidate: float | None = None


def begun(most: int, faults: int, width: int, now: Formulas) -> Params:
    """psi before the first proposal."""
    spent, said = torch.zeros(3, dtype=torch.float64), torch.zeros(faults, width, dtype=torch.uint8)
    return {**with_current(empty(most), now, 0), "asked": torch.tensor(-1), "spent": spent, "said": said}


def archive_of(psi: Params, now: Formulas, step: int) -> Archive:
    """The archive in psi, which knows what is in force."""
    return current({name: leaf for name, leaf in psi.items() if name not in OURS}, now, step, int(psi["asked"]))


def known(archive: Archive) -> list[Known]:
    """Every program that is remembered, the oldest first."""
    found: list[Known] = []
    for at in archive["id"].argsort().tolist():
        number, fate = int(archive["id"][at]), Fate(int(archive["fate"][at]))
        if number >= 0:
            scores = archive["gate"][at].tolist() if bool(archive["gate"][at].any()) else (None, None)
            found.append(Known(number, int(archive["parent"][at]),
                               kept_in(archive["code"][at], archive["constants"][at]), fate, *scores))  # fmt: skip
    return found


def charged(psi: Params, archive: Archive, answer: Mapping[str, Tensor]) -> Params:
    """psi after a conversation: what it has cost, and what was wrong with answers, each of which takes an id."""
    for _ in texts(answer["said"]):
        archive = skipped(archive)
    return {**archive, "asked": torch.tensor(-1), "spent": psi["spent"] + answer["spent"], "said": answer["said"]}


def asked(psi: Params, proposed: Formulas, parent: int, step: int) -> Params:
    """psi with one more entry, which waits for its verdict."""
    code, constants = proposed.stored()
    entry = Entry(code, constants, parent, step, Fate.ASKED, None, proposed.text_key, proposed.function_key or 0)
    after, number = append({name: leaf for name, leaf in psi.items() if name not in OURS}, entry)
    return {**psi, **after, "asked": torch.tensor(number)}


def texts(said: Tensor) -> list[str]:
    """The texts in rows of bytes, without empty rows."""
    return [bytes(row.tolist()).rstrip(b"\0").decode(errors="ignore") for row in said if bool(row.any())]


def as_bytes(said: Sequence[str], rows: int, width: int) -> Tensor:
    """Texts as rows of bytes, cut off where they are too long."""
    found = torch.zeros(rows, width, dtype=torch.uint8)
    for row, text in zip(found, said, strict=False):
        cut = text.encode()[:width].decode(errors="ignore").encode()
        row[: len(cut)] = torch.tensor(list(cut), dtype=torch.uint8)
    return found
