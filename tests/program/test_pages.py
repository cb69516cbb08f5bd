"""The page on programs shows what is: its tables are what the language says, and its examples print what they say."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.compose import composed
from sandbox.core.protocols import Level
from sandbox.core.record import Verdict
from sandbox.experiment import build_loop
from sandbox.gate.always import Always
from scripts.program_tables import PAGE, tables, written

BLOCK = re.compile(r"```python\n(.*?)```\n\n```\n(.*?)```", re.DOTALL)


def test_the_tables_are_what_the_language_says() -> None:
    """`python -m scripts.program_tables` writes them anew."""
    text = PAGE.read_text()
    assert all(f"<!-- {name}: written by" in text for name in tables())
    assert written(text) == text


def test_the_editor_of_the_page_keeps_its_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [body] = [
        block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "class InTurn" in block
    ]
    (tmp_path / "of_the_page.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    editor = importlib.import_module("of_the_page").InTurn()
    loop = build_loop(composed(["preset=loss_search", "horizon=2", "tasks=1", "gate=always"]))
    loop = replace(loop, meters=(), levels=(Level(editor, Always(), 2, "episodic"),))
    first, second = list(loop.run([0, 1], 2))[1:]
    assert [record.text["rule/loss"][0].splitlines()[2].strip() for record in (first, second)] == [
        "x2 = abs x1",
        "x2 = min 2 x1",
    ]
    assert first.verdict == second.verdict == [Verdict.ACCEPTED] * 2


def test_the_examples_print_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 1
    for code, shown in blocks:
        exec(code, names)
        assert capsys.readouterr().out == shown
