"""A small state: four seeds, two lanes a seed, every slot in use."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.state import State


@pytest.fixture(scope="session")
def state() -> State:
    """`params` and `slots` have a row per lane [8, ...], the rest a row per seed [4, ...]."""
    rows = torch.arange(4, dtype=torch.float64)
    lanes = torch.arange(8, dtype=torch.float64)
    return State(
        init={"w": rows.reshape(4, 1) * torch.ones(4, 3)},
        params={"layer": {"w": lanes.reshape(8, 1) * torch.ones(8, 3), "b": lanes + 0.5}},
        slots={"momentum": lanes - 1},
        rule={"lr": rows + 0.1, "lr2": rows + 0.2, "net": {"w": rows.reshape(4, 1) + torch.ones(4, 6)}},
        meta={"1": {"count": torch.zeros(4, dtype=torch.int64)}},
        gate={"1": {"asked": rows}},
        task={"label": torch.arange(8)},
        seed=torch.tensor([11, 22, 33, 44]),
        t=7,
    )
