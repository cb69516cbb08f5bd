"""Everything is taken, and nothing is lived for it."""

from __future__ import annotations

import torch

from sandbox.gate.always import Always


def test_it_accepts_without_a_trial() -> None:
    gate, empty = Always(), torch.zeros(0, 0)
    assert gate.trials == 0
    assert gate.decide(empty, empty, gate.init()) == (True, "", {})
