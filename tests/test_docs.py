"""What the docs show is what happens: their examples run, in order, and print what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```\n(.*?)```)?", re.DOTALL)


def test_the_examples_of_the_instruments_run_and_print_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall((DOCS / "instruments.md").read_text())
    assert len(blocks) > 5
    names: dict[str, Any] = {}
    for code, shown in blocks:
        exec(code, names)
        printed = capsys.readouterr().out
        assert printed == shown


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, heading = target.partition("#")
        if "://" in target:
            continue
        assert not file or (page.parent / file).exists(), target
        if heading and not file:
            slugs = [re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
                     for line in text.splitlines() if line.startswith("#")]  # fmt: skip
            assert heading in slugs, (heading, slugs)
