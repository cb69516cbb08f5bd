"""Launchers beside the default: the same jobs to the same bytes, pre-emption, and what is told of a lost job."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from sandbox.core.error import ConfigError, SandboxError
from sandbox.lines.launch import entries
from sandbox.sweep import launchers
from sandbox.sweep.job import PINNED, ended_as_interrupted, pin
from sandbox.sweep.slurm import Slurm

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).with_name("sandbox"))
RAY = Path(os.environ.get("SANDBOX_RAY", ROOT / ".ray")) / "bin" / "sandbox"  # of an environment with the extra ray
SMALL = ["task=quadratic", "rule=sgd", "meta_learner=none", "seeds=2", "meter=[performance]", "check=off",
         "tracker=[jsonl,checkpoint]", "seed=0,2"]  # fmt: skip
MANY = 1500  # steps of a job that is not to end before it is met


# ---- before a sweep begins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(launchers.EXTRAS))
def test_a_launcher_that_is_not_installed_is_refused_by_its_extra(name, monkeypatch):
    monkeypatch.setattr(launchers, "find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=rf"pip install 'reflective-sandbox\[{launchers.EXTRAS[name][0]}\]'"):
        launchers.check(["-m", f"hydra/launcher={name}", "seed=0,1"])


def test_a_search_without_its_library_is_refused_by_its_extra(monkeypatch):
    monkeypatch.setattr(launchers, "find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=r"reflective-sandbox\[search\]"):
        launchers.check(["-m", "hydra/sweeper=search", "rule.lr=interval(0,1)"])


def test_a_launcher_of_a_queue_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(launchers.shutil, "which", lambda program: None)
    with pytest.raises(ConfigError, match="expected SLURM's sbatch"):
        launchers.check(["hydra/launcher=slurm"])


def test_the_default_and_hydra_s_own_need_nothing():
    launchers.check(["hydra/launcher=basic", "hydra/launcher=processes", "seed=0,1"])


def test_the_configuration_of_slurm_spells_out_the_defaults_of_the_code():
    written = OmegaConf.load(ROOT / "conf" / "hydra" / "launcher" / "slurm.yaml")
    given = {key: value.default for key, value in inspect.signature(Slurm).parameters.items()}
    assert set(written) == {"_target_", *given}
    plain = {key: value for key, value in OmegaConf.to_container(written).items() if key not in
             ("_target_", "cpus_per_task", "folder", "setup", "additional")}  # fmt: skip
    assert plain == {key: given[key] for key in plain}


def test_a_job_must_have_time_left_before_it_is_warned():
    with pytest.raises(ConfigError, match="timeout_min of 3 or more"):
        Slurm(timeout_min=2)
    Slurm(timeout_min=3)


# ---- what a job is warned by ----------------------------------------------------------------------------------------


@pytest.fixture
def heard(monkeypatch) -> Iterator[list[str]]:
    """What a launcher that listens to SIGUSR2 hears."""
    heard: list[str] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append("warned"))
    yield heard
    signal.signal(signal.SIGUSR2, before)


def warned(saved: Callable[[], None]) -> None:
    """A job that is warned while it is lived, and saves what it has."""
    with ended_as_interrupted():
        try:
            os.kill(os.getpid(), signal.SIGUSR2)
            time.sleep(5)
        finally:
            saved()


def test_a_launcher_hears_the_warning_after_the_last_checkpoint(heard):
    with pytest.raises(KeyboardInterrupt):
        warned(lambda: heard.append("saved"))
    assert heard == ["saved", "warned"]


def test_why_a_job_is_not_queued_again_is_told(heard):
    def refuse(number: int, frame: object) -> None:
        raise RuntimeError("its time was up")

    signal.signal(signal.SIGUSR2, refuse)
    with pytest.raises(SandboxError, match="interrupted, and not queued again: its time was up"):
        warned(lambda: None)


def test_a_job_s_libraries_take_the_threads_of_its_configuration(monkeypatch):
    for name in PINNED:
        monkeypatch.setenv(name, "7")
    pin(2)
    assert {os.environ[name] for name in PINNED} == {"2"}


# ---- the same bytes -------------------------------------------------------------------------------------------------


def launch(folder: Path, *words: str, command: str = COMMAND) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run([command, "-m", *SMALL, *words], cwd=folder, capture_output=True, text=True, timeout=300,
                          check=False)  # fmt: skip


def lineages(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("runs/*/lineage.jsonl")}


def states(folder: Path) -> list[str]:
    return sorted(json.loads(path.read_text())["state"] for path in folder.glob("runs/*/status.json"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, bytes]:
    """The lineages of the default launcher."""
    folder = tmp_path_factory.mktemp("default")
    assert launch(folder, "steps=30").returncode == 0
    found = lineages(folder)
    assert len(found) == 2
    return found


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[None]:
    """A SLURM on this machine."""
    if shutil.which("slurmctld") is None or os.geteuid():
        pytest.skip("there is no SLURM here, or nobody who may start it: scripts/slurm-local up")
    folder = tmp_path_factory.mktemp("slurm")
    script, environment = str(ROOT / "scripts" / "slurm-local"), pytest.MonkeyPatch()
    try:
        started = subprocess.run([script, "up", folder], capture_output=True, text=True, check=False, timeout=200)
        assert started.returncode == 0, started.stderr
        environment.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield
    finally:
        subprocess.run([script, "down", folder], check=True, timeout=60)
        environment.undo()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_a_launcher_of_hydra_s_gives_the_same_bytes(launcher, expected, tmp_path):
    found = launch(tmp_path, "steps=30", f"hydra/launcher={launcher}")
    assert found.returncode == 0, found.stderr
    assert lineages(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["slurm", "submitit_slurm"])
def test_slurm_gives_the_same_bytes(launcher, expected, slurm, tmp_path):
    found = launch(tmp_path, "steps=30", f"hydra/launcher={launcher}", "hydra.launcher.timeout_min=5",
                   "hydra.launcher.mem_gb=1")  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert lineages(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "ray_local"])
def test_ray_gives_the_same_bytes(launcher, expected, tmp_path):
    if not RAY.exists():
        pytest.skip(f"there is no environment with Ray in {RAY.parents[1]} (docs/sweeps.md; SANDBOX_RAY names another)")
    found = launch(tmp_path, "steps=30", f"hydra/launcher={launcher}", command=str(RAY))
    assert found.returncode == 0, found.stderr
    assert lineages(tmp_path) == expected


# ---- pre-empted, killed ---------------------------------------------------------------------------------------------


def until(true: Callable[[], object], seconds: float = 90) -> None:
    """Wait; a test whose moment never comes fails."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def met(folder: Path, then: Callable[[dict], None]) -> subprocess.CompletedProcess[str]:
    """A sweep of long jobs under SLURM, of which job 0 meets `then` once it is well under way."""
    process = subprocess.Popen([COMMAND, "-m", *SMALL, f"steps={MANY}", "hydra/launcher=slurm"], cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def entry() -> dict | None:
        manifests = list(folder.glob("runs/launches/*.jsonl"))
        return next((one for one in entries(manifests[0]) if one.get("job") == 0 and "folder" in one), None) \
            if manifests else None  # fmt: skip

    def lines() -> int:
        first = entry()
        path = Path(first["folder"]) / "lineage.jsonl" if first else Path("nowhere")
        return path.read_bytes().count(b"\n") if path.exists() else 0

    try:
        until(lambda: lines() > 100)
        then(entry() or {})
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="module")
def long_expected(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("long")
    assert launch(folder, f"steps={MANY}").returncode == 0
    return lineages(folder)


def first_in_queue() -> str:
    """SLURM's number for the first job of an array."""
    asked = ["squeue", "--noheader", "--array", "--format=%i"]
    return min(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split())


def state_of(job: str) -> str:
    asked = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.slow
def test_a_job_that_makes_way_goes_on_from_its_last_checkpoint(slurm, long_expected, tmp_path):
    def warn(entry: dict) -> None:
        job, status = first_in_queue(), Path(entry["folder"]) / "status.json"
        subprocess.run(["scancel", "--signal=USR2", job], check=True)
        until(lambda: json.loads(status.read_text())["state"] == "interrupted")
        until(lambda: state_of(job) == "PENDING")
        # SLURM lets a job that queues again wait for two minutes.
        subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)

    found = met(tmp_path, warn)
    assert found.returncode == 0, found.stderr
    assert sorted(json.loads(path.read_text())["from_step"] > 100 for path in tmp_path.glob("runs/*/status.json")) == [
        False, True]  # fmt: skip
    assert lineages(tmp_path) == long_expected


@pytest.mark.slow
def test_a_killed_job_is_told_and_the_same_command_goes_on(slurm, long_expected, tmp_path):
    found = met(tmp_path, lambda entry: os.kill(entry["pid"], signal.SIGKILL))
    assert found.returncode == 2
    assert "seed=0" in found.stderr
    assert "killed" in found.stderr
    assert "Traceback" not in found.stderr
    assert states(tmp_path) == ["finished", "killed"]
    again = launch(tmp_path, f"steps={MANY}", "hydra/launcher=slurm")
    assert again.returncode == 0, again.stderr
    assert lineages(tmp_path) == long_expected
