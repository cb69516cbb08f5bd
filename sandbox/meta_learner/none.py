"""The null: plain training, nothing is ever edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.protocols import Needs, Params, Seen


@dataclass(frozen=True)
class Nothing:
    """Asks for no edit."""

    @property
    def needs(self) -> Needs:
        return Needs()

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        return Edit(), psi
