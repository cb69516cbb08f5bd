"""What an offline W&B run holds, read back by W&B's own command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.archive import lineage
from sandbox.compose import composed
from sandbox.core.error import ConfigError
from sandbox.core.reading import Reading
from sandbox.experiment import perform
from sandbox.tracker.wandb import AXIS, Wandb

WORDS = ["task=quadratic", "rule=sgd", "meta_learner=self_adaptive", "gate=better", "seeds=2", "steps=3", "horizon=1",
         "meter=drift", "meter.drift.every=1", "tracker=[jsonl,checkpoint,wandb]"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, list[dict]]:
    """A run folder and the records of its W&B run."""
    folder = perform(composed([*WORDS, f"runs={tmp_path_factory.mktemp('runs')}"]))
    return folder, inspected(folder)


def inspected(folder: Path) -> list[dict]:
    offline = next((folder / "wandb").glob("offline-run-*"))
    inspect = [Path(sys.executable).with_name("wandb"), "leet", "inspect", str(offline), "--json"]
    printed = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def records(found: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in found if record["type"] == kind]


def test_each_step_is_a_row_on_the_axis_of_reflective_steps(run) -> None:
    folder, found = run
    rows = [item for record in records(found, "history") if "own" in (item := record["item"])]
    assert [row["reflective_step"] for row in rows] == [0, 1, 2, 3]
    for row, line in zip(rows[1:], lineage.read(folder)[1:], strict=True):
        assert row["own"] == pytest.approx(sum(line["own"]) / 2, rel=1e-5)
        assert row["rule/lr"] == pytest.approx(sum(line["readings"]["rule/lr"]) / 2, rel=1e-5)
        assert row["verdict/accepted"] == line["verdict"].count("accepted") / 2
    axis = next(metric for metric in records(found, "metric") if metric.get("glob_name") == "*")
    assert axis["step_metric"] == "reflective_step"


def test_the_run_carries_its_configuration_and_group(run) -> None:
    folder, found = run
    described = records(found, "run")[0]
    assert described["config"]["update"]["rule"]["lr"] == 0.01
    assert "check" in json.dumps(described)  # the label, as group and job type
    assert folder.name in json.dumps(described)


def test_edits_are_a_table_and_the_final_state_an_artifact(run) -> None:
    folder, found = run
    table = next((folder / "wandb").rglob("edits_*.table.json"))
    content = json.loads(table.read_text())
    assert content["columns"][:3] == ["step", "level", "path"]
    assert {row[2] for row in content["data"]} == {"rule/lr", "meta/1/sigma"}
    names = json.dumps(records(found, "artifact"))
    assert lineage.LINEAGE in names
    assert "00000003.json" in names


def test_a_reading_is_summed_up_by_its_better_side(tmp_path) -> None:
    lineage.write_readings(
        tmp_path, [Reading("a/up", "A", "higher"), Reading("b/*", "B", "lower"), Reading("c/c", "C")]
    )
    tracker = Wandb().start(tmp_path, {"label": "x", "above": []}, 0)
    for step, values in enumerate([(1.0, 1.0), (3.0, 0.0), (2.0, 2.0)]):
        tracker.run.log({AXIS: step, "a/up": values[0], "b/down": values[1], "c/c": step})
    tracker.close(finished=True)
    found = inspected(tmp_path)
    told = {metric.get("name") or metric["glob_name"]: metric for metric in records(found, "metric")}
    assert told["a/up"]["summary"] == {"last": True, "max": True}
    assert told["b/*"]["summary"] == {"last": True, "min": True}
    assert told["c/c"]["summary"] == {"last": True}
    assert told["b/*"]["step_metric"] == AXIS


def test_online_without_a_key_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="wandb login"):
        perform(composed([*WORDS, "tracker.wandb.mode=online", f"runs={tmp_path}"]))


@pytest.mark.slow
def test_the_table_keeps_the_newest_edits(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sandbox.tracker.wandb.ROWS", 3)
    folder = perform(composed([*WORDS, f"runs={tmp_path}"]))
    content = json.loads(next((folder / "wandb").rglob("edits_*.table.json")).read_text())
    assert [row[0] for row in content["data"]] == [2, 3, 3]  # two paths a step, three steps
