"""A small slice of `scripts/fuzz_programs.py`: nonsense is refused or a valid program, and no life breaks."""

from __future__ import annotations

import pytest

from scripts.fuzz_programs import NONSENSE, lives, nonsense


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_or_a_valid_program(name: str) -> None:
    told = nonsense(name, 400, seed=1)
    assert told["wrong"] == []
    assert told["refused"] > 0
    assert told.get("valid", 0) > 0 or name.startswith("random")


def test_random_programs_break_no_life_and_touch_no_other() -> None:
    told = lives(80, seeds=12, steps=4)
    assert told["wrong"] == []
    assert told["accepted"] > 0
