"""Label noise: each kind lies at its rate, where it says, and leaves the truth to the human."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import binom
from torch import Tensor
from torch.func import vmap

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.task.label_noise import InstanceDependent, LabelNoise, Swapped, Symmetric

ROWS, FEATURES, CLASSES = 4000, 6, 5
X = uniform(0, "x", 0, (ROWS, FEATURES))
CLEAN = (uniform(0, "y", 0, (ROWS,)) * CLASSES).long()
KINDS: list[Any] = [Symmetric, Swapped, InstanceDependent]


def given(noise: LabelNoise, rate: float, seed: int = 0, clean: Tensor = CLEAN) -> Tensor:
    u = uniform(seed, "lies", 0, (noise.uniforms(clean.numel(), FEATURES, CLASSES),))
    return noise.given(clean, X, u, torch.tensor(rate, dtype=torch.float64), CLASSES)


def within(lies: int, n: int, rate: float) -> bool:
    """Whether so many of n may be, but for one time in a million."""
    return bool(binom.ppf(5e-7, n, rate) <= lies <= binom.isf(5e-7, n, rate))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_a_symmetric_lie_may_by_chance_be_true(rate: float) -> None:
    found = given(Symmetric(), rate)
    assert within(int((found != CLEAN).sum()), ROWS, rate * (1 - 1 / CLASSES))
    if rate == 1:
        for one in range(CLASSES):
            assert within(int((found == one).sum()), ROWS, 1 / CLASSES)


def test_swapped_classes_lie_at_the_rate_and_to_their_partner_alone() -> None:
    found, paired = given(Swapped(), 0.3), CLEAN < 4
    assert torch.equal(found[~paired], CLEAN[~paired])  # the fifth class has no partner
    wrong = found != CLEAN
    assert within(int(wrong.sum()), int(paired.sum()), 0.3)
    assert torch.equal(found[wrong], CLEAN[wrong] ^ 1)
    named = given(Swapped(pairs=((0, 4),)), 1.0)
    assert torch.equal(named, torch.tensor([4, 1, 2, 3, 0])[CLEAN])


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_instance_dependent_lies_have_the_rate_as_their_mean(spread: float) -> None:
    noise = InstanceDependent(spread=spread)
    lies = sum(int((given(noise, 0.4, seed) != CLEAN).sum()) for seed in range(10))
    assert within(lies, 10 * ROWS, 0.4)  # unequal rates vary less than one for all


def test_examples_alike_lie_alike() -> None:
    """With every example twice and all chances even, the two of a pair lie together more often than by chance, and
    always to the same class."""
    noise, n = InstanceDependent(rates=(0.4,)), ROWS // 2
    x, clean = torch.cat([X[:n], X[:n]]), torch.cat([CLEAN[:n], CLEAN[:n]])
    u = uniform(1, "lies", 0, (noise.uniforms(ROWS, FEATURES, CLASSES),))
    found = noise.given(clean, x, u, torch.tensor(0.4, dtype=torch.float64), CLASSES)
    first, second = (found != clean)[:n], (found != clean)[n:]
    both = first & second
    assert float(both.double().mean()) > 0.4**2 + 0.03  # the mean of p², with p uniform on 0 … .8, is .213
    assert torch.equal(found[:n][both], found[n:][both])
    even = given(InstanceDependent(rates=(0.4,), spread=0.0), 0.4)
    assert within(int(((even != CLEAN)[:n] & (even != CLEAN)[n:]).sum()), n, 0.4**2)


def test_where_it_lies_differs_from_life_to_life() -> None:
    one, other = (given(InstanceDependent(), 0.4, seed) for seed in (0, 1))
    both = (one != CLEAN) & (other != CLEAN)
    assert float((one[both] == other[both]).double().mean()) < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_no_rate_is_no_lie_and_lives_side_by_side_lie_as_alone(kind: Any) -> None:
    noise = kind()
    assert torch.equal(given(noise, 0.0), CLEAN)
    size, rate = noise.uniforms(ROWS, FEATURES, CLASSES), torch.tensor(0.4, dtype=torch.float64)
    u = torch.stack([uniform(seed, "lies", 0, (size,)) for seed in range(3)])
    together = vmap(lambda u: noise.given(CLEAN, X, u, rate, CLASSES))(u)
    assert all(torch.equal(together[seed], given(noise, 0.4, seed)) for seed in range(3))
    assert isinstance(noise, LabelNoise)


def test_a_label_a_place_lies_place_by_place() -> None:
    places = CLEAN.reshape(1000, 4)
    for noise in (Symmetric(), Swapped()):
        assert torch.equal(given(noise, 0.4, clean=places), given(noise, 0.4).reshape(1000, 4))
    with pytest.raises(ConfigError, match="one label each"):
        given(InstanceDependent(), 0.4, clean=places)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        *((kind, {"rates": (1.2,)}, r"task\.labels\.rates") for kind in KINDS),
        *((kind, {"rates": ()}, r"task\.labels\.rates") for kind in KINDS),
        (Swapped, {"pairs": ((0, 1), (1, 2))}, "one pair"),
        (InstanceDependent, {"rates": (0.6,)}, "spread"),
        (InstanceDependent, {"spread": 1.5}, "spread"),
    ],
)
def test_what_can_not_be_is_refused(kind: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        kind(**settings)


def test_a_pair_of_classes_that_are_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"task\.labels\.pairs"):
        given(Swapped(pairs=((0, 7),)), 0.4)
