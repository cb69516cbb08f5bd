"""The lower mean wins, and a tie does not."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.score import Score
from sandbox.gate.better import Better


@pytest.mark.parametrize(
    ("candidate", "accepted"), [([[1.0, 1.9]], True), ([[0.0, 3.5]], False), ([[2.0, 1.0]], False)]
)
def test_it_compares_the_means_of_one_trial(candidate: list[list[float]], accepted: bool) -> None:
    yes, why, memory = Better().decide(torch.tensor([[1.0, 2.0]]), torch.tensor(candidate), Better().init())
    assert yes is accepted
    assert "1.5 before" in why
    assert memory == {}


def test_it_takes_one_trial_and_scores_as_told() -> None:
    assert Better().trials == 1
    assert Better().score == Score("process")
    assert Better(score=Score("calibrated")).score == Score("calibrated")
