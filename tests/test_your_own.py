"""The page on members of one's own: every file on it is written, every command run, and what it shows is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "your-own.md"
BLOCK = re.compile(r"(?:^`([\w./]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BIN = Path(sys.executable).parent


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Each block of code: the file that it is, its language, its text."""
    yield from BLOCK.findall(text)


def commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console, with the lines shown beneath it."""
    for part in body.split("$ ")[1:]:
        command, *shown = part.splitlines()
        yield command, [line for line in shown if line]


def installed(package: Path) -> None:
    """What `pip install -e` leaves, as far as Python and the entry points go."""
    info = package / f"{package.name}.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: 0.1.0\n")
    lines = (package / "pyproject.toml").read_text().splitlines()
    entry = next(line for line in lines if line.endswith('.conf"')).replace('"', "")
    (info / "entry_points.txt").write_text(f"[sandbox.conf]\n{entry}\n")


def said(command: str, folder: Path) -> str:
    """What a command prints; it must do well."""
    program, *arguments = command.split()
    if program == "pip":
        installed(folder / arguments[-1])
        return ""
    environment = os.environ | {"PYTHONPATH": str(folder / "ours"), "PATH": f"{BIN}:{os.environ['PATH']}"}
    found = subprocess.run([BIN / program, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
                           check=False)  # fmt: skip
    assert found.returncode == 0, f"{command}\n{found.stdout}\n{found.stderr}"
    return found.stdout


@pytest.mark.slow
def test_every_file_and_command_of_the_page(tmp_path):
    ran = 0
    for file, language, body in blocks(PAGE.read_text()):
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(body)
        for command, shown in commands(body) if language == "console" else ():
            printed, ran = said(command, tmp_path), ran + 1
            assert not [line for line in shown if line.rstrip() not in printed], f"{command}\n{printed}"
    assert ran > 12


@pytest.mark.slow
def test_its_tests_are_tests(tmp_path):
    [body] = [body for _, language, body in blocks(PAGE.read_text()) if language == "python" and "import laws" in body]
    (tmp_path / "test_page.py").write_text(body)
    words = [sys.executable, "-m", "pytest", "-q", "-k", "told or reached", "test_page.py"]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in found.stdout, found.stdout


def test_the_script_of_the_readme_prints_what_it_says(tmp_path):
    [body] = [body for _, language, body in blocks((ROOT / "README.md").read_text()) if "sandbox.run(" in body]
    assert len([line for line in body.splitlines() if line.strip()]) <= 12
    (tmp_path / "script.py").write_text(body)
    found = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip()
