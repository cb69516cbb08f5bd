"""What a proposer remembers: the programs that it has proposed, what the gate measured of them, and what it has spent.

psi = {"code" [most, 26, 4], "constants" [most, 8], "id", "parent", "verdict" [most], "scores" [most, 2] (incumbent's,
candidate's), "tried": how many proposals there were, faulty ones included, "spent" [3]: requests, tokens, seconds,
"said" [faults, bytes]: the latest faults}. A place with id 0 is empty; when all are taken the oldest makes room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.protocols import Heard, Params
from sandbox.program.language import CONSTANTS as COUNT
from sandbox.program.program import Program
from sandbox.program.tensor import SHAPE, decode

CONSTANTS = "rule/constants"
KINDS = ("rule/loss", "rule/update")  # the rows of rule/constants
UNHEARD, REJECTED, ACCEPTED, REFUSED, UNDONE = range(5)
VERDICTS = ("not judged yet", "rejected", "accepted", "refused: a life with it was not finite, or it is malformed",
            "accepted, then undone: the life after it was not finite")  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One proposal: its number, the number of the one that it changes (0: none that is known), the program, its verdict
    and mean scores of the gate's trials, None where it measured none."""

    id: int
    parent: int
    program: Program
    verdict: int
    incumbent: float | None
    candidate: float | None


def blank(most: int, faults: int, width: int) -> Params:
    """psi before the first proposal."""
    whole = {name: torch.zeros(most, dtype=torch.int64) for name in ("id", "parent", "verdict")}
    return {
        **whole,
        "code": torch.zeros(most, *SHAPE, dtype=torch.int64),
        "constants": torch.zeros(most, COUNT, dtype=torch.float64),
        "scores": torch.zeros(most, 2, dtype=torch.float64),
        "measured": torch.zeros(most, dtype=torch.bool),
        "tried": torch.zeros((), dtype=torch.int64),
        "spent": torch.zeros(3, dtype=torch.float64),
        "said": torch.zeros(faults, width, dtype=torch.uint8),
    }


def entries(psi: Params) -> list[Entry]:
    """Every proposal that is remembered, the oldest first."""
    found: list[Entry] = []
    for place in psi["id"].argsort().tolist():
        if int(psi["id"][place]):
            measured = bool(psi["measured"][place])
            scores = [float(score) if measured else None for score in psi["scores"][place]]
            found.append(Entry(int(psi["id"][place]), int(psi["parent"][place]),
                               decode(psi["code"][place], psi["constants"][place]), int(psi["verdict"][place]),
                               *scores))  # fmt: skip
    return found


def standing(visible: Mapping[str, Tensor]) -> dict[str, Program]:
    """{path: the program that stands there}, of those that may be edited."""
    return {path: decode(visible[path], visible[CONSTANTS][row]) for row, path in enumerate(KINDS) if path in visible}


def charged(psi: Params, spent: Tensor, said: Tensor) -> Params:
    """psi after a conversation: what it has cost, and its faults."""
    return {**psi, "spent": psi["spent"] + spent, "said": said, "tried": psi["tried"] + len(texts(said))}


def kept(psi: Params, code: Tensor, constants: Tensor, parent: int) -> Params:
    """psi with one more proposal, whose number is `tried` then; not judged yet."""
    number = int(psi["tried"]) + 1
    place = int(psi["id"].argmin())  # an empty one, or else the oldest
    new = {"code": code, "constants": constants, "id": number, "parent": max(parent, 0), "verdict": UNHEARD,
           "scores": 0.0, "measured": False}  # fmt: skip
    return {**psi, **{name: _put(psi[name], place, value) for name, value in new.items()}, "tried": psi["tried"] + 1}


def heard(psi: Params, told: Heard) -> Params:
    """psi after the verdict on the latest proposal."""
    place = int(psi["id"].argmax())
    scores = torch.stack([told.incumbent, told.candidate]).double()
    measured = bool(torch.isfinite(scores).all())
    verdict = ACCEPTED if bool(told.accepted) else REJECTED if measured else REFUSED
    after = {"verdict": verdict, "measured": measured, "scores": scores if measured else 0.0}
    return {**psi, **{name: _put(psi[name], place, value) for name, value in after.items()}}


def undone(psi: Params, visible: Mapping[str, Tensor]) -> Params:
    """psi knowing that the last accepted program of a kind doesn't stand any more: its life went non-finite."""
    verdicts = psi["verdict"].clone()
    for row, path in enumerate(KINDS):
        if path not in visible:
            continue
        mine = (verdicts == ACCEPTED) & (psi["code"][:, 0, 1] == visible[path][0, 1])
        if not bool(mine.any()):
            continue
        last = int((psi["id"] * mine).argmax())
        constants = visible[CONSTANTS][row]
        stands = torch.equal(psi["code"][last], visible[path]) and torch.equal(
            psi["constants"][last].to(constants.dtype), constants)  # fmt: skip
        if not stands:
            verdicts[last] = UNDONE
    return {**psi, "verdict": verdicts}


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


def _put(leaf: Tensor, place: int, value: Tensor | float | int | bool) -> Tensor:
    after = leaf.clone()
    after[place] = value.to(leaf.dtype) if isinstance(value, Tensor) else value
    return after
