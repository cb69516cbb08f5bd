"""Nothing is needed, and nothing is asked for."""

from __future__ import annotations

import torch

from sandbox.core.protocols import Needs, Seen
from sandbox.meta_learner.none import Nothing


def test_it_needs_nothing_and_asks_for_nothing() -> None:
    nan = torch.tensor(torch.nan)
    seen = Seen(
        own=nan[None],
        process=nan,
        grad={},
        visible={},
        noise=torch.zeros(0),
        step=torch.tensor(0),
    )
    assert Nothing().needs == Needs()
    psi = Nothing().init({})
    assert psi == {}
    edit, after = Nothing().ask(psi, seen)
    assert not edit.set
    assert after == {}
