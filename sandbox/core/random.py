"""Named random streams: the numbers of a stream depend on (seed, stream, t) alone.

So a new meter, a refused edit or another seed in the batch never shifts a run, and an incumbent and its candidate
see the same batches (common random numbers). Streams nest by name: `life/trial/2/0/trial/1/0`.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def uniform(seed: int, stream: str, t: int, shape: tuple[int, ...]) -> Tensor:
    """float64 uniforms in [0, 1), of `shape`, from a counter-based generator (Philox: Salmon et al. 2011) keyed by the
    three names."""
    found = np.empty(shape)
    _Philox().fill(found, f"{seed}/{stream}@{t}")
    return torch.from_numpy(found)  # pyright: ignore[reportUnknownMemberType]


def uniforms(seeds: Tensor, stream: str, t: int, shape: tuple[int, ...]) -> Tensor:
    """[S, *shape]: one independent draw for each seed in `seeds` [S]; equal seeds draw alike."""
    return block(seeds, stream, t, 1, shape)[0]


def block(seeds: Tensor, stream: str, t: int, steps: int, shape: tuple[int, ...]) -> Tensor:
    """[steps, S, *shape]: what `uniforms` draws at t, t + 1, …"""
    numbers = cast("list[int]", seeds.tolist())  # pyright: ignore[reportUnknownMemberType]
    distinct = list(dict.fromkeys(numbers))
    found, philox = np.empty((steps, len(distinct), *shape)), _Philox()
    for k in range(steps):
        for row, seed in enumerate(distinct):
            philox.fill(found[k, row], f"{seed}/{stream}@{t + k}")
    drawn = torch.from_numpy(found)  # pyright: ignore[reportUnknownMemberType]
    return drawn if len(distinct) == len(numbers) else drawn[:, [distinct.index(number) for number in numbers]]


class _Philox:
    """One generator that is keyed anew for each name: making a new one takes four times as long."""

    def __init__(self) -> None:
        self.bits = np.random.Philox(key=0)
        self.generator = np.random.Generator(self.bits)
        self.state: dict[str, Any] = dict(self.bits.state)

    def fill(self, into: NDArray[np.float64], name: str) -> None:
        key = int.from_bytes(blake2b(name.encode(), digest_size=16).digest(), "little")
        self.state["state"]["key"][:] = key & (1 << 64) - 1, key >> 64
        self.state["state"]["counter"][:] = 0
        self.state["buffer_pos"] = 4  # empty
        self.bits.state = self.state  # pyright: ignore[reportAttributeAccessIssue]
        self.generator.random(out=into)


def index(u: Tensor, n: int) -> Tensor:
    """Uniform integers in 0 … n-1 from uniforms; a value rounded up to 1 stays inside."""
    return (u * n).long().clamp(max=n - 1)


def normal(u: Tensor) -> Tensor:
    """Standard normals from uniforms by the inverse distribution function."""
    return torch.special.ndtri(u.clamp(1e-12, 1 - 1e-12))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@contextmanager
def untouched() -> Generator[None]:
    """Code inside can't leave its mark on global generators, grad mode, default dtype or thread count."""
    python, numpy, torch_cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    grad, dtype, threads = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torch_cpu)
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def generators() -> tuple[object, ...]:
    """Where the global generators stand."""
    numpy = np.random.get_state(legacy=False)["state"]
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), numpy["key"].tobytes(), numpy["pos"]
