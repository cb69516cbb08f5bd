"""Configurations and members of one's own: from an installed package, a named folder, the working folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sandbox.places
from sandbox.compose import composed, label_of, worded
from sandbox.config import build
from sandbox.core.error import ConfigError
from sandbox.places import Place, alone, broken, listed, named, places, standing, trusted_by

COMMAND = str(Path(sys.executable).with_name("sandbox"))
TINY = ["task=quadratic", "meta_learner=none", "seeds=1", "steps=2", "horizon=1", "meter=[]", "tracker=[jsonl]"]
RULE = """
from __future__ import annotations
from dataclasses import dataclass
from sandbox.rule.{module} import {base}

@dataclass(frozen=True)
class {name}({base}):
    by: float = 2.0
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def member(folder: Path, name: str, target: str) -> None:
    write(folder / "rule" / f"{name}.yaml", f"# The rule {name}.\n# Needs: task=quadratic\n_target_: {target}\n")


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """A package of somebody's that is installed, with a rule and a preset; and an empty working folder."""
    site, work = tmp_path / "site", tmp_path / "work"
    write(site / "acme" / "__init__.py", "raise SystemExit('to look for configurations imports nobody')")
    write(site / "acme_rules.py", RULE.format(module="sgd", base="SGD", name="Slow"))
    member(site / "acme" / "conf", "slow", "acme_rules.Slow")
    write(site / "acme-1.0.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    entries = "[sandbox.conf]\nacme = acme.conf\nother = elsewhere:conf\n"
    write(site / "acme-1.0.dist-info" / "entry_points.txt", entries)
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sandbox.places, "entries", sandbox.places.entries.__wrapped__)
    yield work
    for module in ("acme_rules", "mine"):
        sys.modules.pop(module, None)


def test_an_installed_package_brings_its_members_and_is_not_imported_for_it(installed):
    node = composed(["rule=slow", "rule.by=3", *TINY])["rule"]
    assert node == {"_target_": "acme_rules.Slow", "by": 3}
    assert build(node, "rule").by == 3.0  # what a package's own files name comes with it
    assert [entry.place.name for entry in listed("rule", places()) if entry.name == "slow"] == ["acme"]
    with pytest.raises(ConfigError, match=r"no rule called 'sloww'\. Did you mean 'slow'\?"):
        worded(["rule=sloww"])


def test_a_package_that_brings_nothing_is_told_where_something_is_missing(installed):
    with pytest.raises(ConfigError, match=r"The package 'elsewhere' says .* in 'elsewhere:conf', and there are none"):
        worded(["rule=missing"])
    assert len(broken()) == 1


@pytest.mark.slow
def test_it_does_so_in_the_workers_of_every_launcher(installed):
    member(installed / "conf", "mine", "mine.Mine")
    write(installed / "mine.py", RULE.format(module="momentum", base="Momentum", name="Mine"))
    for launcher in ("two", "basic"):
        words = ["-m", "rule=slow,mine", *TINY, f"hydra/launcher={launcher}", f"runs={launcher}"]
        found = subprocess.run([COMMAND, *words], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        assert sorted(line.split("-")[1] for line in found.stdout.splitlines() if line.startswith(launcher)) == [
            "mine", "slow"]  # fmt: skip


def test_two_that_bring_one_name_are_told_apart(installed):
    member(installed / "conf", "slow", "mine.Slow")
    member(installed / "conf", "sgd", "mine.SGD")
    for name, other in (("slow", "acme"), ("sgd", "sandbox")):
        with pytest.raises(
            ConfigError, match=rf"one rule called '{name}'; got one of {other} and one of \./conf\. Ren"
        ):
            worded([f"rule={name}"])
    assert composed(["preset=maml"])["rule"]["_target_"] == "sandbox.rule.sgd.SGD"  # a preset means the first


@pytest.mark.parametrize("word", ["meter=[performance,drift]", "meter=[mine]"])
def test_members_of_a_list_are_looked_at_too(installed, word):
    for name in ("drift", "mine"):
        write(installed / "conf" / "meter" / f"{name}.yaml", f"# @package meter.{name}\n_target_: mine.Meter\n")
    if "drift" in word:
        with pytest.raises(ConfigError, match="one meter called 'drift'; got one of sandbox"):
            worded([word])
    else:
        assert "mine" in composed([word])["meter"]


def test_a_folder_is_searched_once_and_must_be_there(installed):
    member(installed / "conf", "mine", "mine.Mine")
    assert named(["--config-dir", "conf"]) == ()
    assert len(standing()) == 2
    member(installed / "it's my=folder", "other", "mine.Other")
    assert composed(["--config-dir", "it's my=folder", "rule=other"])["rule"] == {"_target_": "mine.Other"}
    with pytest.raises(ConfigError, match=r"a folder of configurations at --config-dir; got 'nowhere'"):
        composed(["--config-dir=nowhere"])


def test_another_checkout_of_the_house_is_no_stranger(installed):
    write(installed / "conf" / "__init__.py", "")
    write(installed / "sandbox" / "__init__.py", "")
    assert [place.name for place in standing()] == ["acme"]


def test_who_is_named_is_trusted_and_nobody_else(installed):
    member(installed / "conf", "mine", "mine.Mine")
    here = named(["--config-dir", str(installed.parent / "site" / "acme" / "conf")])
    assert here == ()  # it is a package's place already
    assert trusted_by(["rule=sgd", "rule.lr=1"], ()) == []
    assert trusted_by(["rule=mine"], ()) == ["mine"]
    assert trusted_by(["++rule._target_=yours.Rule", "model._target_=torch.nn.Linear"], ()) == ["yours"]
    member(installed / "far", "far", "far.Rule")
    assert trusted_by([], named(["--config-dir=far"])) == ["far"]


def test_a_class_of_one_s_own_is_read_by_the_annotations_of_its_base(installed, monkeypatch):
    """The base's annotations are text that means something in the base's module alone."""
    text = RULE.format(module="x", base="Sinusoid", name="Wave").replace("sandbox.rule.x", "sandbox.task.sinusoid")
    write(installed / "mine.py", text)
    assert build({"_target_": "mine.Wave", "by": 1, "dtype": "float64"}, "task", trust=["mine"]).by == 1.0
    with pytest.raises(ConfigError, match=r"at task\.dtype"):
        build({"_target_": "mine.Wave", "dtype": "float8"}, "task", trust=["mine"])


def test_a_run_is_called_by_the_class_that_was_named():
    choices = {"preset": "reflective", "rule": "sgd", "task": "quadratic"}
    assert label_of(choices, ["++rule._target_=mine.Mine", "task=quadratic"]) == "reflective-Mine-quadratic"
    assert label_of({"task": "quadratic"}, ["~preset"]) == "quadratic"


def test_one_place_is_no_conflict():
    here = Place("command line", "x", "file:///nowhere", None)
    alone("rule", "sgd", [*places(), here])


@pytest.mark.parametrize(
    ("text", "said"),
    [("class Mine:\n    x = (\n", r"'mine\.Mine' \(SyntaxError: .*mine\.py, line 2"),
     ("1 / 0\n", r"'mine\.Mine' \(ZeroDivisionError: division by zero\)"),
     ("import nowhere_at_all\n", r"No module named 'nowhere_at_all'"),
     (RULE.format(module="sgd", base="SGD", name="Mine") + "    def __post_init__(self): 1 / self.by\n",
      r"Mine at rule to be built; got ZeroDivisionError: .*mine\.py:9")],
)  # fmt: skip
def test_what_a_module_raises_is_told_in_one_line(text, said, installed):
    write(installed / "mine.py", text)
    with pytest.raises(ConfigError, match=said) as told:
        build({"_target_": "mine.Mine", **({"by": 0} if "by" in text else {})}, "rule", trust=["mine"])
    assert "\n" not in str(told.value)


def test_a_file_that_is_none_is_told_where_it_is_chosen_and_nowhere_else(installed):
    write(installed / "conf" / "rule" / "bad.yaml", "# Bad.\n_target_: [mine.Mine\nlr: 1\n")
    member(installed / "conf", "good", "mine.Good")
    assert composed(["rule=good"])["trust"] == ["mine"]
    assert next(entry for entry in listed("rule", places()) if entry.name == "bad").about == "Bad."
    with pytest.raises(ConfigError, match=r"YAML in .*conf/rule/bad\.yaml; got while parsing"):
        composed(["rule=bad"])
