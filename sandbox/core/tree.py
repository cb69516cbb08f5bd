"""Nested dicts of tensors, addressed by paths such as `rule/lr`; pure functions, nothing is written in place.

Letters used throughout the house: S seeds, N tasks a seed, L = S * N lanes (lane = seed * N + task), K inner steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

Tree: TypeAlias = Tensor | Mapping[str, "Tree"]
Params: TypeAlias = dict[str, Tensor]  # the trees that an author writes: one level of named tensors
T = TypeVar("T", bound=Tree)


def flatten(tree: Tree, prefix: str = "") -> dict[str, Tensor]:
    """Every leaf under its path, in sorted order of paths."""
    if isinstance(tree, Tensor):
        return {prefix: tree}
    found: dict[str, Tensor] = {}
    for name in sorted(tree):
        found |= flatten(tree[name], f"{prefix}/{name}" if prefix else name)
    return found


def refill(like: T, leaves: Mapping[str, Tensor], prefix: str = "") -> T:
    """A tree of `like`'s structure (empty branches included) with its leaves taken by path from `leaves`."""
    if isinstance(like, Tensor):
        return cast(T, leaves[prefix])
    within = {name: refill(child, leaves, f"{prefix}/{name}" if prefix else name) for name, child in like.items()}
    return cast(T, within)


def tree_map(function: Callable[..., Tensor], tree: T, *others: T) -> T:
    """`function` at every leaf of trees of one structure."""
    if isinstance(tree, Tensor):
        return cast(T, function(tree, *others))
    rest = cast("tuple[Mapping[str, Any], ...]", others)
    return cast(T, {name: tree_map(function, child, *(other[name] for other in rest)) for name, child in tree.items()})


def to_lanes(tree: T, tasks: int) -> T:
    """One row a seed [S, ...] to one row a lane [L, ...]; differentiable."""

    def repeat(leaf: Tensor) -> Tensor:
        return leaf.repeat_interleave(tasks, dim=0)

    return tree_map(repeat, tree) if tasks > 1 else tree


def by_seed(rows: Tensor, tasks: int) -> Tensor:
    """[L, ...] to [S, N, ...]."""
    return rows.reshape(rows.shape[0] // tasks, tasks, *rows.shape[1:])


def choose(mask: Tensor, yes: T, no: T) -> T:
    """Row by row `yes` where `mask` [rows] holds, else `no`: bitwise, and differentiable in both."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        if a is b:
            return a
        return torch.where(mask.to(a.device).reshape(-1, *[1] * (a.dim() - 1)), a, b)

    return tree_map(pick, yes, no)


def finite_rows(tree: Tree, rows: int) -> Tensor:
    """[rows] bool, on the CPU: rows in which every floating leaf is finite."""
    good = torch.ones(rows, dtype=torch.bool)
    for leaf in flatten(tree).values():
        if leaf.is_floating_point():
            good &= torch.isfinite(leaf.detach()).reshape(rows, leaf.numel() // rows).all(dim=1).to(good.device)
    return good


def stack(trees: Sequence[T]) -> T:
    """One row from each of `trees`."""

    def pile(*leaves: Tensor) -> Tensor:
        return torch.stack(leaves)

    return tree_map(pile, *trees)


def to_rows(tree: T, rows: int, device: str = "cpu") -> T:
    """The same tree in each of `rows` rows, on `device`."""

    def repeat(leaf: Tensor) -> Tensor:
        return leaf.detach().to(device).expand(rows, *leaf.shape).clone()

    return tree_map(repeat, tree)
