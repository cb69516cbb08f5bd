"""Studies on the search path: unfolded into sweeps, refused before they run, kept with their launch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sandbox.core.error import ConfigError
from sandbox.report.study import kept
from sandbox.studies import Studies, describe, studies, unfold

CONF = Path(__file__).parents[1] / "conf"
OURS = [path.stem for path in sorted((CONF / "study").glob("*.yaml"))]
READINGS = {"mine/x": "mine/null", "mine/null": "", "rule/*": "", "own": "", "mine/after_5": ""}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A stranger's folder: two arms of quadratics, and what is expected of them."""
    conf = tmp_path / "conf"
    (conf / "experiment" / "mine").mkdir(parents=True)
    (conf / "study").mkdir()
    for name, rate in (("slow", 0.01), ("fast", 0.2)):
        text = (
            f"# @package _global_\n# {name}? Run: sandbox study=mine\ndefaults:\n  - override /rule: sgd\n"
            f"label: {name}\nrule:\n  lr: {rate}\n"
        )
        (conf / "experiment" / "mine" / f"{name}.yaml").write_text(text)
    claim = {"reading": "own", "arm": "fast", "than": "slow", "sign": -1, "say": "haste makes less waste"}
    write(conf, arms=["slow", "fast"], claims=[claim], question="Is haste waste?")
    return conf


def write(conf: Path, **study) -> None:
    (conf / "study" / "mine.yaml").write_text("# Mine.\n" + yaml.safe_dump(study))


# ---- found ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_a_study_of_ours_names_what_is_there(name: str) -> None:
    assert studies([]).check(name).question


def test_a_study_has_every_arm_of_its_folder() -> None:
    for name in OURS:
        arms = {path.stem for path in (CONF / "experiment" / name).glob("*.yaml")}
        study = studies([]).study(name)
        swept = {word.rpartition("/")[2] for words in study.sweep for word in words.split(",") if f"{name}/" in word}
        assert {*study.arms, *swept} == arms


def test_nothing_at_all_is_the_default_study() -> None:
    name = yaml.safe_load((CONF / "default.yaml").read_text())["study"]
    arms = ",".join(f"{name}/{arm}" for arm in studies([]).study(name).arms)
    assert unfold([]) == (["-m", f"experiment={arms}"], True)
    assert unfold([f"experiment={name}"]) == unfold([f"study={name}"]) == unfold([])


def test_a_study_is_a_sweep_among_other_words() -> None:
    assert unfold(["seeds=2", "study=dial", "-m"]) == (
        ["seeds=2", "preset=self_distillation", "rule.trust=0,.25,.5,.75,.9,1", "-m"], True)  # fmt: skip
    for words in (["experiment=first_light/own"], ["preset=maml", "steps=3"]):
        assert unfold(words) == (words, False)
    with pytest.raises(ConfigError, match=r"the name of a study; got 'first_ligth'. Did you mean 'first_light'"):
        unfold(["study=first_ligth"])


@pytest.mark.parametrize("flag", [["--config-dir", "{}"], ["--config-dir={}"], ["-cd", "{}"], ["hydra.searchpath=[file://{}]"],
                                  ["hydra.searchpath=['{}']"]])  # fmt: skip
def test_a_stranger_s_study_is_found(flag: list[str], mine: Path) -> None:
    words = [word.format(mine) for word in flag]
    assert unfold([*words, "study=mine"]) == (["-m", *words, "experiment=mine/slow,mine/fast"], True)


# ---- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"arms": ["slow", "fats"]}, "an arm of study/mine.yaml in experiment/mine/; got 'fats'. Did you mean 'fast'"),
        ({"arms": ["slow"], "order": ["mine/y"]}, "a reading of some meter in study/mine.yaml; got 'mine/y'. Did you"),
        (
            {"arms": ["slow"], "order": ["mine/before_5"]},
            "a reading of some meter in study/mine.yaml; got 'mine/before",
        ),
        (
            {"arms": ["slow"], "claims": [{"reading": "mine/null", "arm": "slow"}]},
            "with a null; got 'mine/null'",
        ),
        ({"arms": ["slow"], "clams": []}, "a key of study/mine.yaml; got 'clams'. Did you mean 'claims'"),
    ],
)
def test_what_is_not_there_is_told_before_the_runs(study, said: str, mine: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Studies, "readings", lambda self: READINGS)
    words = ["--config-dir", str(mine), "-m", "experiment=mine/slow"]
    describe(words, tmp_path / "good.jsonl")
    write(mine, **study)
    with pytest.raises(ConfigError, match=said):
        describe(words, tmp_path / "bad.jsonl")
    assert not list(tmp_path.glob("bad*"))
    write(mine, arms=["slow"], order=["rule/lr", "mine/after_20"], claims=[{"reading": "mine/x", "arm": "slow"}])
    describe(words, tmp_path / "bad.jsonl")


# ---- kept -----------------------------------------------------------------------------------------------------------


def test_a_launch_keeps_the_studies_of_its_arms_and_every_closed_form(tmp_path: Path) -> None:
    manifest = tmp_path / "1.jsonl"
    manifest.touch()
    describe(["-m", "experiment=first_light/own,first_light/fixed"], manifest)
    own = kept([manifest], [])
    assert own.arms == studies([]).study("first_light").arms
    describe(["-m", "preset=self_distillation", "rule.trust=0,1"], manifest)
    swept = kept([manifest], [])
    assert (swept.arms, swept.claims) == ((), ())
    assert own.closed_forms == swept.closed_forms == studies([]).study("dial").closed_forms


@pytest.mark.slow
def test_a_stranger_s_study_runs_and_is_told(mine: Path, tmp_path: Path) -> None:
    words = ["--config-dir", "conf", "study=mine", "task=quadratic", "meta_learner=none", "seeds=3",
             "steps=5", "meter=[]", "tracker=[jsonl]"]  # fmt: skip
    found = subprocess.run([str(Path(sys.executable).with_name("sandbox")), *words], cwd=tmp_path, capture_output=True,
                           text=True, check=False, env=os.environ | {"COLUMNS": "200"})  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "Is haste waste?" in found.stdout
    assert "1 of 1 expected differences hold" in found.stdout
    rows = json.loads(next(tmp_path.glob("runs/reports/*/table.json")).read_text())
    assert [row["arm"] for row in rows] == ["slow", "fast"]
    write(mine, arms=["slow", "fats"])
    again = subprocess.run([str(Path(sys.executable).with_name("sandbox")), *words], cwd=tmp_path, capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert again.returncode == 2
    assert "Did you mean 'fast'" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_stranger_s_working_folder_spoils_no_study_of_ours(tmp_path, monkeypatch):
    """Another project's `conf` has other studies, and meters that nobody has said may be built."""
    for name, text in {"study/theirs.yaml": "epochs: 3\n", "meter/theirs.yaml": "_target_: theirs.Meter\n"}.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert "theirs" in studies([]).names
    assert "own" in studies([]).readings()
    manifest = tmp_path / "launch.jsonl"
    describe(["experiment=first_light/own"], manifest)
    assert list(tmp_path.glob("launch*.json"))
