"""The proving members of the seams end to end: es, the reflector and a yoked control run, resume and replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import experiment
from sandbox.archive.journal import JOURNAL
from sandbox.archive.lineage import read
from sandbox.compose import composed
from sandbox.replay import replay
from sandbox.tracker.jsonl import JsonlTracker

SMALL = ["meter=[performance]", "meter.performance.every=2", "meter.performance.tasks=2", "tracker=[jsonl,checkpoint]",
         "tracker.checkpoint.every=2", "seeds=2"]  # fmt: skip
RUNS = {
    "es": ["preset=reflective", "meta_learner=es", "meta_learner.edits=[rule/lr,rule/q]", "meta_learner.pairs=2",
           "task.train=60", "task.practice=20", "task.gate=20", "task.batch=8", "horizon=2", "steps=6"],
    "reflector": ["preset=reflector", "tasks=2", "steps=6"],
    "yoked": ["experiment=first_light/process_yoked", "task.train=60", "task.practice=20", "task.gate=20",
              "task.batch=8", "horizon=2", "steps=6"],
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param("reflector", marks=pytest.mark.slow), *[name for name in RUNS if name != "reflector"]]
)
def test_a_run_goes_on_where_it_was_interrupted_and_replays(name: str, tmp_path: Path, monkeypatch) -> None:
    def config(runs: str) -> dict:
        return composed([*RUNS[name], *SMALL, f"runs={tmp_path / runs}"])

    whole = experiment.perform(config("whole"))
    assert replay(whole) == len(read(whole))
    write = JsonlTracker.write
    if name == "yoked":  # its source must not die in its place
        experiment.perform(config("cut") | {"meta_learner": config("cut")["meta_learner"]["of"], "label": "process"})

    def dies(self, record) -> None:
        if record.step == 5 and record.level == (2 if name == "reflector" else 1):
            raise KeyboardInterrupt
        write(self, record)

    monkeypatch.setattr(JsonlTracker, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        experiment.perform(config("cut"))
    monkeypatch.setattr(JsonlTracker, "write", write)
    gone_on = experiment.perform(config("cut"))
    assert (gone_on / "lineage.jsonl").read_text() == (whole / "lineage.jsonl").read_text()
    assert replay(gone_on) == len(read(whole))


def test_a_yoked_control_replays_from_its_own_journal(tmp_path: Path) -> None:
    """Its source can be gone: what it was told stands in its own folder."""
    folder = experiment.perform(composed([*RUNS["yoked"], *SMALL, f"runs={tmp_path}"]))
    assert len((folder / JOURNAL).read_text().splitlines()) == 6
    for other in tmp_path.iterdir():
        if other != folder:
            for path in sorted(other.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
    assert replay(folder) == 7
