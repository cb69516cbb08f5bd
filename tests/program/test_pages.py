"""The page on programs shows what is: its tables are what the language says, and its examples print what they say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scripts.program_tables import PAGE, tables, written

BLOCK = re.compile(r"```python\n(.*?)```\n\n```\n(.*?)```", re.DOTALL)


def test_the_tables_are_what_the_language_says() -> None:
    """`python -m scripts.program_tables` writes them anew."""
    text = PAGE.read_text()
    assert all(f"<!-- {name}: written by" in text for name in tables())
    assert written(text) == text


def test_the_examples_print_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 1
    for code, shown in blocks:
        exec(code, names)
        assert capsys.readouterr().out == shown
