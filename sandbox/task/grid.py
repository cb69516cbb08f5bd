"""A square grid with walls around it: cells counted row by row, and where a move leads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # stay, and a step in rows or columns


def neighbours(size: int, moves: Sequence[tuple[int, int]] = MOVES) -> Tensor:
    """[cells, moves]: the cell that each move leads to from each cell; into a wall it leads nowhere."""
    cell, step = torch.arange(size * size)[:, None], torch.tensor(moves)
    row = (cell // size + step[:, 0]).clamp(0, size - 1)
    column = (cell % size + step[:, 1]).clamp(0, size - 1)
    return row * size + column
