"""The record of a reflective step."""

from __future__ import annotations

from dataclasses import replace

import torch

from sandbox.core.record import Change, Record, Standing, Verdict
from sandbox.core.state import State


def record(state: State) -> Record:
    return Record(
        step=1,
        level=1,
        t=10,
        seeds=[0, 1],
        verdict=[Verdict.ACCEPTED, Verdict.REFUSED],
        why=["", "not finite"],
        anchor=["", ""],
        own=torch.tensor([0.5, 0.25]),
        edit={"rule/lr": Change(torch.tensor([0.1, 0.0]), torch.tensor([0.2, 0.3]), ())},
        note="",
        digest=["a", "b"],
        readings={"drift/rule": torch.tensor([1.0, 2.0])},
        standing=Standing(state=state, before=state, edited=torch.tensor([True, False])),
    )


def test_a_record_holds_the_state_and_shows_what_happened(state: State) -> None:
    later = replace(state, t=state.t + 1)
    assert record(later).state is later
    assert "standing" not in repr(record(state))
    assert "Verdict.REFUSED" in repr(record(state))


def test_a_verdict_is_its_word() -> None:
    assert f"{Verdict.ROLLED_BACK}" == Verdict("rolled back") == "rolled back"
