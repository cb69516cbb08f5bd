from __future__ import annotations

import io
import json
import os
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.report.progress import Glimpse, look, watch

READINGS = {"performance/human": lambda step, seed: 0.5 + seed / 10, "performance/process": lambda step, seed: 2.0}


def plain() -> Console:
    return Console(file=io.StringIO(), width=200, highlight=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def status(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text())


def set_state(folder: Path, state: str) -> None:
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": state}))


def test_only_what_is_new_is_read(tmp_path: Path, write) -> None:
    folder = write(tmp_path / "run", "own", steps=4, own=lambda step, seed: step + seed, readings=READINGS)
    path = folder / "lineage.jsonl"
    text = path.read_text()
    cut = text.index("\n", len(text) // 2) - 10
    path.write_text(text[:cut])
    first = look(Glimpse(folder, "own"), began=0)
    assert first.offset == text[:cut].rindex("\n") + 1
    path.write_text("#" * first.offset + text[first.offset :])  # what was read is not looked at again
    then = look(first, began=0)
    assert (then.step, then.offset) == (4, len(text))
    assert then.latest == {"own": 5.0, "performance/process": 2.0, "performance/human": pytest.approx(0.6)}
    assert then.figures() == "A 5.000  P 2.000  H .600"
    path.write_text(text[: text.index("\n") + 1])  # cut, as a resumed run does
    assert look(then, began=0).step == 0


def test_an_end_from_before_the_launch_is_none(tmp_path: Path, write) -> None:
    folder = write(tmp_path / "run", "own", state="failed")
    os.utime(folder / "status.json", (1000, 1000))
    assert look(Glimpse(folder, "own"), began=2000).state == "waiting"
    assert look(Glimpse(folder, "own"), began=500).state == "failed"
    set_state(folder, "finished")
    os.utime(folder / "status.json", (1000, 1000))
    assert look(Glimpse(folder, "own"), began=2000).ended
    steps = status(folder)["step"]
    assert look(Glimpse(folder, "own", asked=steps), began=2000).ended
    assert not look(Glimpse(folder, "own", asked=steps + 1), began=2000).ended  # it goes on


def test_off_a_terminal_each_ended_run_is_one_line(tmp_path: Path, write, launch) -> None:
    own = write(tmp_path / "runs" / "own-1", "own", readings=READINGS)
    process = write(tmp_path / "runs" / "process-2", "process", state="running")
    console = plain()
    with watch(launch([own, process]), console=console, every=0.01):
        time.sleep(0.1)
        assert printed(console) == "own-1: finished, 4 of 4 steps in 1.5 s  A 1  P 2.000  H .600\n"
        set_state(process, "interrupted")
    assert printed(console).splitlines()[1:] == ["process-2: interrupted, 4 of 4 steps in 1.5 s  A 1"]


def test_on_a_terminal_there_is_a_bar_a_run(tmp_path: Path, write, launch) -> None:
    own = write(tmp_path / "runs" / "own-1", "own", readings=READINGS, state="running")
    console = Console(file=io.StringIO(), width=200, force_terminal=True, highlight=False)
    with watch(launch([own]), console=console, every=0.01):
        time.sleep(0.3)
    assert "4/4" in printed(console)
    assert "running" in printed(console)
    assert "H .600" in printed(console)


def test_nothing_that_goes_wrong_reaches_the_run(tmp_path: Path, write, launch) -> None:
    broken, own = write(tmp_path / "runs" / "broken-1", "broken"), write(tmp_path / "runs" / "own-2", "own")
    (broken / "status.json").write_text("{")
    console = plain()
    with watch(launch([broken, own]), console=console, every=0.01), watch(tmp_path / "none", console=plain()):
        time.sleep(0.05)
    assert printed(console).startswith("own-2: finished")
    with pytest.raises(KeyboardInterrupt), watch(launch([own]), console=plain()):
        raise KeyboardInterrupt
    assert "watch" not in {thread.name for thread in threading.enumerate()}
