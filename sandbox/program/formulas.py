"""The programs of one phi that may be edited, between phi's tensors, an archive's and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.program.archive import hashed
from sandbox.program.canonical import canonical
from sandbox.program.fingerprint import fault, fingerprint
from sandbox.program.language import CONSTANTS
from sandbox.program.program import Program
from sandbox.program.tensor import SHAPE, decode, encode
from sandbox.program.text import write

KINDS = ("loss", "update")  # the leaves of phi, and the rows of its constants
EDITABLE = ("rule/loss", "rule/update")
NUMBERS = "rule/constants"


@dataclass(frozen=True)
class Formulas:
    """{"loss" or "update": program}, those of them that may be edited."""

    programs: tuple[tuple[str, Program], ...]

    @property
    def by_kind(self) -> dict[str, Program]:
        return dict(self.programs)

    def replaced(self, kind: str, program: Program) -> Formulas:
        """The same with another program of one kind."""
        return Formulas(tuple((name, program if name == kind else old) for name, old in self.programs))

    @property
    def text(self) -> str:
        """The canonical texts, one after the other."""
        return "\n".join(self.text_of(kind) for kind, _ in self.programs)

    def text_of(self, kind: str) -> str:
        """The canonical text of the program of one kind."""
        return write(canonical(self.by_kind[kind]))

    @property
    def text_key(self) -> int:
        """The hash of the canonical texts."""
        return hashed(self.text)

    @property
    def function_key(self) -> int | None:
        """The hash of what they compute on fixed probes; None where one of them has no fingerprint."""
        found = [fingerprint(program) for _, program in self.programs]
        return None if None in found else hashed(" ".join(each.key for each in found if each))

    @property
    def functionless(self) -> str:
        """Why there is no `function_key`; empty where there is one."""
        return next((f"{kind}: {why}" for kind, program in self.programs if (why := fault(program))), "")

    @property
    def length(self) -> int:
        """Instructions in all."""
        return sum(len(program.code) for _, program in self.programs)

    def edit(self, visible: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{path: value} that puts these in force, where `visible` is what stands there."""
        numbers, found = visible[NUMBERS].clone(), dict[str, Tensor]()
        for kind, program in self.programs:
            code, numbers[KINDS.index(kind)] = encode(program, numbers.dtype)
            found[f"rule/{kind}"] = code.to(numbers.device)
        return {**found, NUMBERS: numbers}

    def stored(self) -> tuple[Tensor, Tensor]:
        """`code` [2, 26, 4] and `constants` [2, 8] as an archive keeps them; zeros for what may not be edited."""
        code, constants = torch.zeros(2, *SHAPE, dtype=torch.int64), torch.zeros(2, CONSTANTS, dtype=torch.float64)
        for kind, program in self.programs:
            code[KINDS.index(kind)], constants[KINDS.index(kind)] = encode(program)
        return code, constants


def seen_in(visible: Mapping[str, Tensor]) -> Formulas:
    """What stands at the paths that are visible."""
    return Formulas(tuple((kind, decode(visible[f"rule/{kind}"], visible[NUMBERS][place]))
                          for place, kind in enumerate(KINDS) if f"rule/{kind}" in visible))  # fmt: skip


def kept_in(code: Tensor, constants: Tensor) -> Formulas:
    """What `stored` has made."""
    return Formulas(tuple((kind, decode(code[place].long(), constants[place]))
                          for place, kind in enumerate(KINDS) if bool(code[place].any())))  # fmt: skip


def checked_edits(edits: Sequence[str]) -> None:
    """Raises `ConfigError` where a meta-learner's `edits` are not programs that may be edited."""
    wrong = [path for path in edits if path not in EDITABLE]
    if wrong or not edits:
        raise ConfigError(explain(expected=f"meta_learner.edits among {list(EDITABLE)}", got=f"{list(edits)}",
                                  do=did_you_mean(wrong[0] if wrong else "", EDITABLE)))  # fmt: skip


def paths(edits: Sequence[str]) -> tuple[str, ...]:
    """All leaves that an editor of these programs sets."""
    return (*edits, NUMBERS)
