"""Runs on disk: continued as if never stopped, skipped when finished, replayed in a fresh process, told when torn."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sandbox import experiment
from sandbox.archive import checkpoint, lineage
from sandbox.compose import composed
from sandbox.core.error import ConfigError, LifeError, LineageError, StaleError
from sandbox.lines.place import claimed
from sandbox.loop import describe
from sandbox.loop.reflect import Loop
from sandbox.replay import replay
from sandbox.sweep import launch
from sandbox.tracker.checkpoint import CheckpointTracker
from sandbox.tracker.jsonl import JsonlTracker

COMMAND = [str(Path(sys.executable).with_name("sandbox"))]
SMALL = ["seeds=2", "horizon=2", "meter=[drift]", "meter.drift.every=1", "tracker.checkpoint.every=4"]
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
        return compose((*SMALL, ON_DISK, "steps=10", "label=check", *world, *overrides)) | {
            "runs": str(tmp_path / runs)
        }

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
    cosmetic = ["label=x", "tracker.checkpoint.every=7", "steps=11", "trust=[mine]", "force=true"]
    assert {experiment.identity(config(override)) for override in cosmetic} == {name}
    assert experiment.identity(config(runs="elsewhere") | {"tracker": {}}) == name
    other = ["tasks=2", "seed=1", "seeds=3", "rule.lr=0.02", "horizon=3", "gate.alpha=0.1", "meter=[]", "threads=2",
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


ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SLOWER = [pytest.param(kind, marks=pytest.mark.slow) for kind in ENDS]


@pytest.mark.parametrize("kind", [signal.SIGKILL, *SLOWER])
def test_a_process_that_is_killed_goes_on_as_if_it_had_not(kind, config, tmp_path):
    long = config("steps=100")
    folder = experiment.folder_of(long)
    with launched(tmp_path, "steps=100", "label=check", ON_DISK) as process:
        reached(folder, 30, process)
        process.send_signal(kind)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if kind in ENDS else -signal.SIGKILL)
    assert "Traceback" not in said
    assert status(folder)["state"] == ("interrupted" if kind in ENDS else "running")
    done = lines(folder).count("\n")
    if kind in ENDS:
        assert checkpoint.steps(folder)[-1] == done - 1
    assert 30 < done < 101, "it was to be killed in the middle"
    experiment.perform(long)
    assert lines(folder) == lines(experiment.perform(config("steps=100", runs="through")))


@pytest.mark.slow
def test_a_sweep_that_is_terminated_keeps_what_its_workers_have(tmp_path, config):
    """The signal that the parent gets reaches the runs in its workers."""
    runs = [config("steps=400", f"seed={seed}") for seed in (0, 10)]
    folders = [experiment.folder_of(run) for run in runs]
    with launched(tmp_path, "-m", "steps=400", "seed=0,10", "label=check", ON_DISK) as process:
        for folder in folders:
            reached(folder, 5, process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    for folder in folders:
        assert status(folder)["state"] == "interrupted"
        assert checkpoint.steps(folder)[-1] == lines(folder).count("\n") - 1


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_every_launcher_runs_and_its_workers_need_nothing_of_the_parent_s_environment(launcher, tmp_path):
    words = ["-m", f"hydra/launcher={launcher}", "seed=0,1", "steps=2", "label=check", ON_DISK]
    with launched(tmp_path, *words) as process:
        said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    [manifest] = (tmp_path / "runs" / "launches").glob("*.jsonl")
    assert len(manifest.read_text().splitlines()) == len(list(tmp_path.glob("runs/check-*"))) == 2
    assert "sandbox report" in said
    assert "SANDBOX" not in Path(launch.__file__).read_text()


# ---- replayed -------------------------------------------------------------------------------------------------------


def test_a_run_replays(config):
    assert replay(experiment.perform(config())) == 11


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
    line = json.loads(whole[10])
    whole[10] = json.dumps({**line, key: change(line[key])})
    (folder / lineage.LINEAGE).write_text("\n".join(whole) + "\n")
    with pytest.raises(LineageError, match=rf"line 11 \(step 10\) of .*got another '{key}[\[.']"):
        replay(folder)


@pytest.mark.parametrize(("change", "said"), [(lambda whole: [*whole, whole[-1]], "Lines were added"),
                                              (lambda whole: whole[:-3], "Lines were taken away"),
                                              (lambda whole: [], "Lines were taken away")])  # fmt: skip
def test_a_lineage_too_long_or_too_short_does_not_replay(change, said, config):
    folder = experiment.perform(config())
    (folder / lineage.LINEAGE).write_text("".join(f"{line}\n" for line in change(lines(folder).splitlines())))
    with pytest.raises(LineageError, match=said):
        replay(folder)


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
        replay(tmp_path)


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


# ---- longer and shorter ---------------------------------------------------------------------------------------------


LONGER = {  # as many steps as a run had, what else it had, and from where a longer one goes on
    "on the beat": ("steps=8", "tracker.checkpoint.every=4", "meter.drift.every=4", 8),
    "off the beat": ("steps=10", "tracker.checkpoint.every=4", "meter.drift.every=4", 8),
    "read at the last step alone": ("steps=8", "tracker.checkpoint.every=4", "meter.drift.every=3", 4),
    "with no other checkpoint": ("steps=10", "tracker.checkpoint.every=50", "meter.drift.every=3", 0),
}


@pytest.mark.parametrize("case", LONGER)
def test_a_longer_run_goes_on_and_is_as_if_asked_for_at_once(case, config, monkeypatch):
    monkeypatch.setattr(describe, "DIGEST_EVERY", 4, raising=False)
    short, *rest, start = LONGER[case]
    folder = experiment.perform(config(short, *rest))
    was = lines(folder)
    assert experiment.perform(config("steps=14", *rest)) == folder
    assert status(folder)["from_step"] == start
    assert (status(folder)["step"], status(folder)["steps"]) == (14, 14)
    assert lines(folder) == lines(experiment.perform(config("steps=14", *rest, runs="at_once")))
    assert replay(folder) == 15
    assert (folder / "past" / "1" / lineage.LINEAGE).read_text() == was


def test_a_longer_run_that_dies_at_once_never_takes_up_the_other_s_last_step(config, monkeypatch):
    """Between the first word of the longer run and its first record."""
    words = ["tracker.checkpoint.every=4", "meter.drift.every=3"]
    folder = experiment.perform(config("steps=8", *words))
    monkeypatch.setattr(JsonlTracker, "write", lambda *_: pytest.fail("dies"))
    with pytest.raises(BaseException, match="dies"):
        experiment.perform(config("steps=14", *words))
    monkeypatch.undo()
    experiment.perform(config("steps=14", *words))
    assert lines(folder) == lines(experiment.perform(config("steps=14", *words, runs="at_once")))


def test_a_shorter_run_is_there_already_and_told(config, monkeypatch):
    folder = experiment.perform(config("steps=10"))
    monkeypatch.setattr(Loop, "run", lambda *_, **__: pytest.fail("it ran again"))
    told: list[str] = []
    was = lines(folder)
    assert experiment.perform(config("steps=4"), tell=told.append) == folder
    assert told == [f"{folder.name}: asked for 4 steps; it has 10, which are kept"]
    assert lines(folder) == was


@pytest.mark.parametrize(
    "words", [["rule.lr=1"], ["rule.lr=1.0"], ["rule.lr=1e0"], ["++rule.per_parameter=false", "rule.lr=1"]]
)
def test_one_value_in_two_spellings_is_one_run(words, config):
    assert experiment.identity(config(*words)) == experiment.identity(config("rule.lr=1.00"))
    bare = config(*words)
    bare["rule"] = {"_target_": "sandbox.rule.sgd.SGD", "lr": 1}
    assert experiment.identity(bare) == experiment.identity(config(*words))


@pytest.mark.parametrize(("one", "other"), [("task.curvature=[1,2]", "task.curvature=[1.0,2]"),
                                            ("meta_learner.of.step=1", "meta_learner.of.step=1.0")])  # fmt: skip
def test_so_it_is_in_lists_and_in_nodes_within(one, other, config):
    world = ["task=quadratic", "meta_learner=yoked"]
    assert experiment.identity(config(one, world=world)) == experiment.identity(config(other, world=world))
    assert experiment.identity(config(one, world=world)) != experiment.identity(config(world=world))


# ---- lost, or made by other code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["gone", "empty", "shortened"])
def test_a_run_whose_lineage_was_lost_runs_again(harm, config, whole):
    folder = experiment.perform(config())
    path = folder / lineage.LINEAGE
    if harm == "gone":
        path.unlink()
    else:
        path.write_text("" if harm == "empty" else "".join(f"{line}\n" for line in whole.splitlines()[:7]))
    assert experiment.perform(config()) == folder
    assert lines(folder) == whole
    assert replay(folder) == 11


def test_a_run_that_recorded_nothing_is_never_skipped(config, whole):
    silent = config() | {"tracker": {}}
    folder = experiment.perform(silent)
    assert not (folder / lineage.LINEAGE).exists()
    assert lines(experiment.perform(config())) == whole
    alone = config(runs="alone") | {"tracker": {"checkpoint": config()["tracker"]["checkpoint"]}}
    experiment.perform(alone)
    assert lines(experiment.perform(config(runs="alone"))) == whole


MINE = """
from dataclasses import dataclass
from sandbox.rule.sgd import SGD

@dataclass(frozen=True)
class Mine(SGD):
    def loss(self, *given):
        if {broken}:
            raise MemoryError("of this code")
        return super().loss(*given) * {factor}
"""


@pytest.fixture
def mine(config, tmp_path, monkeypatch) -> Callable[..., dict[str, Any]]:
    """A small run by a rule of one's own, whose code is written anew each time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(*overrides: str, factor: float = 1.0, broken: str = "False") -> dict[str, Any]:
        (tmp_path / "mine.py").write_text(MINE.format(factor=factor, broken=broken))
        sys.modules.pop("mine", None)
        invalidate_caches()
        words = ["task=quadratic", "rule._target_=mine.Mine", "meta_learner=none", "trust=[mine]"]
        return config(*overrides, world=words)

    yield make
    sys.modules.pop("mine", None)


def test_the_result_of_other_code_is_not_passed_off(mine):
    folder = experiment.perform(mine())
    was = lines(folder)
    assert experiment.perform(mine()) == folder
    with pytest.raises(
        StaleError, match=r"made with \(finished, step 10\); got what changed since: mine.Mine \(mine\)"
    ):
        experiment.perform(mine(factor=2.0))
    assert lines(folder) == was
    told: list[str] = []
    assert experiment.perform(mine("force=true", factor=2.0), tell=told.append) == folder
    assert told == [f"{folder.name}: runs anew; what was there is in {folder.name}/past/1"]
    assert lines(folder) != was
    assert (folder / "past" / "1" / lineage.LINEAGE).read_text() == was
    assert experiment.perform(mine(factor=2.0)) == folder
    assert "mine.Mine" in json.loads((folder / "about.json").read_text())[0]["code"]


def test_force_runs_anew_what_is_finished_and_changed_only_what_changed(mine):
    folder = experiment.perform(mine())
    experiment.perform(mine("force=changed"))
    assert not (folder / "past").exists()
    experiment.perform(mine("force=true"))
    assert [path.name for path in (folder / "past").iterdir()] == ["1"]
    experiment.perform(mine("force=changed", factor=3.0))
    assert {path.name for path in (folder / "past").iterdir()} == {"1", "2"}
    assert yaml.safe_load((folder / "config.yaml").read_text())["force"] is False


def test_a_half_done_run_is_not_gone_on_with_by_other_code(mine, dies):
    dies(CheckpointTracker, 6, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        experiment.perform(mine())
    with pytest.raises(StaleError, match=r"\(interrupted, step [56]\)"):
        experiment.perform(mine(factor=2.0))


def test_a_run_that_failed_runs_anew_with_mended_code(mine, dies):
    dies(JsonlTracker, 5, MemoryError("of this code"))
    with pytest.raises(MemoryError):
        experiment.perform(mine())
    told: list[str] = []
    folder = experiment.perform(mine(factor=2.0), tell=told.append)
    assert status(folder)["from_step"] == 0
    assert "runs anew" in told[0]


def test_what_a_yoked_control_lives_by_is_forced_only_where_its_code_changed(config):
    control = experiment.perform(config(world=PLAYING))
    [source] = list(control.parent.glob("intact-*"))
    experiment.perform(config("force=true", world=PLAYING))
    assert (control / "past").exists()
    assert not (source / "past").exists()


@pytest.mark.slow
def test_a_second_process_waits_for_the_first(config):
    """The folder is locked while a run lives in it: another that is asked for it goes on when that is over."""
    folder = experiment.perform(config())
    code = f"from sandbox.folder import *\nwith claimed(Path({str(folder)!r})): print('in')"
    with claimed(folder):
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=6)
    assert other.communicate(timeout=60)[0] == "in\n"
