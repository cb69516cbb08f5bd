"""Named random streams: the numbers of a stream depend on (seed, stream, t) alone.

So a new meter, a refused edit or another seed in the batch never shifts a run, and an incumbent and its candidate
see the same batches (common random numbers). Streams nest by name: `life/trial/2/0/trial/1/0`.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor


def uniform(seed: int, stream: str, t: int, shape: tuple[int, ...]) -> Tensor:
    """float64 uniforms in [0, 1), of `shape`, from a counter-based generator (Philox) keyed by the three names."""
    key = int.from_bytes(blake2b(f"{seed}/{stream}@{t}".encode(), digest_size=16).digest(), "little")
    return torch.as_tensor(np.random.Generator(np.random.Philox(key=key)).random(shape))


def uniforms(seeds: Tensor, stream: str, t: int, shape: tuple[int, ...]) -> Tensor:
    """[S, *shape]: one independent draw for each seed in `seeds` [S]."""
    return torch.stack([uniform(int(seed), stream, t, shape) for seed in seeds])


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
