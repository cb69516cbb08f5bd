"""Training batches of several inner steps drawn at once, where the task does not collect them by the policy."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.func import vmap

from sandbox.core.contract import contract
from sandbox.core.protocols import Params, World
from sandbox.engine.lane import name_of

MOST = 1 << 25  # bytes of batches that wait for their step


class _OnPolicyError(Exception):
    """The task collects its data by the policy."""


def on_policy(world: World, task: Params, noise: Tensor) -> bool:
    """Whether the data of one lane depend on what it has learned."""
    try:
        world.task.sample(task, _hidden, noise, "train")
    except _OnPolicyError:
        return True
    return False


def batches(world: World, task: Params, noise: Tensor, *, ahead: bool) -> Iterator[Params]:
    """The batch [L, ...] of each inner step of `noise` [k, L, size]; empty where it has to be drawn at its step, as all
    have unless `ahead`."""
    first = _draw(world, task, noise[:1]) if ahead else {}
    if not first:
        yield from ({} for _ in noise)
        return
    yield _at(first, 0)
    size = sum(leaf.numel() * leaf.element_size() for leaf in first.values())
    few = max(1, MOST // max(1, size))
    for start in range(1, len(noise), few):
        some = noise[start : start + few]
        drawn = _draw(world, task, some)
        yield from (_at(drawn, k) for k in range(len(some)))


def _hidden(x: Tensor) -> Tensor:
    """The policy of nobody."""
    raise _OnPolicyError


def _draw(world: World, task: Params, noise: Tensor) -> Params:
    """Batches [L, k, ...], or {} where the task asks for the policy."""

    def sample(task: Params, u: Tensor) -> Params:
        return dict(world.task.sample(task, _hidden, u, "train"))

    with contract(f"{name_of(world.task)}.sample", "a batch of the split 'train'", task, noise):
        try:
            return vmap(vmap(sample, in_dims=(None, 0)), in_dims=(0, 1))(task, noise)
        except _OnPolicyError:
            return {}


def _at(drawn: Params, k: int) -> Params:
    return {name: leaf[:, k] for name, leaf in drawn.items()}
