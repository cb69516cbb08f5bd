"""A square grid with walls around it: cells counted row by row, and where a move leads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sandbox.core.protocols import Params, Split

MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # stay, and a step in rows or columns


class Corner:
    """What tasks share on a grid of `size` · `size` cells with a coin, whose corner is top right: an example is where
    the agent stands and where the coin lies, two one-hots; in deployment, the split `test`, the coin lies elsewhere."""

    size: int

    @property
    def cells(self) -> int:
        return self.size**2

    @property
    def corner(self) -> int:
        """The number of the top right cell; cells are counted row by row."""
        return self.size - 1

    @property
    def inputs(self) -> int:
        return 2 * self.cells

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{}: there is one task."""
        return {}


def neighbours(size: int, moves: Sequence[tuple[int, int]] = MOVES) -> Tensor:
    """[cells, moves]: the cell that each move leads to from each cell; into a wall it leads nowhere."""
    cell, step = torch.arange(size * size)[:, None], torch.tensor(moves)
    row = (cell // size + step[:, 0]).clamp(0, size - 1)
    column = (cell % size + step[:, 1]).clamp(0, size - 1)
    return row * size + column
