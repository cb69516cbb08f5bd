"""The simplest editor of programs: one changed formula a step, straight to the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.protocols import Needs, Params, Seen
from sandbox.program.descent import fault
from sandbox.program.draw import Draw
from sandbox.program.formulas import checked_edits, paths, seen_in
from sandbox.program.moves import UNIFORMS, mutated, random_program

TRIES = 8  # changes that are drawn before it asks for nothing


@dataclass(frozen=True)
class Mutate:
    """A (1+1) search: what is in force with one line, operand or number changed (`program.moves`; crossover is with a
    program drawn at random). A change that changes nothing, or whose program can't teach (`program.descent`), is drawn
    again, up to eight times. It has no memory and may ask for what was rejected before.

    `edits` are rule/loss, rule/update or both; each change is to one of them.
    """

    edits: tuple[str, ...] = ("rule/loss",)

    def __post_init__(self) -> None:
        checked_edits(self.edits)

    @property
    def needs(self) -> Needs:
        leaves = paths(self.edits)
        return Needs(edits=leaves, reads=leaves, noise=TRIES * (1 + 2 * UNIFORMS), vmapped=False)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        now, tried = seen_in(seen.visible), list[dict[str, str | int | float | None]]()
        for number, row in enumerate(seen.noise.reshape(TRIES, -1).tolist()):
            which, noise, others = row[0], row[1 : 1 + UNIFORMS], row[1 + UNIFORMS :]
            kind, program = Draw([which]).choose(now.programs)
            move, after = mutated(program, random_program(program.signature, others), noise)
            found, why = now.replaced(kind, after), "it changes nothing" if after == program else fault(after)
            tried.append({"id": int(seen.step) * TRIES + number + 1, "parent": None, "move": move,
                          "path": f"rule/{kind}", "program": found.text_of(kind), "stage": "sign" if why else "gate",
                          "score": None, "price": 0, "why": why})  # fmt: skip
            if not why:
                return Edit(found.edit(seen.visible), f"{move} of {kind}", tried), psi
        return Edit(note="no change was found", tried=tried), psi
