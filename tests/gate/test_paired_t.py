"""The t-test: scipy's p, exact at zero variance, and levels that add up to what they promise."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
import torch
from scipy.stats import ttest_rel
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.gate.paired_t import PairedT, paired_t


def scores(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_t_by_hand() -> None:
    t, p = paired_t(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert t == pytest.approx(2 / (1 / 3**0.5))
    assert p == pytest.approx(0.0370899, abs=1e-7)  # one-sided, two degrees of freedom


@pytest.mark.parametrize("unit", ["trial", "example"])
def test_p_is_that_of_scipy_over_its_units(unit: Any) -> None:
    incumbent, candidate = scores(0, 6, 8), scores(1, 6, 8) - 0.3
    pair = (incumbent.mean(1), candidate.mean(1)) if unit == "trial" else (incumbent.flatten(), candidate.flatten())
    expected = ttest_rel(pair[0].numpy(), pair[1].numpy(), alternative="greater")
    t, p = paired_t(pair[0] - pair[1])
    assert (t, p) == pytest.approx((expected.statistic, expected.pvalue))
    for alpha, accepted in ((p * 1.01, True), (p * 0.99, False)):
        gate = PairedT(trials=6, alpha=alpha, unit=unit, spending="none")
        yes, why, _ = gate.decide(incumbent, candidate, gate.init())
        assert yes is accepted
        assert f"{6 if unit == 'trial' else 48} {unit}s" in why


@pytest.mark.parametrize(
    ("gain", "t", "p", "accepted"), [(0.0, 0, 0.5, False), (0.5, inf, 0, True), (-0.5, -inf, 1, False)]
)
def test_without_variance_the_sign_decides(gain: float, t: float, p: float, accepted: bool) -> None:
    assert paired_t(torch.full((5,), gain, dtype=torch.float64)) == (t, p)
    yes, _, _ = PairedT().decide(torch.full((5, 3), gain), torch.zeros(5, 3), PairedT().init())
    assert yes is accepted


def test_harmonic_levels_add_up_to_alpha_over_the_horizon_and_go_on_shrinking() -> None:
    gate = PairedT(alpha=0.05, budget=40)
    assert sum(gate.alpha_at(k) for k in range(1, 41)) == pytest.approx(0.05)
    assert gate.alpha_at(1) == pytest.approx(4 * gate.alpha_at(4))
    assert 0 < gate.alpha_at(41) < gate.alpha_at(40)
    assert PairedT(alpha=0.05, spending="none").alpha_at(41) == 0.05


def test_it_remembers_how_often_it_was_asked_and_grows_stricter() -> None:
    gate, gain = PairedT(alpha=0.05, budget=10), torch.tensor([[1.0], [2.0], [2.5], [3.0], [1.5]])
    _, p = paired_t(gain.double()[:, 0])
    memory, verdicts = gate.init(), list[bool]()
    for k in range(1, 11):
        yes, _, memory = gate.decide(gain, torch.zeros(5, 1), memory)
        assert float(memory["asked"]) == k
        verdicts.append(yes)
    assert verdicts == [p < gate.alpha_at(k) for k in range(1, 11)]
    assert verdicts[0]
    assert not verdicts[-1]
    assert float(gate.init()["asked"]) == 0


def test_edits_that_change_nothing_pass_at_the_nominal_level() -> None:
    gate = PairedT(alpha=0.1, spending="none")
    before, after = scores(0, 2000, 5, 2), scores(1, 2000, 5, 2)
    passed = [gate.decide(*pair, gate.init())[0] for pair in zip(before, after, strict=True)]
    assert sum(passed) / 2000 == pytest.approx(0.1, abs=0.02)  # three standard errors


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"trials": 1}, "gate.trials of 2"),
        ({"trials": 0, "unit": "example"}, "gate.trials of 1"),
        ({"alpha": 0.0}, "gate.alpha"),
        ({"alpha": 0.5}, "gate.alpha"),
        ({"budget": 0}, "gate.budget"),
    ],
)
def test_a_test_that_cannot_be_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PairedT(**fields)
    assert told in str(caught.value)


def test_a_single_example_is_refused_when_it_is_met() -> None:
    gate = PairedT(trials=1, unit="example")
    with pytest.raises(ConfigError, match="two paired scores"):
        gate.decide(torch.ones(1, 1), torch.zeros(1, 1), gate.init())
