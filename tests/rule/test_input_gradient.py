"""The penalty on input gradients, by hand: of what, where, and how much."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Reach
from sandbox.rule.input_gradient import InputGradient

X = torch.tensor([[0.5, -1.0], [2.0, 0.3]], dtype=torch.float64)
PARAMS = {"w": torch.tensor([[1.5], [-0.5]], dtype=torch.float64)}


def penalty(**fields) -> float:
    """That of f = (x · w)², whose slope is 2 (x · w) w."""
    rule = InputGradient(strength=3.0, **fields)
    reach = Reach(lambda params, x: (x @ params["w"]).square(), lambda prediction, batch: 0 * prediction[:, 0])
    return float(rule.loss(rule.init(PARAMS), PARAMS, rule.slots(PARAMS), {"x": X}, reach)) / 3


def test_the_penalty_is_the_mean_square_of_the_slopes_looked_at() -> None:
    along = (X @ PARAMS["w"])[:, 0]
    first, second = (2 * along * 1.5).square(), (2 * along * -0.5).square()
    assert penalty() == pytest.approx(float(first.mean()))
    assert penalty(probe=(1,)) == pytest.approx(float(second.mean()))
    assert penalty(probe=(0, 1)) == pytest.approx(float((first + second).mean()))
    assert penalty(at="origin") == pytest.approx(0)
    p = along.square().sigmoid()
    assert penalty(squashed=True) == pytest.approx(float(((p * (1 - p)).square() * first).mean()))


def test_a_strength_of_0_leaves_the_process_and_so_does_one_below() -> None:
    reach = Reach(lambda params, x: x @ params["w"], lambda prediction, batch: prediction[:, 0])
    rule = InputGradient(strength=0.0)
    phi, slots = rule.init(PARAMS), rule.slots(PARAMS)
    expected = float((X @ PARAMS["w"]).mean())
    for strength in (0.0, -1.0):
        edited = {**phi, "strength": torch.tensor(strength, dtype=torch.float64)}
        assert float(rule.loss(edited, PARAMS, slots, {"x": X}, reach)) == pytest.approx(expected)
    assert float(rule.readable({**phi, "strength": torch.tensor(-1.0)})["strength"]) == 0


def test_what_can_t_be_looked_at_is_refused() -> None:
    for fields in ({"strength": -1.0}, {"probe": ()}, {"probe": (-1,)}):
        with pytest.raises(ConfigError, match=r"rule\."):
            InputGradient(**fields)
    with pytest.raises(ConfigError, match="among 2 inputs"):
        penalty(probe=(2,))
