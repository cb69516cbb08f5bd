"""What a run with W&B leaves, read back by W&B's own command; and what the run itself does not do for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.archive import lineage
from sandbox.compose import composed
from sandbox.core.error import ConfigError
from sandbox.experiment import perform
from sandbox.folder import status
from sandbox.lines.mirror import read_mirror
from sandbox.mirror.settings import Settings
from sandbox.tracker.wandb import Wandb

WORDS = ["task=quadratic", "rule=sgd", "meta_learner=self_adaptive", "gate=better", "seeds=2", "steps=3", "horizon=1",
         "meter=drift", "meter.drift.every=1", "tracker=[jsonl,checkpoint,wandb]", "label=a label"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[tuple[Path, list[dict]]]:
    """A run folder and the records of its W&B run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_NAME"):
            patch.delenv(name, raising=False)
        folder = perform(composed([*WORDS, f"runs={tmp_path_factory.mktemp('runs')}"]), ["rule=sgd", "seeds=2"])
        yield folder, inspected(folder)


def inspected(folder: Path) -> list[dict]:
    [offline] = (folder / "wandb").glob("offline-run-*")
    inspect = [Path(sys.executable).with_name("wandb"), "leet", "inspect", str(offline), "--json"]
    printed = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def records(found: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in found if record["type"] == kind]


def test_each_step_is_a_row_and_nothing_else_is(run) -> None:
    folder, found = run
    rows = [record["item"] for record in records(found, "history")]
    assert [row["reflective_step"] for row in rows] == [0, 1, 2, 3]
    assert all("own" in row for row in rows)
    for row, line in zip(rows[1:], lineage.read(folder)[1:], strict=True):
        assert row["own"] == pytest.approx(sum(line["own"]) / 2, rel=1e-5)
        assert row["own_low"] < row["own"] < row["own_high"]
        assert row["rule/lr"] == pytest.approx(sum(line["readings"]["rule/lr"]) / 2, rel=1e-5)
        assert row["inner/drift/params"] == pytest.approx(sum(line["readings"]["drift/params"]) / 2, rel=1e-5)
        assert row["gate/accepted"] == line["verdict"].count("accepted") / 2
        assert row["inner_step"] == line["t"]
    assert [record.get("exit_code") for record in records(found, "exit")] == [0]
    assert read_mirror(folder)["rows"] == 4


def test_readings_have_their_axis_though_they_are_named_alone(run) -> None:
    told = {one.get("name") or one.get("glob_name"): one.get("step_metric") for one in records(run[1], "metric")}
    assert told["*"] == told["own"] == told["rule/*"] == "reflective_step"
    assert told["inner/*"] == told["inner/drift/params"] == "inner_step"


def test_the_summary_has_the_last_and_the_best(run) -> None:
    folder, found = run
    updates = [update for record in records(found, "summary") for update in record["update"].items()]
    told = dict(updates)
    own = [sum(line["own"]) / 2 for line in lineage.read(folder)[1:]]
    assert told.get("own.best", told.get("own", {}).get("best")) == pytest.approx(min(own), rel=1e-5)
    assert told.get("own.last", told.get("own", {}).get("last")) == pytest.approx(own[-1], rel=1e-5)


def test_the_run_is_filed_by_its_label_and_can_be_pasted(run) -> None:
    folder, found = run
    described = records(found, "run")[0]
    assert described["run_id"] == folder.name
    assert (described["project"], described["display_name"], described["job_type"]) == ("sandbox", "a label", "a label")
    assert described["run_group"].startswith("a_label-")  # no spaces in the address of a group
    assert described["notes"] == "sandbox rule=sgd seeds=2"
    assert described["config"]["update"]["rule"]["lr"] == 0.01
    assert next(one["args"] for one in records(found, "environment") if "args" in one) == ["rule=sgd", "seeds=2"]


def test_edits_are_a_table_that_tells_what_changed(run) -> None:
    table = json.loads(next((run[0] / "wandb").rglob("edits_*.table.json")).read_text())
    assert table["columns"][:3] == ["step", "level", "path"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert {row["path"] for row in rows} == {"rule/lr", "meta/1/sigma"}
    assert all("→" in row["difference"] for row in rows)
    assert {word for row in rows for word in row["verdict"].replace(",", "").split()} & {"accepted", "rejected"}


@pytest.mark.slow
def test_the_process_of_the_run_never_imports_wandb(tmp_path) -> None:
    code = f"""
import sys
from sandbox.compose import composed
from sandbox.experiment import perform
folder = perform(composed({[*WORDS, f"runs={tmp_path}"]}))
assert (folder / "mirror.json").exists()
sys.exit("wandb" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tracker_and_mirror_have_the_same_settings() -> None:
    own = {name: default for name, default in vars(Wandb()).items() if name != "deadline"}
    assert own == vars(Settings())


def test_a_mistyped_mode_is_refused_before_anything_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(ConfigError, match="WANDB_MODE") as told:
        perform(composed([*WORDS, f"runs={tmp_path / 'runs'}"]))
    assert "online" in str(told.value)
    assert not (tmp_path / "runs").exists()


def test_the_environment_may_disable_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    told: list[str] = []
    folder = perform(composed([*WORDS, f"runs={tmp_path}"]), tell=told.append)
    assert not (folder / "wandb").exists()
    assert not told


@pytest.mark.slow
def test_a_run_that_had_no_tracker_gets_its_mirror_when_it_is_skipped(tmp_path) -> None:
    words = [*WORDS, f"runs={tmp_path}"]
    folder = perform(composed([*words, "tracker=[jsonl,checkpoint]"]))
    assert not (folder / "wandb").exists()
    before = (folder / "lineage.jsonl").read_bytes()
    assert perform(composed(words)) == folder
    assert len(records(inspected(folder), "history")) == 4
    assert (folder / "lineage.jsonl").read_bytes() == before


@pytest.mark.slow
def test_without_a_key_the_run_is_finished_and_what_to_do_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    told: list[str] = []
    folder = perform(composed([*WORDS, "tracker.wandb.mode=online", f"runs={tmp_path}"]), tell=told.append)
    assert status(folder)["state"] == "finished"
    assert len(told) == 1
    assert "API key" in told[0]
    assert f"sandbox mirror {folder}" in told[0]


@pytest.mark.slow
def test_a_deadline_bounds_the_end_and_the_rest_is_done_in_the_background(tmp_path) -> None:
    told: list[str] = []
    folder = perform(composed([*WORDS, "tracker.wandb.deadline=0", f"runs={tmp_path}"]), tell=told.append)
    assert status(folder)["state"] == "finished"
    assert "in the background" in told[0]
    for _ in range(200):
        if read_mirror(folder).get("state") == "whole":
            break
        time.sleep(0.1)
    assert len(records(inspected(folder), "history")) == 4
