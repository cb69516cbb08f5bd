"""Random small steps, in random precisions and written so that tapes are cut at random, read right or told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sandbox.measure.error import MeasureError
from sandbox.measure.reading import read
from scripts.known_steps import merged

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
CUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "detach": lambda x: x.detach(),
    "item": lambda x: torch.tensor([value.item() for value in x], dtype=x.dtype),
    "clone": lambda x: x.data.clone(),
    "numpy": lambda x: torch.from_numpy(x.detach().double().numpy().copy()).to(x.dtype),
}


@dataclass(frozen=True, eq=False)
class Random:
    """Two leaves that move by smooth functions of each other: `cut` says how either reads the other."""

    blocks: tuple[Tensor, Tensor, Tensor, Tensor]
    rates: tuple[float, float]
    cut: tuple[str, str]
    in_place: bool
    count: Any

    def after(self, a: Tensor, b: Tensor, cut: tuple[str, str]) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(a.dtype, b.dtype)
        oo, oi, io, ii = (block.to(dtype) for block in self.blocks)
        seen_b, seen_a = CUTS[cut[0]](b).to(dtype), CUTS[cut[1]](a).to(dtype)
        one = oo @ a.to(dtype).tanh() + oi @ seen_b.sin()
        two = io @ seen_a.tanh() + ii @ b.to(dtype).cos() + 0.3 * (seen_a.sum() * b.to(dtype)).sin()
        return a + (self.rates[0] * one).to(a.dtype), b + (self.rates[1] * two).to(b.dtype)

    def step(self, s: dict[str, Any]) -> dict[str, Any] | None:
        a, b = self.after(s["a"], s["b"], self.cut)
        if self.in_place:
            with torch.no_grad():
                s["a"].copy_(a)
                s["b"].copy_(b)
            s["count"] += 1
            return None
        return {"a": a, "b": b, "count": s["count"] + 1}

    def known(self, a: Tensor, b: Tensor) -> float:
        def formula(z: Tensor) -> Tensor:
            return torch.cat(self.after(z[: len(a)], z[len(a) :], ("none", "none")))

        z = torch.cat([a.double(), b.double()])
        jacobian = torch.autograd.functional.jacobian(formula, z)
        return merged(jacobian - torch.eye(len(z)), len(a))  # type: ignore[operator]


def system(seed: int) -> tuple[Random, dict[str, Any]]:
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator).bfloat16().double()  # noqa: E731
    outer, inner = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    sizes = ((outer, outer), (outer, inner), (inner, outer), (inner, inner))
    there = (rng.random() < 0.8, rng.random() < 0.8, True, rng.random() < 0.8)
    blocks = tuple(draw(*size) * float(keep) for size, keep in zip(sizes, there, strict=True))
    cut = (str(rng.choice(list(CUTS))), str(rng.choice(list(CUTS))))
    rates = tuple(float(10 ** rng.uniform(-4, 2)) for _ in range(2))
    count = rng.choice([0, 1])
    made = Random(blocks, rates, cut, bool(rng.random() < 0.3), count)  # type: ignore[arg-type]
    one, two = (DTYPES[int(rng.integers(3))] for _ in range(2))
    scale = float(10 ** rng.uniform(-2, 1))
    state = {"a": (scale * draw(outer)).to(one), "b": draw(inner).to(two)}
    return made, state | {"count": torch.tensor(5.0) if count else 5}


def judged(seed: int) -> bool:
    """Whether the reading is a number; raises where it is a wrong one."""
    made, state = system(seed)
    floating = isinstance(state["count"], Tensor)
    try:
        found = read(made.step, state, outer=("a", "count"), partitions=2, cut_steps=2, seed=seed)
    except MeasureError:
        return False
    if found.blind or "can't tell" in found.note:
        return False
    known = made.known(state["a"], state["b"])
    assert found.jacobian is not None
    if floating:  # a counter that only counts has no row or column in K
        k, at = found.jacobian - np.eye(found.n), found.n - 1
        assert not np.any([k[at], k[:, at]]), (seed, k[at], k[:, at])
    assert abs(float(found.coupling.m) - known) <= float(found.coupling.error) + 1e-12, (seed, made.cut, made.rates)
    return float(found.coupling.error) < 0.05


def test_random_steps_are_read_within_their_printed_errors_and_nearly_all_are_read() -> None:
    assert sum(judged(seed) for seed in range(20)) >= 18


@pytest.mark.slow
def test_most_of_two_hundred_are_read() -> None:
    read_right = [judged(seed) for seed in range(1000, 1200)]
    assert np.mean(read_right) > 0.9
