"""Checkpoints on the tape: a stretch of life is lived plain, and lived again on the tape when its derivative is asked.

torch.utils.checkpoint can't serve here: the inner gradient within a stretch would unpack its saved tensors, and relive
the stretch at every inner step: 200 inner steps of a 64-128-10 network, in stretches of 20, took nine times the memory
of the whole tape. This takes less than half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sandbox.core.tree import Params, Tree, flatten, refill

Trees = Mapping[str, Params]  # phi and what a stretch of life goes on from, by name
Live = Callable[[Trees, bool], dict[str, Tree]]  # where that leads, on the tape or not


def relive(live: Live, trees: Trees) -> dict[str, Any]:
    """What `live` gives off the tape, with the derivative of what it gives on the tape. It has no second derivative:
    where a level above differentiates too, `widest` drops the checkpoints."""
    given, like = flatten(trees), list[Any]()

    def run(leaves: dict[str, Tensor], taped: bool) -> dict[str, Tensor]:
        like[:] = [live(refill(trees, leaves), taped)]
        return flatten(like[0])

    ends = _Relive.apply(run, tuple(given), *given.values())
    return refill(like[0], dict(zip(flatten(like[0]), ends, strict=True)))


class _Relive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Callable[..., dict[str, Tensor]], names: tuple[str, ...], *leaves: Tensor) -> Any:
        ctx.run, ctx.names = run, names
        ctx.save_for_backward(*leaves)
        ends = run(dict(zip(names, leaves, strict=True)), False).values()
        ends = tuple(end.clone() for end in ends)  # an end may be one of the leaves
        ctx.mark_non_differentiable(*(end for end in ends if not end.is_floating_point()))
        return ends

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        wanted = ctx.needs_input_grad[2:]
        leaves = [leaf.detach().requires_grad_(need) for leaf, need in zip(ctx.saved_tensors, wanted, strict=True)]
        with torch.enable_grad():
            ends = list(ctx.run(dict(zip(ctx.names, leaves, strict=True)), True).values())
        pairs = [(end, slope) for end, slope in zip(ends, slopes, strict=True) if end.requires_grad]
        at = [leaf for leaf, need in zip(leaves, wanted, strict=True) if need]
        outputs, seeds = [end for end, _ in pairs], [slope for _, slope in pairs]
        found = iter(torch.autograd.grad(outputs, at, seeds, allow_unused=True))
        return None, None, *(next(found) if need else None for need in wanted)
