"""Mirrors on W&B's real client: what a server has after an upload, a resumption, a kill, a loss, and `wandb sync`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.archive import lineage
from sandbox.compose import composed
from sandbox.experiment import perform
from sandbox.folder import status
from sandbox.lines.mirror import follower, is_followed, read_mirror
from sandbox.mirror.command import dashboard, mirror
from sandbox.mirror.source import read_run
from tests.mirror.server import Kept, Server, serving

WORDS = ["task=quadratic", "rule=sgd", "meta_learner=self_adaptive", "gate=better", "seeds=2", "horizon=1",
         "meter=drift", "meter.drift.every=2", "label=\"it's=1,2\""]  # fmt: skip
PLAIN, MIRRORED = "tracker=[jsonl,checkpoint]", "tracker=[jsonl,checkpoint,wandb]"
pytestmark = pytest.mark.slow


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    with serving() as kept:
        for name, value in kept.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield kept


@pytest.fixture(autouse=True)
def _environment(monkeypatch) -> None:
    """`sandbox mirror` sets what its process needs."""
    for name in ("WANDB_MODE", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_SILENT", "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["pytest"])


def sandbox(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def only(server: Server) -> Kept:
    [kept] = server.runs.values()
    return kept


def steps(kept: Kept) -> list[int]:
    return [row["reflective_step"] for row in kept.rows]


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    over = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < over, "it did not happen"
        time.sleep(0.05)


def test_an_upload_has_every_row_table_chart_and_artifact(server) -> None:
    folder = perform(composed([*WORDS, PLAIN, "steps=6", "runs=runs"]), ["rule=sgd"])
    told = sandbox("mirror", str(folder), "--online", "project=mine", "tags=[a]")
    assert told.returncode == 0, told.stderr
    kept = only(server)
    assert steps(kept) == list(range(7))
    assert [row["_step"] for row in kept.rows] == list(range(7))
    assert kept.exit == 0
    assert kept.complete
    assert kept.told["project"] == "mine"
    assert "a" in kept.told["tags"]
    assert kept.told["jobType"] == kept.told["displayName"] == "it's=1,2"
    assert kept.config["rule"]["value"]["lr"] == 0.01
    axes = {one.get("1") or one.get("2"): one.get("4") or one.get("5") for one in kept.config["_wandb"]["value"]["m"]}
    assert {"*", "own", "reflective_step"} <= set(axes)
    assert (
        kept.config["_wandb"]["value"]["visualize"]["seeds/own"]["panel_config"]["panelDefId"] == "wandb/lineseries/v0"
    )
    tables = {path.rpartition("/")[2].partition("_")[0]: json.loads(content) for path, content in kept.files.items()
              if path.endswith(".table.json")}  # fmt: skip
    assert tables["own"]["columns"] == ["step", "lineKey", "lineVal"]
    edits = [line["edit"] for line in lineage.read(folder) if line["edit"]]
    assert len(tables["edits"]["data"]) == sum(map(len, edits)) > 0
    own = [sum(line["own"]) / 2 for line in lineage.read(folder)[1:]]
    assert kept.summary["own"]["best"] == pytest.approx(min(own), rel=1e-5)
    assert f"state-{read_mirror(folder)['id']}" in [one.get("artifactCollectionName") for one in server.artifacts]


def test_what_a_server_has_already_is_gone_on_with(server) -> None:
    folder = perform(composed([*WORDS, PLAIN, "steps=6", "runs=runs"]))
    assert sandbox("mirror", str(folder), "--online").returncode == 0
    kept, history = only(server), "wandb-history.jsonl"
    whole = [{key: row[key] for key in ("reflective_step", "own", "_step")} for row in kept.rows]
    kept.lines[history] = {n: text for n, text in kept.lines[history].items() if n < 3}  # the server was lost there
    kept.lines["wandb-summary.json"] = {0: kept.lines[history][2]}
    assert sandbox("mirror", str(folder), "--online").returncode == 0
    assert [{key: row[key] for key in ("reflective_step", "own", "_step")} for row in kept.rows] == whole
    assert sandbox("mirror", str(folder), "--online").returncode == 0
    assert len(kept.rows) == len(whole)  # and nothing twice


def test_a_longer_run_goes_on_where_the_shorter_one_was(server) -> None:
    words = [*WORDS, MIRRORED, "tracker.wandb.mode=online", "tracker.checkpoint.every=2", "runs=runs"]
    perform(composed([*words, "steps=4"]))
    assert steps(only(server)) == list(range(5))
    perform(composed([*words, "steps=8"]))
    assert steps(only(server)) == list(range(9))
    assert only(server).exit == 0


def test_a_killed_run_that_goes_on_is_synced_whole(server) -> None:
    words = ["preset=maml", "steps=120", "tracker.checkpoint.every=20", MIRRORED, "label=killed"]
    process = subprocess.Popen([sys.executable, "-m", "sandbox", *words], start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    until(lambda: any(len(path.read_bytes().splitlines()) > 50 for path in Path("runs").glob("killed-*/lineage.jsonl")))
    [folder] = Path("runs").glob("killed-*")
    until(lambda: bool(list(folder.glob("wandb/offline-run-*"))))
    os.killpg(process.pid, signal.SIGKILL)
    os.kill(follower(folder), signal.SIGKILL)  # the mirror too, in the middle of a line
    assert process.wait() == -signal.SIGKILL
    assert len((folder / "lineage.jsonl").read_bytes().splitlines()) < 121
    told = sandbox(*words)
    assert told.returncode == 0, told.stderr
    synced = subprocess.run([str(Path(sys.executable).with_name("wandb")), "sync", "--yes", str(folder / "wandb")],
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert synced.returncode == 0, synced.stderr
    assert steps(only(server)) == list(range(121))
    assert only(server).exit == 0


def test_a_mirror_tells_of_a_run_that_was_killed(server) -> None:
    words = ["preset=maml", "steps=5000", MIRRORED, "tracker.wandb.mode=online", "label=lost"]
    process = subprocess.Popen([sys.executable, "-m", "sandbox", *words], start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    until(lambda: any(kept.rows for kept in list(server.runs.values())))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    [folder] = Path("runs").glob("lost-*")
    until(lambda: not is_followed(folder))
    assert only(server).exit == 1
    assert steps(only(server)) == [line["step"] for line in lineage.read(folder)]


def test_w_and_bs_own_process_may_be_killed(server) -> None:
    words = ["preset=maml", "steps=400", MIRRORED, "label=alone"]
    process = subprocess.Popen([sys.executable, "-m", "sandbox", *words], start_new_session=True, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    until(lambda: bool(list(Path("runs").glob("alone-*/wandb/offline-run-*"))))
    [folder] = Path("runs").glob("alone-*")
    cores = [int(words.parent.name) for words in Path("/proc").glob("[0-9]*/cmdline") if core_of(words, folder)]
    assert cores
    for core in cores:
        os.kill(core, signal.SIGKILL)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    assert status(folder)["state"] == "finished"
    assert "sandbox mirror" in complaint
    assert sandbox("mirror", str(folder)).returncode == 0
    assert read_mirror(folder)["rows"] == 401


def core_of(words: Path, folder: Path) -> bool:
    """Whether a process is the uploader of a run's mirror: it was begun with the mirror's id."""
    try:
        return b"wandb-core" in words.read_bytes() and f"port-{follower(folder)}.txt".encode() in words.read_bytes()
    except OSError:
        return False


def test_a_server_that_goes_away_neither_fails_nor_holds_the_run(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "preset=maml",
        "steps=300",
        MIRRORED,
        "tracker.wandb.mode=online",
        "tracker.wandb.deadline=4",
        "label=away",
    ]
    with serving() as server:
        environment = os.environ | server.environment
        process = subprocess.Popen([sys.executable, "-m", "sandbox", *words], env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        until(lambda: bool(server.runs))
    _, complaint = process.communicate(timeout=90)
    [folder] = Path("runs").glob("away-*")
    assert process.returncode == 0, complaint
    assert status(folder)["state"] == "finished"
    assert "in the background" in complaint
    assert is_followed(folder)
    os.kill(follower(folder), signal.SIGKILL)  # it would go on for minutes
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.environment["WANDB_BASE_URL"])
        monkeypatch.setenv("WANDB_API_KEY", server.environment["WANDB_API_KEY"])
        assert sandbox("mirror", str(folder)).returncode == 0  # online, as the run was
        assert steps(only(server)) == list(range(301))


def test_a_failed_run_is_mirrored_as_failed_and_alerts(server) -> None:
    words = ["task=quadratic", "rule=sgd", "meta_learner=none", "seeds=1", "steps=30", "horizon=5", "meter=drift",
             "rule.lr=4", "label=up", MIRRORED, "tracker.wandb.mode=online"]  # fmt: skip
    assert sandbox(*words).returncode == 2
    [folder] = Path("runs").glob("up-*")
    assert steps(only(server)) == [line["step"] for line in lineage.read(folder)]
    assert only(server).exit == 1
    assert any("lert" in name for name in server.asked)


def test_dashboards_name_what_mirrors_write(server, capsys) -> None:
    folder = perform(composed([*WORDS, PLAIN, "steps=2", "sweep=dial", "runs=runs"]))
    assert mirror([str(folder)], [], "online") == 0
    assert dashboard("show", [str(folder)], []) == 0
    shown = capsys.readouterr().out
    written = {key for row in only(server).rows for key in row}
    named = [
        key for line in shown.splitlines() if line.startswith("  ") for key in line.strip().split("  ")[0].split(", ")
    ]
    assert {"own", "own_low", "rule/lr", "inner/drift/params", "gate/accepted", "edit/rule/lr"} <= set(named)
    assert {key for key in named if not key.startswith("seeds/")} <= written
    assert {f"{key}_table" for key in named if key.startswith("seeds/")} <= written
    assert dashboard("push", [str(folder)], []) == 0
    assert [view["type"] for view in server.views] == ["project-view", "runs"]
    for view in server.views:
        assert view["displayName"] == "dial"
        assert all(json.dumps(key) in view["spec"] for key in ("own_low", "inner/drift/params", "edits"))
    assert read_run(folder).config["sweep"] == "dial"
