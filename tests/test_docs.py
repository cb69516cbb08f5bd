"""What the docs show is what happens: their examples run, in order, and print what they say."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from sandbox import experiment
from sandbox.__main__ import COMMANDS
from sandbox.compose import composed
from sandbox.studies import unfold

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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with all files that the page on data speaks of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    flowers = datasets.load_iris()
    np.savez("flowers.npz", x=flowers.data, y=flowers.target)
    lines = ["a,b,c,d,species", *(",".join(map(str, [*row, name])) for row, name in
             zip(flowers.data, flowers.target_names[flowers.target], strict=True))]  # fmt: skip
    Path("flowers.csv").write_text("\n".join(lines))
    Path("mine.txt").write_text("\n".join(" ".join(str(n * m) for m in range(60)) for n in range(1300)))
    Path("mine.py").write_text(BLOCK.findall((DOCS / "data.md").read_text())[0][0])
    yield tmp_path
    sys.modules.pop("mine", None)


def test_the_examples_of_data_and_text_run_and_print_what_they_say(folder: Path, capsys) -> None:
    names: dict[str, Any] = {}
    for code, shown in BLOCK.findall((DOCS / "data.md").read_text()):
        exec(code, names)
        assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_the_commands_of_data_and_text_live(folder: Path) -> None:
    page = (DOCS / "data.md").read_text()
    commands = [line for line in page.splitlines() if line.startswith("sandbox ")]
    assert len(commands) > 8
    for command in commands:
        words, _ = unfold(shlex.split(command)[1:])
        for arm in sweep(words):
            loop = experiment.build_loop(composed(arm) | {"meter": {}})
            assert loop.world.task.outputs > 1
            if "language" not in command:  # those are long, and live elsewhere
                list(replace(loop, levels=(replace(loop.levels[0], horizon=1),)).run([0], 1))


def sweep(words: list[str]) -> list[list[str]]:
    """The words of each job of a sweep over experiments."""
    if words[0] != "-m":
        return [words]
    return [[f"experiment={name}"] for name in words[1].removeprefix("experiment=").split(",")]


COMMAND = re.compile(r"^(sandbox .*)$|`(sandbox [^`]*)`", re.MULTILINE)
ELSEWHERE = ("mine", "flowers", "pace", "corridor", "doors", "<", "…", "--help", "--cfg")  # of a reader's own files


def launched(page: Path) -> list[str]:
    """The commands of a page that launch what the house has."""
    found = dict.fromkeys(line or inline for line, inline in COMMAND.findall(page.read_text()))
    return [command for command in found if "=" in command and command.split()[1] not in COMMANDS
            and not any(word in command for word in ELSEWHERE)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("page", [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_the_commands_of_a_page_compose(page: Path) -> None:
    for command in launched(page):
        words, _ = unfold(shlex.split(command, comments=True)[1:])
        several = [word for word in words if "," in word and not any(mark in word for mark in "[{")]
        for values in product(*(word.partition("=")[2].split(",") for word in several)):
            names = [word.partition("=")[0] for word in several]
            here = {name: f"{name}={value}" for name, value in zip(names, values, strict=True)}
            arm = [here.get(word.partition("=")[0], word) for word in words if word != "-m"]
            assert composed(arm)["task"], command


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
