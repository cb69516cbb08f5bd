"""The code of a run: whatever can move its numbers is known by its text, and what changed since is told by name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest
from torch import nn

from sandbox.about import _distributions, about, differences, provenance
from sandbox.meter.merge import Merge
from sandbox.rule.sgd import SGD

FILES = {
    "mine/__init__.py": '"""Mine."""\n',
    "mine/rule.py": "from mine.parent import Parent\n\nclass Mine(Parent):\n    pass\n",
    "mine/parent.py": "import beside\nfrom sandbox.rule.sgd import SGD\nfrom . import near\nclass Parent(SGD): ...\n",
    "mine/near.py": "def late():\n    import mine.late\n",
    "mine/late.py": "X = 1\n",
    "mine/other.py": "X = 1\n",
    "beside.py": "X = 1\n",
}


@pytest.fixture
def mine(tmp_path, monkeypatch) -> type:
    """A class whose module imports a base, a neighbour, another file, and one more only as it runs."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    yield import_module("mine.rule").Mine
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "beside")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("mine/__init__.py", "mine/other.py")])
def test_a_change_of_any_text_that_it_goes_through_is_told(name, mine, tmp_path):
    before = provenance([mine])
    assert differences(before, provenance([mine])) == []
    (tmp_path / name).write_text(FILES[name] + "# changed\n")
    module = name.removesuffix(".py").replace("/", ".")
    assert differences(before, provenance([mine])) == [f"mine.rule.Mine ({module})"]


def test_a_text_that_it_does_not_go_through_is_none_of_its_business(mine, tmp_path):
    before = provenance([mine])
    (tmp_path / "mine" / "other.py").write_text("X = 2\n")
    assert differences(before, provenance([mine])) == []


def test_the_house_counts_as_far_as_it_moves_numbers():
    found = provenance([Merge, SGD])
    assert {"sandbox.core.state", "sandbox.loop.reflect", "sandbox.experiment"} <= found["sandbox"]["modules"].keys()
    assert "sandbox.measure.coupling" in found["sandbox.meter.merge.Merge"]["modules"]
    everywhere = {name for code in found.values() for name in code["modules"]}
    assert not [
        name for name in everywhere if name.startswith(("sandbox.report", "sandbox.sweep.launch", "sandbox.tracker"))
    ]
    assert set(found["sandbox.rule.sgd.SGD"]["modules"]) == {"sandbox.rule.sgd"}


def test_an_installed_package_is_known_by_its_version():
    found = provenance([nn.Linear])["torch.nn.modules.linear.Linear"]
    assert found["modules"] == {}
    assert "torch" in found["versions"]
    newer = {"torch.nn.modules.linear.Linear": found | {"versions": {"torch": "9"}}}
    assert differences({"torch.nn.modules.linear.Linear": found}, newer) == ["torch.nn.modules.linear.Linear (torch)"]


def test_no_record_of_the_code_is_another_code():
    assert any(told.startswith("sandbox (") for told in differences({}, provenance([])))


def test_git_is_asked_about_the_files_and_what_it_does_not_know_is_changed(mine, tmp_path):
    def git(*words: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True)

    def told() -> tuple[bool, bool]:
        found = provenance([mine])["mine.rule.Mine"]
        return found["git"] is not None, found["changed"]

    assert told()[0] is False
    git("init")
    git("add", "mine")
    git("commit", "-m", "x")
    assert told() == (True, True)  # beside.py is not known to it
    assert about("x", [], [mine])["changed"] is True
    git("add", ".")
    git("commit", "-m", "x")
    base = provenance([SGD])["sandbox.rule.sgd.SGD"]["changed"]
    assert told() == (True, base)
    (tmp_path / "unrelated.txt").write_text("x")
    assert told() == (True, base)
    (tmp_path / "mine" / "late.py").write_text("X = 2\n")
    assert told() == (True, True)


def test_a_name_that_is_no_module_is_passed_over(mine, tmp_path):
    (tmp_path / "beside.py").write_text("try:\n    import nothing.of.the.kind\nexcept ImportError:\n    pass\n")
    assert "beside" in provenance([mine])["mine.rule.Mine"]["modules"]
    assert Path("nothing") not in tmp_path.iterdir()


def test_another_environment_s_packages_are_not_followed(mine, tmp_path, monkeypatch):
    """An environment may stand on another's packages, or on a user's."""
    elsewhere = tmp_path / "lib" / "site-packages"
    (elsewhere / "far").mkdir(parents=True)
    (elsewhere / "far" / "__init__.py").write_text("import nowhere.at.all\n")
    (elsewhere / "far-1.5.dist-info").mkdir()
    (elsewhere / "far-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: far\nVersion: 1.5\n")
    (elsewhere / "far-1.5.dist-info" / "top_level.txt").write_text("far\n")
    (tmp_path / "mine" / "near.py").write_text("import far\nimport google.nothing.there\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(elsewhere)])
    monkeypatch.setattr("sandbox.about._distributions", _distributions.__wrapped__)
    invalidate_caches()
    found = provenance([mine])["mine.rule.Mine"]
    assert found["versions"]["far"] == "1.5"
    assert "far" not in found["modules"]
