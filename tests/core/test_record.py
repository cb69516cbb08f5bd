"""The written line of a reflective step."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import torch

from sandbox.core.record import Record, Standing, Verdict
from sandbox.core.state import State

DOCUMENTED = Path(__file__).parents[2] / "docs" / "run-folder.md"


def record(state: State) -> Record:
    return Record(
        step=1,
        level=1,
        t=10,
        seeds=[0, 1],
        verdict=[Verdict.ACCEPTED, Verdict.REFUSED],
        why=["", "not finite"],
        anchor=["", ""],
        own=[0.5, 0.25],
        edit={"rule/lr": {"size": [0.1, 0.0]}},
        note="",
        digest=["a", "b"],
        readings={"drift/rule": [1.0, 2.0]},
        standing=Standing(state=state, before=state, edited=torch.tensor([True, False])),
    )


def test_a_line_is_every_field_but_the_states(state: State) -> None:
    line = record(state).line()
    assert set(line) == {field.name for field in fields(Record)} - {"standing"}
    assert json.loads(json.dumps(line)) == line


def test_a_record_holds_the_state_but_is_compared_and_shown_by_its_line(state: State) -> None:
    later = replace(state, t=state.t + 1)
    assert record(later).state is later
    assert record(later) == record(state)
    assert "standing" not in repr(record(state))


def test_what_a_line_holds_is_documented(state: State) -> None:
    section = DOCUMENTED.read_text().split("## A line of")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(record(state).line())
    assert not [verdict for verdict in Verdict if f"`{verdict}`" not in section]
