"""What `sandbox new` writes: it is found, keeps its laws and passes its own test, in a folder or in a package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sandbox.commands import new
from sandbox.compose import composed
from sandbox.config import read
from sandbox.places import places
from sandbox.starter import KINDS, begin


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "ours")]:
        sys.modules.pop(name)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_is_found_and_says_all_of_its_fields(kind, folder, capsys):
    assert new([kind, "mine"]) == 0
    group = KINDS[kind]
    written = capsys.readouterr().out
    assert [line for line in written.splitlines() if line and not line.startswith("Now")] == [
        "mine.py", f"conf/{group}/mine.yaml", "test_mine.py"]  # fmt: skip
    assert f"sandbox check {group}=mine" in written
    config = composed(["meter=[mine]" if group == "meter" else f"{group}=mine", "preset=[]"])
    node = config["meter"]["mine"] if group == "meter" else config[group]
    told = read(node, group, trust=config["trust"], given={"inputs": 1, "outputs": 1})
    assert set(told.plain()) <= {*node, "inputs", "outputs"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_passes_its_own_test(kind, folder):
    begin(kind, "mine", Path("."))
    found = python("pytest", "-q", "-W", "error", "-p", "no:cacheprovider")
    assert found.returncode == 0, found.stdout[-3000:]
    assert int(found.stdout.split(" passed")[0].split()[-1]) > 5


@pytest.mark.slow
def test_so_it_does_in_a_package(folder, monkeypatch):
    """As it lies on the path once it is installed."""
    begin("package", "ours", Path("."))
    for kind in ("rule", "meta-learner"):
        begin(kind, f"our_{KINDS[kind]}", Path("ours"))
    (folder / "ours" / "ours.egg-info").mkdir()
    (folder / "ours" / "ours.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 0.1.0\n")
    (folder / "ours" / "ours.egg-info" / "entry_points.txt").write_text("[sandbox.conf]\nours = ours.conf\n")
    monkeypatch.setenv("PYTHONPATH", str(folder / "ours"))
    found = python("pytest", "-q", "-p", "no:cacheprovider", "ours/tests/test_our_rule.py")
    assert found.returncode == 0, found.stdout[-3000:]
    assert "our_meta_learner  ours " in python("sandbox", "list", "meta_learner").stdout


def test_a_package_holds_what_is_begun_in_it(folder):
    files, _ = begin("package", "ours", Path("."))
    assert Path("ours/pyproject.toml") in files
    files, _ = begin("rule", "mine", Path("ours"))
    assert files == [Path("ours/ours/mine.py"), Path("ours/ours/conf/rule/mine.yaml"), Path("ours/tests/test_mine.py")]
    assert yaml.safe_load(files[1].read_text())["_target_"] == "ours.mine.Mine"
    assert "from ours.mine import Mine" in files[2].read_text()
    assert [place.name for place in places()] == ["sandbox"]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["rul", "mine"], "Did you mean 'rule'?"), (["rule", "sgd"], "got 'sgd' of sandbox"),
     (["rule", "Mine"], "a name in small letters"), (["rule", "json"], "a name in small letters"),
     (["rule"], "sandbox new"), (["rule", "mine", "--onto", "x"], "sandbox new")],
)  # fmt: skip
def test_a_mistake_writes_nothing(words, said, folder, capsys):
    assert new(words) == 2
    assert said in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_what_is_there_stays(folder, capsys):
    (folder / "mine.py").write_text("x = 1\n")
    assert new(["rule", "mine"]) == 2
    assert "got mine.py, which is there" in capsys.readouterr().err
    assert (folder / "mine.py").read_text() == "x = 1\n"
    assert not (folder / "conf").exists()
