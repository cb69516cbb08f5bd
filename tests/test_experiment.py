"""Runs on disk: continued as if never stopped, skipped when finished, replayed in a fresh process, told when torn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sandbox import experiment
from sandbox.archive import checkpoint, lineage
from sandbox.core.error import ConfigError, LifeError, LineageError
from sandbox.launch import composed
from sandbox.loop.reflect import Loop
from sandbox.tracker.checkpoint import CheckpointTracker
from sandbox.tracker.jsonl import JsonlTracker

COMMAND = [str(Path(sys.executable).with_name("sandbox"))]
SMALL = ["seeds=2", "horizon=2", "meter=[drift]", "tracker.checkpoint.every=4"]
ON_DISK = "tracker=[jsonl,checkpoint]"
SINES = ["task=sinusoid", "rule=sgd", "meta_learner=meta_gradient", "meta_learner.edits=[rule/lr]", "gate=paired_t",
         "gate.trials=2"]  # fmt: skip
DIVERGING = ["task=quadratic", "rule=sgd", "rule.lr=1e5", "meta_learner=none"]
PLAYING = ["meta_learner=yoked", "meta_learner.source=intact", "meta_learner.of.edits=[rule/lr,rule/trust]"]

Compose = Callable[..., dict[str, Any]]
compose = cache(composed)


@pytest.fixture
def config(tmp_path) -> Compose:
    """Composes a small run, kept under `tmp_path/<runs>`; of sine waves, where nothing else is named."""

    def make(*overrides: str, world: Sequence[str] = SINES, runs: str = "runs") -> dict[str, Any]:
        return compose((*SMALL, ON_DISK, "steps=10", *world, *overrides)) | {"runs": str(tmp_path / runs)}

    return make


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """The lineage of the small run, uninterrupted."""
    runs = str(tmp_path_factory.mktemp("whole"))
    return lines(experiment.perform(compose((*SMALL, ON_DISK, "steps=10", *SINES)) | {"runs": runs}))


def lines(folder: Path) -> str:
    return (folder / lineage.LINEAGE).read_text()


def status(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())


@pytest.fixture
def dies(monkeypatch):
    """Makes the next run die by `error` when its tracker is handed the record of `step`."""

    def arrange(tracker: type, step: int, error: BaseException) -> None:
        write = tracker.write

        def torn(self, record):
            if record.step == step:
                monkeypatch.setattr(tracker, "write", write)
                raise error
            write(self, record)

        monkeypatch.setattr(tracker, "write", torn)

    return arrange


# ---- a run folder ---------------------------------------------------------------------------------------------------


def test_a_finished_run_is_all_there(config):
    folder = experiment.perform(config(), ["steps=10"])
    assert folder.name == f"check-{experiment.identity(config())}"
    assert [line["step"] for line in lineage.read(folder)] == list(range(11))
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config()
    assert status(folder)["state"] == "finished"
    assert (status(folder)["step"], status(folder)["steps"]) == (10, 10)
    about = json.loads((folder / "about.json").read_text())[0]
    assert about["overrides"] == ["steps=10"]
    assert about["threads"] == 1
    assert about["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert [path.name for path in sorted((folder / checkpoint.CHECKPOINTS).iterdir())] == [
        "00000008.json",
        "00000010.json",
    ]


def test_the_same_command_again_skips_what_is_finished(config, monkeypatch):
    folder = experiment.perform(config())
    monkeypatch.setattr(Loop, "run", lambda *_, **__: pytest.fail("it ran again"))
    assert experiment.perform(config("label=another")) == folder


def test_identity_is_what_a_run_is(config):
    name = experiment.identity(config())
    cosmetic = ["label=x", "tracker.checkpoint.every=7"]
    assert {experiment.identity(config(override)) for override in cosmetic} == {name}
    assert experiment.identity(config(runs="elsewhere") | {"tracker": {}}) == name
    other = ["steps=11", "seed=1", "seeds=3", "rule.lr=0.02", "horizon=3", "gate.alpha=0.1", "meter=[]", "threads=2",
             "meta_learner.lr=0.1", "lifetime=episodic", "faults=refuse", "task.shots=9"]  # fmt: skip
    assert len({name, *(experiment.identity(config(override)) for override in other)}) == len(other) + 1


def test_a_tracker_never_shifts_a_run(config, whole):
    alone = {"jsonl": config()["tracker"]["jsonl"]}
    assert lines(experiment.perform(config() | {"tracker": alone})) == whole


def test_what_can_not_be_built_leaves_no_folder(config, tmp_path):
    with pytest.raises(ConfigError, match=r"Did you mean 'lr'"):
        experiment.perform(config("+rule.lrr=1"))
    with pytest.raises(ConfigError, match=r"a known key; got 'stepz'\. Did you mean 'steps'"):
        experiment.perform(config("+stepz=1"))
    with pytest.raises(ConfigError, match=r"a whole number of 1 or more at seeds; got 0"):
        experiment.perform(config("seeds=0"))
    assert not (tmp_path / "runs").exists()


def test_a_failed_run_says_why_and_keeps_what_it_has(config):
    dying = config(world=DIVERGING)
    with pytest.raises(LifeError, match=r"in seeds \[0, 1\]"):
        experiment.perform(dying)
    folder = experiment.folder_of(dying)
    assert status(folder)["state"] == "failed"
    assert "no edit to roll back" in status(folder)["error"]
    kept = lineage.read(folder)
    assert 1 < len(kept) < 11
    assert [line["step"] for line in kept] == list(range(len(kept)))
    with pytest.raises(LifeError):  # from where it stopped, with the same end
        experiment.perform(dying)
    assert lineage.read(folder) == kept


# ---- continued ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tracker", [JsonlTracker, CheckpointTracker])
@pytest.mark.parametrize("step", [0, 1, 4, 5, 10])
def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not(tracker, step, config, dies, whole):
    dies(tracker, step, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        experiment.perform(config())
    folder = experiment.folder_of(config())
    assert status(folder)["state"] == "interrupted"
    assert lines(folder) != whole or step == 10
    assert experiment.perform(config("label=another")) == folder
    assert lines(folder) == whole
    assert status(folder)["state"] == "finished"


def test_a_run_that_failed_goes_on_too(config, dies, whole):
    dies(JsonlTracker, 5, MemoryError("full"))
    with pytest.raises(MemoryError):
        experiment.perform(config())
    assert status(experiment.folder_of(config()))["state"] == "failed"
    assert status(experiment.folder_of(config()))["error"] == "MemoryError: full"
    assert lines(experiment.perform(config())) == whole


def test_a_tower_that_died_goes_on_as_if_it_had_not(config, dies):
    above = ("above=[{meta_learner:{_target_:sandbox.meta_learner.meta_gradient.MetaGradient,edits:[meta/1/lr]},"
             "gate:{_target_:sandbox.gate.always.Always},horizon:2}]")  # fmt: skip
    through = experiment.perform(config(above, runs="through"))
    dies(CheckpointTracker, 5, KeyboardInterrupt())  # at level 1, in the middle of a step of level 2
    with pytest.raises(KeyboardInterrupt):
        experiment.perform(config(above))
    experiment.perform(config(above))
    assert lines(experiment.folder_of(config(above))) == lines(through)
    assert {line["level"] for line in lineage.read(through)} == {1, 2}


def test_the_checkpoint_of_another_disk_is_told(config, dies):
    dies(CheckpointTracker, 6, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        experiment.perform(config())
    folder = experiment.folder_of(config())
    shutil.rmtree(folder / checkpoint.BLOBS)
    with pytest.raises(LineageError, match="a blob that hashes to its name"):
        experiment.perform(config())


def launched(tmp_path: Path, *overrides: str) -> subprocess.Popen[str]:
    """A run of its own, that can be interrupted also where the tests themselves ignore it (in the background)."""
    return subprocess.Popen([*COMMAND, *overrides, *SMALL, *SINES, f"runs={tmp_path / 'runs'}"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip


def reached(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Waits until a lineage has got to `step`."""
    path, until = folder / lineage.LINEAGE, time.monotonic() + 60
    while not path.exists() or path.read_text().count("\n") <= step:
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_killed_goes_on_as_if_it_had_not(kind, config, tmp_path):
    long = config("steps=100")
    folder = experiment.folder_of(long)
    with launched(tmp_path, "steps=100", "label=check", ON_DISK) as process:
        reached(folder, 30, process)
        process.send_signal(kind)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if kind == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in said
    assert status(folder)["state"] == ("interrupted" if kind == signal.SIGINT else "running")
    done = lines(folder).count("\n")
    assert 30 < done < 101, "it was to be killed in the middle"
    experiment.perform(long)
    assert lines(folder) == lines(experiment.perform(config("steps=100", runs="through")))


# ---- replayed -------------------------------------------------------------------------------------------------------


def test_a_run_replays(config):
    assert experiment.replay(experiment.perform(config())) == 11


def test_a_run_replays_in_a_fresh_process(config):
    folder = experiment.perform(config())
    again = subprocess.run([*COMMAND, "replay", str(folder)], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "11 lines replay" in again.stdout


@pytest.mark.parametrize(
    ("key", "change"),
    [("digest", lambda old: [old[0], "0" * 16]), ("own", lambda old: [old[0], old[1] + 1e-12]),
     ("verdict", lambda old: ["accepted" if old[0] != "accepted" else "rejected", old[1]]),
     ("readings", lambda old: {**old, "drift/params": [0.0, 0.0]}), ("note", lambda old: "another")],
)  # fmt: skip
def test_a_tampered_line_is_named(key, change, config):
    folder = experiment.perform(config())
    whole = lines(folder).splitlines()
    line = json.loads(whole[6])
    whole[6] = json.dumps({**line, key: change(line[key])})
    (folder / lineage.LINEAGE).write_text("\n".join(whole) + "\n")
    with pytest.raises(LineageError, match=rf"line 7 \(step 6\) of .*got another '{key}[\[.']"):
        experiment.replay(folder)


@pytest.mark.parametrize(("change", "said"), [(lambda whole: [*whole, whole[-1]], "Lines were added"),
                                              (lambda whole: whole[:-3], "Lines were taken away"),
                                              (lambda whole: [], "Lines were taken away")])  # fmt: skip
def test_a_lineage_too_long_or_too_short_does_not_replay(change, said, config):
    folder = experiment.perform(config())
    (folder / lineage.LINEAGE).write_text("".join(f"{line}\n" for line in change(lines(folder).splitlines())))
    with pytest.raises(LineageError, match=said):
        experiment.replay(folder)


TOWER = (
    "above=[{meta_learner:{_target_:sandbox.meta_learner.none.Nothing},"
    "gate:{_target_:sandbox.gate.always.Always},horizon:2}]"
)


@pytest.mark.parametrize("words", [["seeds=1"], [TOWER]])
def test_a_control_that_can_not_be_is_told_before_its_source_runs(words, tmp_path):
    with pytest.raises(ConfigError, match="a yoked control of one level, of two seeds or more"):
        experiment.perform(composed(["experiment=first_light/own_yoked", "seeds=2", *words, f"runs={tmp_path}"]))
    assert not list(tmp_path.glob("own-*"))


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(LineageError, match=r"a run folder with config\.yaml"):
        experiment.replay(tmp_path)


# ---- controls -------------------------------------------------------------------------------------------------------


def test_a_control_runs_what_it_lives_by_and_lives_exactly_so(config):
    yoked = experiment.perform(config("seeds=3", world=PLAYING))
    [source] = list(yoked.parent.glob("intact-*"))
    intact = ["meta_learner=reflective", "meta_learner.edits=[rule/lr,rule/trust]"]
    assert experiment.folder_of(config("seeds=3", world=intact)) == source
    theirs, ours = lineage.read(source)[1:], lineage.read(yoked)[1:]
    assert len(ours) == 10
    for there, here in zip(theirs, ours, strict=True):
        assert there["verdict"] == here["verdict"] == ["accepted"] * 3
        for path in ("rule/lr", "rule/trust"):
            value = there["edit"][path]["value"]
            assert here["edit"][path]["value"] == [value[1], value[2], value[0]]
    assert ours[-1]["edit"]["rule/lr"]["value"] != theirs[-1]["edit"]["rule/lr"]["value"]


def test_the_mean_course_is_the_same_for_all(config):
    other, mean = (experiment.perform(config(f"meta_learner.by={by}", world=PLAYING)) for by in ("other", "mean"))
    assert len(list(mean.parent.glob("intact-*"))) == 1
    for theirs, ours in zip(lineage.read(other)[1:], lineage.read(mean)[1:], strict=True):
        value = torch.tensor(theirs["edit"]["rule/lr"]["value"]).mean()
        assert ours["edit"]["rule/lr"]["value"] == pytest.approx([float(value)] * 2, rel=1e-6)


# ---- sweeps and mirrors ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_extended_sweep_runs_only_what_is_new(tmp_path):
    def sweep(values: str) -> dict[str, int]:
        arguments = ["-m", f"rule.lr={values}", "steps=3", "label=sweep", ON_DISK]
        with launched(tmp_path, *arguments) as process:
            said, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint
        assert "sandbox report" in said
        return {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/sweep-*/status.json")}

    first, extended = sweep("0.001,0.002"), sweep("0.001,0.002,0.003")
    assert len(first) == 2
    assert len(extended) == 3
    assert {name: when for name, when in extended.items() if name in first} == first
    launches = [path.read_text().splitlines() for path in sorted(tmp_path.glob("runs/launches/*.jsonl"))]
    assert [len(entries) for entries in launches] == [2, 3]


def test_the_mirror_in_wandb_has_every_step(tmp_path):
    arguments = ["steps=3", "label=mirrored", "tracker=[jsonl,checkpoint,wandb]", "tracker.wandb.by_seed=true"]
    with launched(tmp_path, *arguments) as process:
        said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    folder = tmp_path / said.split()[-1]
    [mirror] = folder.glob("wandb/offline-run-*")
    inspect = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", str(mirror), "--json"]
    environment = os.environ | {"WANDB_DATA_DIR": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path)}
    found = subprocess.run(inspect, capture_output=True, text=True, check=True, env=environment)
    events = [json.loads(line) for line in found.stdout.splitlines()]
    assert "sandbox.rule.sgd.SGD" in json.dumps([event["run"]["config"] for event in events if event["type"] == "run"])
    rows = [event["history"]["item"] for event in events if event["type"] == "history"]
    rows = [row for row in rows if "own" in row]  # the table of edits has a row of its own
    written = lineage.read(folder)
    assert [row["reflective_step"] for row in rows] == [line["step"] for line in written] == [0, 1, 2, 3]
    for row, line in zip(rows, written, strict=True):
        drift = line["readings"]["drift/params"]
        assert row["drift/params"] == pytest.approx(sum(drift) / 2, rel=1e-5)
        assert row["seed_1/drift/params"] == pytest.approx(drift[1], rel=1e-5)
