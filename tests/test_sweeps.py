"""Sweeps from their command to their end: what is planned, what is told before, what a kill costs, what goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.commands import ls, resume, rm
from sandbox.core.error import ConfigError
from sandbox.lines.launch import Plan, append, entries, folder_of, held, launches, lives, read_plan, swept, write_plan
from sandbox.lines.place import checked_label, claimed, folder_name, mark, status
from sandbox.report.progress import span
from sandbox.report.sweeps import sweep, sweeps
from sandbox.sweep.again import _commands
from sandbox.sweep.memory import Memory
from sandbox.sweep.plan import jobs_of, planned, warnings

COMMAND = [sys.executable, "-m", "sandbox"]
TINY = ["task=quadratic", "rule=sgd", "meta_learner=none", "meter=drift", "seeds=1", "steps=3", "tracker=[jsonl]"]
MORTAL = '''
import os, signal, torch

class Net(torch.nn.Linear):
    """Dies of what it is told to: a signal, an exit, an exception."""

    def __init__(self, inputs: int, outputs: int, dies: str = "no"):
        super().__init__(inputs, outputs)
        self.dies = dies

    def forward(self, x):
        if self.dies == "signal":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.dies == "exit":
            os._exit(3)
        if self.dies == "exception":
            raise ArithmeticError("no such number")
        return super().forward(x)
'''


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
                          env=environment)  # fmt: skip


# ---- before the first job -------------------------------------------------------------------------------------------


def test_the_jobs_of_a_command_are_known_before_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan, place = planned(["-m", "preset=maml,meta_sgd", "seed=range(0,3)", "++rule.lr=0.1", "sweep=mine"])
    assert (plan.sweep, place, len(plan.jobs)) == ("mine", Path("runs/launches"), 6)
    assert plan.varies == ("preset", "seed")
    assert plan.apart(4) == ["preset=meta_sgd", "seed=1"]
    assert plan.apart(99) == []
    assert "sweep=mine" not in plan.command
    assert jobs_of(["seed=1"]) == [["seed=1"]]
    assert jobs_of(["-m", "hydra/sweeper=optuna", "rule.lr=interval(0,1)"]) == []


def test_a_command_that_is_given_again_goes_on_with_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["-m", "seed=0,1", "steps=2"]
    plan, place = planned(words)
    assert plan.sweep == ""
    place.mkdir(parents=True)
    manifest = place / "first.jsonl"
    write_plan(manifest, Plan("known", plan.command, str(tmp_path), plan.varies, plan.jobs, 0.0))
    manifest.touch()
    assert planned(words)[0].sweep == "known"
    assert planned([*words, "horizon=3"])[0].sweep == ""
    assert planned(words[1:2])[0].sweep == ""  # no sweep


@pytest.mark.parametrize(
    ("words", "said"),
    [(["-m", "task=glob(nothing*)"], "something to sweep over at task"), (["sweep=../out"], "a name of letters"),
     (["label='a\nb'"], "a label"), ([f"label={'L' * 121}"], "121 characters"), (["label=' '"], "a label")],
)  # fmt: skip
def test_what_cannot_be_launched_is_refused_at_once(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(words)


@pytest.mark.parametrize(
    ("words", "lives", "distinct"),
    [(["seed=0,1,2", "seeds=16"], 48, 18), (["seed=0,4", "seeds=2,8"], 20, 12), (["seed=0,16", "seeds=16"], 0, 0),
     (["seed=0,0,0", "seeds=16"], 0, 0), (["rule.lr=1,2", "seeds=16"], 0, 0),
     (["preset=maml", "seed=0,1"], 0, 0),
     (["seed=0,1", "label=a,b", "seeds=2"], 4, 3)],
)  # fmt: skip
def test_seeds_that_overlap_are_told(words: list[str], lives: int, distinct: int) -> None:
    told = [one for one in warnings(planned(["-m", *words])[0]) if one.startswith("seeds overlap")]
    assert len(told) == bool(lives)
    assert all(f"{lives} lives of {distinct} seeds" in sentence for sentence in told)


def test_jobs_that_are_one_run_are_told() -> None:
    [told] = warnings(planned(["-m", "label=a,b", "steps=2,3", "seed=0,16", "seeds=16"])[0])
    assert told.startswith("8 jobs are 2 run(s): a label, a tracker or a number of steps makes no other")
    assert not list(warnings(planned(["-m", "rule.lr=1,2"])[0]))


@pytest.mark.parametrize(
    ("label", "name"),
    [("two words", "two_words"), ("étude", "etude"), ("../../out", "out"), ("a/b", "a_b"), ("a:b", "a_b"),
     ("日本", "run"), ("lr=1,q=2", "lr=1_q=2"),
      (2026, "2026"), ("-rf", "rf"), ("L" * 99, "L" * 60), ("</script>", "script")],
)  # fmt: skip
def test_a_label_may_be_any_words_and_its_folder_stays_where_it_belongs(label: object, name: str) -> None:
    assert folder_name(checked_label(label), "0a1b") == f"{name}-0a1b"


def test_runs_are_kept_where_the_composed_configuration_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE", str(tmp_path / "env"))
    for word, place in (
        ("runs=${oc.env:MINE}", tmp_path / "env"),
        ("runs='my runs'", Path("my runs")),
        ("++runs=x", Path("x")),
    ):
        assert planned([word])[1] == place / "launches"
    assert planned(["-m", "runs=y", "seed=0,1"])[1] == Path("y/launches")


# ---- what the files tell --------------------------------------------------------------------------------------------


def test_a_plan_reads_back_and_one_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    plan = Plan("s", ("-m", "x='[1, 2]'"), "/tmp", ("x",), (("x=[1,2]",), ("x=3",)), 1.5)
    write_plan(tmp_path / "a.jsonl", plan)
    assert read_plan(tmp_path / "a.jsonl") == plan
    assert read_plan(tmp_path / "b.jsonl") is None
    (tmp_path / "a.plan.json").write_text("{}")
    assert read_plan(tmp_path / "a.jsonl") is None


def test_what_varies_is_what_not_all_jobs_share() -> None:
    assert swept([["a=1", "b=2"], ["a=1", "b=3"]]) == ("b",)
    assert swept([["a=1", "~b"], ["a=1"]]) == ("b",)
    assert swept([["a=1"]]) == ()


def test_a_torn_line_of_a_manifest_is_left_out(tmp_path: Path) -> None:
    manifest = tmp_path / "a.jsonl"
    append(manifest, {"job": 0})
    with manifest.open("a") as file:
        file.write('{"job": 1')
    assert entries(manifest) == [{"job": 0}]
    with manifest.open("a") as file:
        file.write('{"job": 2}\n{"job": 3}\n')  # and where others went on after it
    assert entries(manifest) == [{"job": 0}, {"job": 3}]


def test_a_copy_of_a_launch_never_names_the_runs_of_the_original(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "launches").mkdir(parents=True)
        (tmp_path / place / "run").mkdir()
    entry = {"folder": str(tmp_path / "one" / "run"), "launches": str(tmp_path / "one" / "launches")}
    assert folder_of(tmp_path / "one" / "launches" / "a.jsonl", entry) == tmp_path / "one" / "run"
    assert folder_of(tmp_path / "two" / "launches" / "a.jsonl", entry) == tmp_path / "two" / "run"
    (tmp_path / "two" / "run").rmdir()
    assert folder_of(tmp_path / "two" / "launches" / "a.jsonl", entry) == tmp_path / "two" / "run"
    old = {"folder": entry["folder"]}  # of a version that didn't say where its manifest lay
    assert folder_of(tmp_path / "two" / "launches" / "a.jsonl", old) == tmp_path / "one" / "run"


def test_every_command_of_a_sweep_that_has_something_left_is_given_again(tmp_path: Path) -> None:
    (tmp_path / "launches").mkdir()
    for name, jobs in (("a", ("seed=0", "seed=1")), ("b", ("seed=5",))):
        manifest = tmp_path / "launches" / f"{name}.jsonl"
        write_plan(manifest, Plan("x", ("-m", *jobs), "", ("seed",), tuple((job,) for job in jobs), 0.0))
        manifest.touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text('{"state": "finished", "step": 1, "steps": 1}')
    append(tmp_path / "launches" / "b.jsonl", {"job": 0, "label": "l", "folder": str(tmp_path / "run")})
    one = sweep(tmp_path, "x")
    assert [job.state for job in one.jobs] == ["missing", "missing", "finished"]
    assert [plan.command for plan in _commands(one, every=False)] == [("-m", "seed=0", "seed=1")]
    assert len(_commands(one, every=True)) == 2


def test_a_launch_lives_as_long_as_it_holds_its_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "a.jsonl"
    with held(manifest):
        assert lives(manifest)
    assert not lives(manifest)


def test_only_a_run_that_nobody_lives_is_marked(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"state": "running", "step": 4}')
    with claimed(tmp_path):
        assert not mark(tmp_path, "killed", "why")
    assert mark(tmp_path, "killed", "why")
    assert status(tmp_path) == {"state": "killed", "step": 4, "error": "why"}
    assert not mark(tmp_path, "killed", "again")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (1000, "16 min"), (7500, "2 h 5 min"),
     (90_000, "25 h")],
)  # fmt: skip
def test_a_length_of_time_is_told_in_two_units(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("code", "most", "kills", "said"),
    [(-9, 3 * 2**30, 1, "out of memory, it seems: the kernel killed for want of it meanwhile, holding 3.00"),
     (3, 0, 0, "exit code 3"), (-9, 0, 0, "killed by SIGKILL; a kernel"), (-99, 0, 0, "killed by signal 99"),
     (-11, 2**30, 1, "killed by SIGSEGV, holding 1.00 of")],
)  # fmt: skip
def test_why_a_process_ended_is_said_as_far_as_it_is_known(code, most, kills, said, monkeypatch) -> None:
    memory = Memory()
    monkeypatch.setattr("sandbox.sweep.memory._kills", lambda: memory.kills + kills)
    assert said in memory.why(code, most)


def test_memory_that_a_process_holds_is_seen() -> None:
    memory, held = Memory(), bytearray(64 * 2**20)
    assert memory.held(os.getpid()) > len(held)
    assert memory.held(2**22 + 1) == 0  # nobody's


# ---- one sweep, looked at from all sides ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A sweep of five jobs: two die without a word, one fails, two finish."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "mortal.py").write_text(MORTAL)
    words = ["task=sinusoid", *TINY[1:], "model=module", "model._target_=mortal.Net"]
    found = run(folder, "-m", *words, "++model.dies=signal,exit,exception,no,'no '", "sweep=five", "check=off")
    return folder, found


def test_a_job_that_is_killed_takes_no_other_with_it(swept_once) -> None:
    folder, found = swept_once
    assert found.returncode == 2
    assert "model.dies=signal: killed by SIGKILL, holding" in found.stderr
    assert "model.dies=exit: its process ended with exit code 3" in found.stderr
    assert "ArithmeticError: no such number" in found.stderr
    assert "Traceback" not in found.stderr
    one = sweep(folder / "runs", "five")
    states = {job.words[0].partition("=")[2].strip("'"): job.state for job in one.jobs}
    assert states["no"] == "finished"
    assert one.counts == {"finished": 2, "failed": 1, "killed": 2}
    assert not one.lives


def test_ls_tells_each_job_and_why_it_failed(swept_once, monkeypatch, capsys) -> None:
    monkeypatch.chdir(swept_once[0])
    assert ls(["five"]) == 0
    said = capsys.readouterr().out
    for words in ("model.dies=signal", "2 finished, 1 failed, 2 killed", "killed by SIGKILL", "sandbox resume five"):
        assert words in said
    ls(["five", "--json"])
    told = json.loads(capsys.readouterr().out)[0]
    assert told["counts"] == {"finished": 2, "failed": 1, "killed": 2}
    assert {"own"} <= set(next(job for job in told["jobs"] if job["state"] == "finished")["latest"])
    assert ls([]) == 0
    assert "2/5" in capsys.readouterr().out
    assert ls(["fivee"]) == 2
    assert "Did you mean 'five'?" in capsys.readouterr().err


def test_resume_does_what_is_missing_alone(swept_once, monkeypatch, capsys) -> None:
    folder, _ = swept_once
    (folder / "mortal.py").write_text(MORTAL.replace("self.dies = dies", 'self.dies = "no"'))
    before = {path: path.read_bytes() for path in folder.glob("runs/*/lineage.jsonl")}
    found = run(folder, "resume", "--runs", "runs", "force=changed")
    assert found.returncode == 0, found.stderr
    one = sweep(folder / "runs", "five")
    assert (one.counts, len(one.launches), len(one.jobs)) == ({"finished": 5}, 2, 5)
    assert all(path.read_bytes() == text for path, text in before.items())
    monkeypatch.chdir(folder)
    assert resume(["five"]) == 0
    assert capsys.readouterr().out == "five: all 5 jobs are finished\n"


def test_rm_tells_first_and_leaves_what_others_have(swept_once, tmp_path: Path, monkeypatch, capsys) -> None:
    folder, _ = swept_once
    here = tmp_path / "copy"
    shutil.copytree(folder, here)
    shutil.rmtree(folder / "runs")  # else what the manifests name is still there
    kept = sweep(here / "runs", "five").jobs[-1].folder
    assert kept is not None
    append(here / "runs/launches/z.jsonl", {"job": 0, "label": "x", "folder": str(here / "runs" / kept.name)})
    monkeypatch.chdir(here)
    assert rm(["five"]) == 0
    assert "nothing is removed yet" in capsys.readouterr().out
    assert len(sweep(here / "runs", "five").jobs) == 5
    assert (here / "runs" / kept.name).exists()
    assert rm(["five", "--yes"]) == 0
    assert f"runs/{kept.name}: left, for sweep z has it too" in capsys.readouterr().err
    assert [path.parent.name for path in here.glob("runs/*/config.yaml")] == [kept.name]
    assert [path.name for path in here.glob("runs/launches/*.*") if path.name != "multirun.yaml"] == ["z.jsonl"]


# ---- kills ----------------------------------------------------------------------------------------------------------

LONG = ["-m", "preset=maml", "seed=0,1,2", "steps=60", "tracker=[jsonl,checkpoint]", "tracker.checkpoint.every=7"]
KILLS = 20


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Launches `LONG` in a process group of its own."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen([*COMMAND, *LONG, *words], cwd=tmp_path, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, start_new_session=True))  # fmt: skip
        return begun[-1]

    yield start
    for process in begun:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def workers(runs: Path) -> list[int]:
    """The processes that live jobs of the newest launch now."""
    known = launches(runs)
    told = entries(known[-1]) if known else []
    return [one["pid"] for one in told if "folder" in one and status(Path(one["folder"])).get("state") == "running"]


@pytest.mark.slow
def test_killed_at_any_moment_a_sweep_ends_as_if_it_had_not_been(tmp_path: Path, begin) -> None:
    """Kill -9 of the parent, and of one worker, at random moments; then the same command again."""
    aside = tmp_path / "aside"
    aside.mkdir()
    assert run(aside, *LONG).returncode == 0
    control = {path.parent.name: path.read_bytes() for path in aside.glob("runs/*/lineage.jsonl")}
    assert len(control) == 3
    draw, kills, ends = random.Random(0), 0, 0
    while kills < KILLS:
        process = begin()
        there = time.monotonic() + 60
        while not workers(tmp_path / "runs") and process.poll() is None and time.monotonic() < there:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 1.5))
        alive = workers(tmp_path / "runs")
        victim = draw.choice([process.pid, *alive])
        if process.poll() is None and (victim == process.pid or victim in alive):
            os.kill(victim, signal.SIGKILL)
            kills += 1
        process.wait(120)
        over = time.monotonic() + 30
        while workers(tmp_path / "runs") and time.monotonic() < over:  # orphans end with a checkpoint
            time.sleep(0.05)
        folders = [path.parent for path in tmp_path.glob("runs/*/lineage.jsonl")]
        if kills < KILLS and len(folders) == 3 and all(status(one).get("state") == "finished" for one in folders):
            compare(tmp_path, control)
            ends += 1
            (tmp_path / "runs").rename(tmp_path / f"ended{ends}")
    assert kills == KILLS
    assert run(tmp_path, *LONG).returncode == 0
    compare(tmp_path, control)


def compare(tmp_path: Path, control: dict[str, bytes]) -> None:
    found = {path.parent.name: path.read_bytes() for path in tmp_path.glob("runs/*/lineage.jsonl")}
    assert found.keys() == control.keys()
    for name, text in found.items():
        assert text == control[name], name


@pytest.mark.slow
def test_jobs_whose_launch_is_gone_end_with_a_checkpoint(tmp_path: Path, begin) -> None:
    process = begin()
    there = time.monotonic() + 60
    while len(workers(tmp_path / "runs")) < 2 and time.monotonic() < there:
        time.sleep(0.05)
    alive = workers(tmp_path / "runs")
    assert alive
    os.kill(process.pid, signal.SIGKILL)
    over = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in alive) and time.monotonic() < over:
        time.sleep(0.05)
    assert not [pid for pid in alive if Path(f"/proc/{pid}").exists()]
    [one] = sweeps(tmp_path / "runs")
    assert set(one.counts) <= {"finished", "interrupted", "missing"}
    assert not one.lives


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_in_a_terminal_leaves_every_job_its_last_checkpoint(times: int, tmp_path: Path, begin) -> None:
    """A terminal sends it to launch and jobs alike, and the launch passes it on."""
    process = begin("steps=3000")
    there = time.monotonic() + 90
    while min([len(path.read_bytes()) for path in tmp_path.glob("runs/*/lineage.jsonl")] or [0]) < 3000 or (
        len(workers(tmp_path / "runs")) < 2 and time.monotonic() < there
    ):
        time.sleep(0.05)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    assert process.wait(120) == 130
    folders = [path.parent for path in tmp_path.glob("runs/*/lineage.jsonl")]
    assert len(folders) >= 2
    for folder in folders:
        known = status(folder)
        assert known["state"] == "interrupted"
        newest = max(int(path.stem) for path in (folder / "checkpoint").glob("*.json"))
        assert newest >= known["step"] - 1  # it may come between a line and what saves it
        assert len((folder / "lineage.jsonl").read_text().splitlines()) == known["step"] + 1


@pytest.mark.slow
def test_a_sweep_whose_runs_were_moved_is_not_begun_anew_elsewhere(tmp_path: Path) -> None:
    assert run(tmp_path, "-m", *TINY, "seed=0,1", "sweep=gone").returncode == 0
    (tmp_path / "moved").mkdir()
    (tmp_path / "runs").rename(tmp_path / "moved" / "runs")
    found = run(tmp_path, "resume", "gone", "steps=9", "--runs", "moved/runs")
    assert found.returncode == 2
    assert "to which they were moved" in found.stderr
    found = run(tmp_path, "resume", "gone", "steps=9", "runs=moved/runs")
    assert found.returncode == 0, found.stderr
    assert sweep(tmp_path / "moved" / "runs", "gone").counts == {"finished": 2}
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_fail_fast_begins_nothing_more(tmp_path: Path) -> None:
    found = run(tmp_path, "-m", *TINY[:-2], "tracker=[jsonl]", "steps=30", "horizon=5", "rule.lr=1e3,0.01,0.02,0.03",
                "hydra.launcher.n_jobs=1", "hydra.launcher.fail_fast=true", "sweep=fast")  # fmt: skip
    assert found.returncode == 2
    assert "3 jobs were not begun" in found.stderr
    assert sweep(tmp_path / "runs", "fast").counts == {"failed": 1, "missing": 3}


@pytest.mark.slow
def test_a_run_goes_again_from_its_folder_alone(tmp_path: Path) -> None:
    assert run(tmp_path, *TINY[:-1], "tracker=[jsonl,checkpoint]").returncode == 0
    [folder] = (path.parent for path in tmp_path.glob("runs/*/lineage.jsonl"))
    before = (folder / "lineage.jsonl").read_bytes()
    elsewhere = tmp_path / "moved"
    elsewhere.mkdir()
    (tmp_path / "runs").rename(elsewhere / "kept")
    found = run(tmp_path, "rerun", f"moved/kept/{folder.name}")
    assert found.returncode == 0, found.stderr
    there = elsewhere / "kept" / folder.name
    assert (there / "lineage.jsonl").read_bytes() == before
    assert (there / "past" / "1" / "lineage.jsonl").read_bytes() == before
