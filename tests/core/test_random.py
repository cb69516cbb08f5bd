"""Streams are a function of their names; what runs inside `untouched` leaves no mark."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from sandbox.core.random import index, normal, uniform, uniforms, untouched

seeds = st.integers(0, 2**40)
streams = st.sampled_from(["life", "life/trial/2/0", "life/trial/2/0/trial/1/0", "draw", "2/life", "life@1"])
times = st.integers(0, 2**40)


@given(seeds, streams, times)
def test_a_stream_is_a_function_of_its_names(seed: int, stream: str, t: int) -> None:
    first = uniform(seed, stream, t, (3, 2))
    draw_from_every_global_generator()
    assert torch.equal(uniform(seed, stream, t, (3, 2)), first)
    assert first.dtype == torch.float64
    assert first.shape == (3, 2)
    assert bool(((first >= 0) & (first < 1)).all())


@given(st.tuples(seeds, streams, times), st.tuples(seeds, streams, times))
def test_names_that_differ_anywhere_give_different_numbers(a: tuple[int, str, int], b: tuple[int, str, int]) -> None:
    assume(a != b)
    assert not (uniform(*a, (4,)) == uniform(*b, (4,))).any()


@pytest.mark.parametrize("other", [(1, "life", 0), (0, "draw", 0), (0, "life", 1)], ids=["seed", "stream", "t"])
def test_each_name_matters(other: tuple[int, str, int]) -> None:
    one, two = uniform(0, "life", 0, (2000,)), uniform(*other, (2000,))
    assert abs(float(torch.corrcoef(torch.stack([one, two]))[0, 1])) < 0.07  # three standard errors


@given(st.lists(seeds, min_size=1, max_size=5), streams, times)
def test_a_seed_draws_the_same_in_any_batch(batch: list[int], stream: str, t: int) -> None:
    drawn = uniforms(torch.tensor(batch), stream, t, (2, 3))
    assert drawn.shape == (len(batch), 2, 3)
    for seed, row in zip(batch, drawn, strict=True):
        assert torch.equal(row, uniform(seed, stream, t, (2, 3)))


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 1000))
def test_index_is_the_floor(u: float, n: int) -> None:
    assert int(index(torch.tensor(u, dtype=torch.float64), n)) == min(int(u * n), n - 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_index_stays_inside_when_a_uniform_rounds_up_to_one(dtype: torch.dtype) -> None:
    u = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64).to(dtype)
    assert (float(u[1]) == 1) is (dtype == torch.float32)
    assert index(u, 10).tolist() == [0, 9]


def test_normal_is_the_quantile_function_and_finite_at_its_ends() -> None:
    u = torch.tensor([0.025, 0.5, 0.975], dtype=torch.float64)
    torch.testing.assert_close(normal(u), torch.tensor([-1.959963984540054, 0, 1.959963984540054], dtype=torch.float64))
    ends = normal(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert bool(torch.isfinite(ends).all())
    assert float(ends[0]) < -7
    assert float(ends[1]) > 7


def mark() -> tuple[object, ...]:
    """Everything global that code could have touched, drawing from no generator."""
    return (
        random.getstate(),
        str(np.random.get_state()),
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
    )


def draw_from_every_global_generator() -> None:
    random.random()
    np.random.random()
    torch.rand(1)


def vandalise() -> None:
    draw_from_every_global_generator()
    torch.set_grad_enabled(not torch.is_grad_enabled())
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True)


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_what_runs_untouched_leaves_no_mark(fails: bool) -> None:
    before = mark()
    try:
        with untouched():
            vandalise()
            inside = mark()
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert all(a != b for a, b in zip(before, inside, strict=True))
    assert mark() == before
