"""The worked example is executed: its numbers are those that stand in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parents[1] / "docs" / "worked-example.ipynb"


def numbers(notebook: Any) -> list[list[float]]:
    """What each cell prints, as numbers."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = ["".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")
            for cell in cells]  # fmt: skip
    return [[float(number) for number in re.findall(r"-?\d+\.\d+", text)] for text in said]


@pytest.mark.filterwarnings("ignore")  # those of the kernel's machinery, which differ by its version
def test_the_notebook_shows_what_it_says() -> None:
    stored: Any = nbformat.read(PATH, as_version=4)  # pyright: ignore[reportUnknownMemberType]
    before = numbers(stored)
    raw, wiggle, context = before[-1]
    assert context < raw / 2
    assert wiggle < 0.2
    NotebookClient(stored, timeout=300, kernel_name="python3").execute()
    after = numbers(stored)
    assert [len(each) for each in after] == [len(each) for each in before]
    for one, two in zip(after, before, strict=True):
        assert one == pytest.approx(two, abs=0.002)
