"""An archive of programs as a dict of tensors, so that it is part of a meta-learner's psi: it is kept at checkpoints,
fingerprinted, and the same after a resumption. Every function is pure; reading an archive never changes it.

Of the A places, some are empty (`id` -1). An entry has an `id` that counts from 0 and is never given again; its
`parent`'s id (-1: none); `code` [A, 2, 26, 4] and `constants` [A, 2, 8] of loss and update (zeros: not edited); the
`step` at which it was tried; its `fate`; P on practice data as `score`, lower is better, where it has `lives`; what a
`gate` measured of incumbent and candidate [A, 2]; `text`, the hash of its canonical text, and `function`, that of what
it computes. `count` ids have been given, `current` is the id of what is in force, and `known` [4 A] the last hashes of
all that was ever tried, in a ring that `met` hashes have entered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

import torch
from torch import Tensor

from sandbox.core.error import SandboxError, explain
from sandbox.core.tree import Params
from sandbox.program.language import CONSTANTS
from sandbox.program.tensor import SHAPE

Archive = Params
NONE = -1


class Fate(IntEnum):
    """What became of an entry. Not yet judged is not rejected, and refused is not judged."""

    KNOWN = 0  # in force from the start
    DEAD = 1  # its life went non-finite; or it was accepted, and another entry stands again in its place
    SCORED = 2  # it has lived and was never asked for
    ASKED = 3  # asked for; the gate has not answered
    REJECTED = 4
    ACCEPTED = 5
    REFUSED = 6  # asked for, and a trial of it was not finite


BARREN = (Fate.DEAD, Fate.REFUSED)  # no parents


@dataclass(frozen=True)
class Entry:
    """What is appended."""

    code: Tensor
    constants: Tensor
    parent: int
    step: int
    fate: Fate
    score: float | None
    text: int
    function: int


def empty(capacity: int) -> Archive:
    """An archive of `capacity` empty places."""
    whole, real = torch.int64, torch.float64
    return {
        "id": torch.full((capacity,), NONE, dtype=whole),
        "parent": torch.full((capacity,), NONE, dtype=whole),
        "code": torch.zeros(capacity, 2, *SHAPE, dtype=torch.int16),
        "constants": torch.zeros(capacity, 2, CONSTANTS, dtype=real),
        "step": torch.zeros(capacity, dtype=whole),
        "fate": torch.zeros(capacity, dtype=torch.int8),
        "score": torch.zeros(capacity, dtype=real),
        "lives": torch.zeros(capacity, dtype=whole),
        "gate": torch.zeros(capacity, 2, dtype=real),
        "text": torch.zeros(capacity, dtype=whole),
        "function": torch.zeros(capacity, dtype=whole),
        "known": torch.zeros(4 * capacity, dtype=whole),
        "met": torch.zeros((), dtype=whole),
        "count": torch.zeros((), dtype=whole),
        "current": torch.full((), NONE, dtype=whole),
    }


def hashed(words: str | bytes) -> int:
    """A hash above 0 that fits int64: 0 stands for none."""
    raw = words.encode() if isinstance(words, str) else words
    return 1 + int.from_bytes(blake2b(raw, digest_size=7).digest(), "little")


# ---- reading --------------------------------------------------------------------------------------------------------


def place(archive: Archive, number: int) -> int:
    """Where the entry of that id stands; raises `SandboxError` where it is forgotten."""
    found = (archive["id"] == number).nonzero().flatten().tolist()
    if not found or number < 0:
        raise SandboxError(explain(expected="the id of an entry", got=f"{number}", do="It may be forgotten."))
    return int(found[0])


def holds(archive: Archive, number: int) -> bool:
    """Whether the entry of that id is there and not forgotten."""
    return number >= 0 and bool((archive["id"] == number).any())


def is_known(archive: Archive, key: int) -> bool:
    """Whether a hash is that of an entry that is there, or among the last that were tried."""
    there = archive["id"] >= 0
    held = any(bool((archive[name][there] == key).any()) for name in ("text", "function"))
    return key != 0 and (held or bool((archive["known"] == key).any()))


def line(archive: Archive, number: int) -> list[int]:
    """The id and its ancestors that are there, the youngest first."""
    found = list[int]()
    while holds(archive, number):
        found.append(number)
        number = int(archive["parent"][place(archive, number)])
    return found


def children(archive: Archive) -> dict[int, list[int]]:
    """{id: the ids of the entries whose parent it is}, of all that are there."""
    found: dict[int, list[int]] = {number: [] for number in sorted(archive["id"].tolist()) if number >= 0}
    for number, parent in sorted(zip(archive["id"].tolist(), archive["parent"].tolist(), strict=True)):
        if number >= 0 and parent in found:
            found[parent].append(number)
    return found


def clade(archive: Archive, number: int) -> list[int]:
    """The id and all its descendants."""
    below, found = children(archive), [number]
    for each in found:
        found += below[each]
    return found


def scored(archive: Archive) -> list[int]:
    """The ids of entries that have a score and may be parents, the best (lowest) first, of equals the oldest."""
    barren = torch.isin(archive["fate"], torch.tensor(BARREN, dtype=torch.int8, device=archive["fate"].device))
    able = (archive["id"] >= 0) & (archive["lives"] > 0) & ~barren
    rows = able.nonzero().flatten().tolist()
    return [int(archive["id"][r]) for r in sorted(rows, key=lambda r: (float(archive["score"][r]), archive["id"][r]))]


def score(archive: Archive, number: int) -> float:
    """P on practice data of the entry of that id, the mean over its lives."""
    return float(archive["score"][place(archive, number)])


def lives(archive: Archive, number: int) -> int:
    """How many lives the score of the entry of that id is the mean of."""
    return int(archive["lives"][place(archive, number)])


def unjudged(archive: Archive) -> list[int]:
    """The ids of scored entries that were never asked for, the best first."""
    return [number for number in scored(archive) if archive["fate"][place(archive, number)] == Fate.SCORED]


# ---- changing, as new archives --------------------------------------------------------------------------------------


def append(archive: Archive, entry: Entry) -> tuple[Archive, int]:
    """The archive with one more entry, and its id. A full archive forgets its oldest entry that is neither in force nor
    in its line (regularised evolution: Real et al. 2019), or the oldest of the line where there is no other."""
    number = int(archive["count"])
    at = _room(archive)
    values: dict[str, Tensor | float] = {
        "id": number, "parent": entry.parent, "code": entry.code.to(torch.int16), "step": entry.step,
        "constants": entry.constants.double(), "fate": int(entry.fate), "score": entry.score or 0.0,
        "lives": int(entry.score is not None), "gate": 0.0, "text": entry.text, "function": entry.function,
    }  # fmt: skip
    after = {name: _put(archive[name], at, value) for name, value in values.items()}
    after = {**archive, **after, "count": archive["count"] + 1}
    return met(after, (entry.text, entry.function)), number


def skipped(archive: Archive) -> Archive:
    """The archive in which one more id has been given, to a proposal that is no entry."""
    return {**archive, "count": archive["count"] + 1}


def met(archive: Archive, keys: Sequence[int]) -> Archive:
    """The archive that knows these hashes, too; the oldest are forgotten where there are too many."""
    known, count = archive["known"].clone(), int(archive["met"])
    for key in keys:
        if key and not bool((known == key).any()):
            known[count % len(known)] = key
            count += 1
    return {**archive, "known": known, "met": torch.full_like(archive["met"], count)}


def lived(archive: Archive, number: int, found: float) -> Archive:
    """The archive after one more life of an entry: its score is the mean over its lives."""
    at = place(archive, number)
    lives, old = int(archive["lives"][at]), float(archive["score"][at])
    return {**archive, "score": _put(archive["score"], at, (old * lives + found) / (lives + 1)),
            "lives": _put(archive["lives"], at, lives + 1)}  # fmt: skip


def marked(archive: Archive, number: int, fate: Fate, gate: tuple[float, float] | None = None) -> Archive:
    """The archive in which an entry has met another fate, and what a gate measured of incumbent and candidate."""
    at = place(archive, number)
    after = {**archive, "fate": _put(archive["fate"], at, int(fate))}
    if gate is not None:
        after["gate"] = _put(archive["gate"], at, torch.tensor(gate, dtype=torch.float64))
    return after


def retuned(archive: Archive, number: int, constants: Tensor, text: int, function: int) -> Archive:
    """The archive in which an entry has other numbers and the hashes of the formula that it is now. What it scored, it
    scored as another."""
    at = place(archive, number)
    new: dict[str, Tensor | float] = {"constants": constants.double(), "text": text, "function": function, "score": 0.0,
                                      "lives": 0, "fate": int(Fate.KNOWN)}  # fmt: skip
    return met({**archive, **{name: _put(archive[name], at, value) for name, value in new.items()}}, (text, function))


def in_force(archive: Archive, number: int) -> Archive:
    """The archive that knows which entry is in force."""
    return {**archive, "current": torch.full_like(archive["current"], number)}


def without(archive: Archive, number: int) -> Archive:
    """The archive without an entry; what was tried stays known."""
    return {**archive, "id": _put(archive["id"], place(archive, number), NONE)}


def _put(leaf: Tensor, at: int, value: Tensor | float) -> Tensor:
    after = leaf.clone()
    after[at] = value
    return after


def _room(archive: Archive) -> int:
    """A place for one more entry."""
    free = (archive["id"] == NONE).nonzero().flatten()
    if len(free):
        return int(free[0])
    kept = line(archive, int(archive["current"]))
    others = [number for number in sorted(archive["id"].tolist()) if number not in kept]
    return place(archive, others[0] if others else min(kept))
