"""What a prediction says of actions: distributions by hand, draws that follow them."""

from __future__ import annotations

from math import e, log, pi

import pytest
import torch
from torch import Tensor

from sandbox.core.policy import HIGH, choose, entropy, gauge, log_p
from sandbox.core.random import uniform


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_discrete_actions_are_drawn_by_the_inverse_distribution_function() -> None:
    policy = double(0.2, 0.5, 0.3).log().expand(6, 3)
    assert choose(policy, double(0, 0.1999, 0.2001, 0.6999, 0.7001, 1 - 1e-16)).tolist() == [0, 0, 1, 1, 2, 2]


def test_no_draw_falls_off_the_end_where_rounding_leaves_less_than_1() -> None:
    assert int(choose(torch.zeros(2), torch.tensor(1.0, dtype=torch.float64))) == 1


def test_draws_of_a_discrete_policy_have_its_shares() -> None:
    drawn = choose(double(0.2, 0.5, 0.3).log().expand(20000, 3), uniform(0, "draws", 0, (20000,)))
    assert (drawn.bincount() / 20000).tolist() == pytest.approx([0.2, 0.5, 0.3], abs=0.015)


def test_continuous_actions_are_normal_about_their_means() -> None:
    policy = double(3, -1, log(2), log(0.5)).expand(20000, 4)
    drawn = gauge(policy, uniform(0, "draws", 0, (20000, 2)))
    assert drawn.mean(dim=0).tolist() == pytest.approx([3, -1], abs=0.05)
    assert drawn.std(dim=0).tolist() == pytest.approx([2, 0.5], rel=0.02)


def test_probabilities_and_entropies_by_hand() -> None:
    discrete = double(0.25, 0.75).log() + 7
    assert float(log_p(discrete, torch.tensor(1))) == pytest.approx(log(0.75))
    assert float(entropy(discrete, torch.tensor(0))) == pytest.approx(-0.25 * log(0.25) - 0.75 * log(0.75))
    normal = double(1, 0, log(2), 0)
    assert float(log_p(normal, double(3, 0))) == pytest.approx(-0.5 - log(2) - log(2 * pi))
    assert float(entropy(normal, double(3, 0))) == pytest.approx(log(2) + log(2 * pi * e))


def test_a_spread_has_bounds() -> None:
    assert float(entropy(double(0, 50), double(0))) == pytest.approx(HIGH + 0.5 * log(2 * pi * e))
