"""A function of one row as a function of all rows: in one batched call, or row after row in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sandbox.core.tree import Tree, flatten, refill, tree_map

Over = Callable[[Callable[..., Any]], Callable[..., Any]]


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `torch.func.vmap` does, row after row. Trees or tuples of trees come out; gradients of rows are put together
    once and not row by row."""

    def over(*trees: Tree) -> Any:
        flat = [flatten(tree) for tree in trees]
        rows = next(len(leaf) for tree in flat for leaf in tree.values())
        apart = [{path: leaf.unbind() for path, leaf in tree.items()} for tree in flat]
        each = [function(*(refill(tree, {path: leaf[row] for path, leaf in leaves.items()})
                           for tree, leaves in zip(trees, apart, strict=True))) for row in range(rows)]  # fmt: skip
        return piled(each)

    return over


def piled(each: Sequence[Any]) -> Any:
    """One row from each of trees of one structure, or of tuples of them."""
    if isinstance(each[0], tuple):
        return tuple(piled(some) for some in zip(*each, strict=True))
    return tree_map(lambda *leaves: torch.stack(leaves), *each)


def joined(parts: Sequence[Any], order: Tensor) -> Any:
    """Tensors, trees of them or tuples of trees, put together and brought into order along the first axis."""
    if isinstance(parts[0], tuple):
        return tuple(joined(some, order) for some in zip(*parts, strict=True))
    return tree_map(lambda *leaves: torch.cat(leaves)[order], *parts)
