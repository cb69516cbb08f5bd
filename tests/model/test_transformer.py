"""The transformer: it sees no future, refuses what are no tokens, and its second derivatives are right."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Engine, World
from sandbox.core.state import leaves, put
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.loop.reflect import Loop
from sandbox.model.module import Module
from sandbox.model.transformer import Transformer
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.task.text import Text

SMALL = partial(Transformer, (6,), 9, layers=2, heads=2, width=8, dtype="float64")
TASK = Text(vocabulary=9, length=6, batch=3, train=60, practice=25, gate=25, test=25, audit=25, rates=(0.3,),
            dtype="float64")  # fmt: skip
WORLD = World(TASK, Module(SMALL), SelfDistillation(lr=0.5, trust=0.3, q=0.4))
ENGINES = [Functional(), Higher()]


def tokens(n: int = 4, length: int = 6) -> Tensor:
    return torch.randint(9, (n, length), generator=torch.Generator().manual_seed(0))


def test_a_prediction_knows_nothing_of_what_comes_after_it() -> None:
    network, x = SMALL(), tokens()
    for place in range(1, 6):
        other = x.clone()
        other[:, place:] = (other[:, place:] + 1) % 9
        before, after = network(x), network(other)
        torch.testing.assert_close(before[:, :place], after[:, :place], rtol=0, atol=0)
        assert not torch.allclose(before[:, place:], after[:, place:])


def test_a_shorter_context_predicts_as_the_beginning_of_a_longer_one() -> None:
    network, x = SMALL(), tokens()
    torch.testing.assert_close(network(x)[:, :4], network(x[:, :4]))


def test_attention_by_hand() -> None:
    """Where no key answers, every place takes the mean of the values up to its own."""
    block = SMALL().blocks[0]
    h = torch.randn(2, 6, 8, dtype=torch.float64)
    with torch.no_grad():
        block.query_key_value.weight[:16] = 0
    value = h @ block.query_key_value.weight[16:].T
    mean = value.cumsum(dim=1) / torch.arange(1, 7)[:, None]
    torch.testing.assert_close(block.attend(h), mean)


def test_it_has_the_weights_that_its_sizes_say() -> None:
    width, vocabulary, length, layers = 8, 9, 6, 2
    block = 12 * width**2 + 13 * width  # attention 4, wide layer 8; biases 9, norms 4
    expected = 2 * vocabulary * width + vocabulary + length * width + layers * block + 2 * width
    assert sum(weight.numel() for weight in SMALL().parameters()) == expected


def test_fresh_logits_are_small_and_the_stream_keeps_its_size() -> None:
    torch.manual_seed(0)
    network = Transformer((32,), 64, layers=6, width=64)
    x = torch.randint(64, (8, 32))
    h = network.token(x) + network.position
    start = float(h.std().detach())
    for block in network.blocks:
        h = block(h)
    assert 1 < float(h.std().detach()) / start < 3
    assert float(network(x).std().detach()) < 0.3


def test_many_weights_at_once_are_the_weights_one_by_one() -> None:
    model, x = WORLD.model, tokens()
    each = [model.init(rng) for rng in range(3)]
    stacked = {name: torch.stack([params[name] for params in each]) for name in each[0]}
    torch.testing.assert_close(
        vmap(model.apply, in_dims=(0, None))(stacked, x), torch.stack([model.apply(one, x) for one in each])
    )


@pytest.mark.parametrize(
    ("x", "got"),
    [(torch.zeros(2, 6), "float32"), (torch.zeros(2, dtype=torch.int64), r"\[2\]"), (tokens(2, 7), r"\[2, 7\]")],
)
def test_what_are_no_tokens_is_refused(x: Tensor, got: str) -> None:
    with pytest.raises(ConfigError, match=got):
        functional_call(SMALL(), {}, (x,))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.width"):
        Transformer((6,), 9, heads=3, width=8)
    for inputs in (64, (3, 8, 8)):
        with pytest.raises(ConfigError, match="task=text"):
            Transformer(inputs, 9)


# ---- derivatives through whole lives --------------------------------------------------------------------------------


def outcome(engine: Engine, at: dict[str, Tensor], adjoint: Adjoint | None) -> Tensor:
    """P on practice after three inner steps from these weights and this rule, plus the mean own loss on the way."""
    state = put(Loop(WORLD, engine, ()).start([0]).state, at)
    lived, own = engine.unroll(WORLD, engine.born(WORLD, state), 3, "life", adjoint)
    return engine.scores(WORLD, lived, "practice", "life").mean() + own.mean()


def slopes(engine: Engine) -> dict[str, Tensor]:
    state = Loop(WORLD, engine, ()).start([0]).state
    at = {path: leaf.clone().requires_grad_() for path, leaf in (leaves(state, "init") | leaves(state, "rule")).items()}
    found = torch.autograd.grad(outcome(engine, at, FULL), list(at.values()), allow_unused=True)
    return {path: grad if grad is not None else torch.zeros_like(at[path])
            for path, grad in zip(at, found, strict=True)}  # fmt: skip


def test_a_hypergradient_through_a_life_is_the_slope_by_central_differences() -> None:
    """On the batched engine, with every weight and every number of the rule moved at once, in three directions."""
    engine, step = Functional(), 1e-5
    found = slopes(engine)
    state = Loop(WORLD, engine, ()).start([0]).state
    at = leaves(state, "init") | leaves(state, "rule")
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        way = {path: torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype) for path, leaf in at.items()}
        there, back = (
            float(outcome(engine, {path: leaf + h * way[path] for path, leaf in at.items()}, None).detach())
            for h in (step, -step)
        )
        along = sum(float((found[path] * way[path]).sum()) for path in at)
        assert along == pytest.approx((there - back) / (2 * step), rel=1e-6)


def test_both_engines_find_the_same_hypergradient() -> None:
    fast, plain = map(slopes, ENGINES)
    for path, grad in fast.items():
        torch.testing.assert_close(grad, plain[path], rtol=1e-9, atol=1e-12)
    assert all(float(grad.abs().sum()) > 0 for path, grad in fast.items() if path != "rule/scale")


def test_a_seed_alone_is_that_seed_in_a_batch() -> None:
    engine = Functional()
    lives: list[dict[str, Tensor]] = []
    for seeds in ([3, 4, 5], [4]):
        state = Loop(WORLD, engine, ()).start(seeds).state
        lived, _ = engine.unroll(WORLD, state, 3, "life", None)
        lives.append({name: weight[seeds.index(4)] for name, weight in lived.params.items()})
    for name, weight in lives[0].items():
        torch.testing.assert_close(weight, lives[1][name], rtol=1e-10, atol=1e-12)
