"""The command line: help at once, and every mistake told without a traceback, with what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sandbox.lines.file import read
from sandbox.sweep.launch import flags_first

COMMAND = [str(Path(sys.executable).with_name("sandbox"))]
TINY = [
    "task=quadratic",
    "rule=sgd",
    "meta_learner=none",
    "seeds=2",
    "steps=2",
    "horizon=1",
    "meter=[]",
    "tracker=[jsonl]",
]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sandbox(tmp_path) -> Run:
    """Runs the command in an empty folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                              check=False, env=os.environ | environment)  # fmt: skip

    return run


# ---- at once --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question", [["--help"], ["--cfg", "job"], ["preset=maml", "--cfg", "job"], ["--info", "config"]]
)
def test_questions_are_answered_without_torch(question, sandbox):
    found = sandbox(*question, PYTHONPROFILEIMPORTTIME="1")
    assert found.returncode == 0, found.stderr[-2000:]
    imported = {line.split("|")[-1].strip() for line in found.stderr.splitlines() if line.startswith("import time:")}
    assert "hydra" in imported
    assert not {name for name in imported if name.split(".")[0] in ("torch", "sklearn", "wandb", "scipy", "matplotlib")}
    assert "self_distillation" in found.stdout or "sinusoid" in found.stdout


def test_what_is_shown_is_what_a_run_would_have(sandbox):
    found = sandbox("preset=meta_sgd", "rule=learned_loss", "rule.hidden=7", "--cfg", "job")
    rule = yaml.safe_load(found.stdout)["rule"]
    assert rule == {
        "_target_": "sandbox.rule.learned_loss.LearnedLoss",
        "lr": 0.001,
        "hidden": 7,
        "activation": "relu",
        "biases": False,
        "rng": None,
    }
    assert yaml.safe_load(found.stdout)["label"] == "${label:}"


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_a_run_names_its_folder(sandbox, tmp_path):
    found = sandbox(*TINY, "label=tiny")
    assert found.returncode == 0, found.stderr
    folder = tmp_path / found.stdout.split()[-1]
    assert folder.parent == tmp_path / "runs"
    assert json.loads((folder / "about.json").read_text())[0]["overrides"] == [*TINY, "label=tiny"]
    [manifest] = (tmp_path / "runs" / "launches").glob("*.jsonl")
    assert json.loads(manifest.read_text())["folder"] == str(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


@pytest.mark.slow
def test_a_run_without_a_preset_has_none_in_its_name(sandbox):
    found = sandbox(*TINY, "~preset")
    assert "\nruns/sgd-none-quadratic-" in found.stdout, found.stderr


@pytest.mark.slow
def test_a_run_that_nobody_named_is_called_by_what_was_chosen(sandbox):
    assert "reflective-sgd-none-quadratic-" in sandbox(*TINY).stdout


def test_an_editor_of_two_new_files_runs(sandbox, tmp_path):
    """A class and its yaml, in any folder on the path; nothing is registered."""
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from sandbox.core.edit import Edit\n"
        "from sandbox.core.protocols import Needs\n"
        "@dataclass(frozen=True)\n"
        "class Halves:\n"
        "    by: float = 2.0\n"
        "    @property\n"
        "    def needs(self):\n"
        "        return Needs(edits=('rule/lr',), reads=('rule/lr',))\n"
        "    def init(self, edited):\n"
        "        return {}\n"
        "    def ask(self, psi, seen):\n"
        "        return Edit({'rule/lr': seen.visible['rule/lr'] / self.by}), psi\n"
    )
    (tmp_path / "conf" / "meta_learner").mkdir(parents=True)
    (tmp_path / "conf" / "meta_learner" / "halves.yaml").write_text("# Halves.\n_target_: mine.Halves\nby: 4.0\n")
    mine = ["meta_learner=halves" if word == "meta_learner=none" else word for word in TINY]
    found = sandbox("--config-dir", "conf", *mine, "rule.lr=0.16", PYTHONPATH=str(tmp_path))
    assert found.returncode == 0, found.stderr
    *_, last = read(tmp_path / found.stdout.split()[-1])
    assert last["verdict"] == ["accepted", "accepted"]
    assert last["edit"]["rule/lr"]["value"] == pytest.approx([0.01, 0.01])


# ---- mistakes -------------------------------------------------------------------------------------------------------


MISTAKES = [
    (["preset=mamll"], ["no preset called 'mamll'", "Did you mean 'maml'?"]),
    (["rule=sdg"], ["no rule called 'sdg'", "Did you mean 'sgd'?"]),
    (["-m", "task=sinusoid,quadratik"], ["no task called 'quadratik'", "Did you mean 'quadratic'?"]),
    (["experiment=first_light/fixd"], ["no experiment called 'first_light/fixd'", "'first_light/fixed'?"]),
    (["rule.lrr=3"], ["a field of SGD at rule; got 'lrr'.", "'lr'?", "Its fields: lr, lr_range, per_parameter"]),
    (["rule._target_=mine.Mine"], ["No package 'mine' is installed or lies here."]),
    (["rule._target_=subprocess.Popen", "rule.args=[touch,mark]"], ["'subprocess.Popen', which is Python's own"]),
    (["task=sinusoid", "rule=self_distillation"], ["rule=self_distillation and task=sinusoid", "These do:"]),
    (["trust=[3]"], ["expected names of packages at trust; got [3]"]),
    (["rule.lr=fast"], ["expected float at rule.lr; got 'fast'"]),
    (["stepz=3"], ["stepz"]),
    (["+stepz=3"], ["expected a known key; got 'stepz'. Did you mean 'steps'?"]),
    (["+rule.lrr=3"], ["expected a field of SGD at rule; got 'lrr'. Did you mean 'lr'?"]),
    (["steps=0"], ["expected a whole number of 1 or more at steps; got 0. Set steps=1, say."]),
    (["steps=two"], ["expected a whole number of 1 or more at steps; got 'two'"]),
    (["rule.lr=1e20"], ["expected finite losses and weights; got NaN or infinity by inner step", "seeds [0, 1]",
                        "lower its learning rate"]),
    (["horizon=1", "above=[{meta_learner:{_target_:sandbox.meta_learner.none.Nothing},"
      "gate:{_target_:sandbox.gate.always.Always},horizon:1}]"], ["a horizon of 2 or more at level 2; got 1."]),
    (["~preset", "--config-dir", "nowhere"], ["a folder of configurations at --config-dir; got 'nowhere'"]),
    (["above=[{meta_learner:{_target_:mine.Mine},gate:{_target_:sandbox.gate.always.Always},horizon:2}]"],
     ["No package 'mine' is installed or lies here."]),
    (["~gate"], ["expected a configuration with 'gate'; got none."]),
    (["faults=ignore"], ["at level 1.faults; got 'ignore'"]),
    (["model._target_=torch.nn.Linearr"], ["an importable class at model._target_; got 'torch.nn.Linearr'"]),
]  # fmt: skip
FEW = (1, 4, 6, 7, 11, 15)  # of each kind one; the others are told the same way


@pytest.mark.parametrize(
    ("mistake", "said"),
    [pytest.param(*each, marks=[] if n in FEW else pytest.mark.slow) for n, each in enumerate(MISTAKES)],
    ids=lambda value: value[-1][:40] if isinstance(value, list) else None,
)
def test_a_mistake_is_told(mistake, said, sandbox, tmp_path):
    tiny = [word for word in TINY if word.split("=")[0] not in {word.split("=")[0] for word in mistake}]
    found = sandbox(*mistake, *tiny, "steps=40") if "rule.lr=1e20" in mistake else sandbox(*mistake, *tiny)
    assert found.returncode not in (0, 130)
    assert "Traceback" not in found.stdout + found.stderr
    assert not [words for words in said if words not in found.stderr], found.stderr
    assert "+" not in found.stderr
    assert not (tmp_path / "mark").exists()


def test_an_edit_outside_the_allow_list_is_told(sandbox):
    found = sandbox("meta_learner=meta_gradient", "allow=[rule/lr]", *(word for word in TINY if "meta_l" not in word))
    assert found.returncode == 2
    assert (
        "expected edits within the level's `allow`: ['rule/lr']; got a meta-learner that asks for ['init']"
        in found.stderr
    )
    assert "Widen `allow`, or narrow `meta_learner.edits`." in found.stderr
    assert "Traceback" not in found.stderr


MINE = """
from dataclasses import dataclass
from sandbox.rule.sgd import SGD

@dataclass(frozen=True)
class Mine(SGD):
    x: int = 1
"""


@pytest.mark.slow
def test_a_file_of_one_s_own_in_the_working_folder(sandbox, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    words = [*TINY, "rule._target_=mine.Mine", "rule.x=2"]  # to spell a class is to trust its package
    found = sandbox(*words)
    assert found.returncode == 0, found.stderr
    folder = found.stdout.split()[-1]
    assert yaml.safe_load((tmp_path / folder / "config.yaml").read_text())["rule"] == {"_target_": "mine.Mine", "x": 2}
    refused, replayed = sandbox("replay", folder), sandbox("replay", folder, "--trust", "mine")
    assert (refused.returncode, replayed.returncode) == (2, 0)
    assert "--trust mine" in refused.stderr
    (tmp_path / "mine.py").write_text(MINE + "# changed\n")
    found = sandbox(*words)
    assert found.returncode == 2
    assert "what changed since: mine.Mine (mine)" in found.stderr
    assert "skipped" not in found.stdout
    assert folder not in found.stdout.split()
    found = sandbox(*words, "force=true")
    assert found.returncode == 0
    assert f"{Path(folder).name}: runs anew; what was there is in {Path(folder).name}/past/1" in found.stderr


def test_one_failed_run_of_a_sweep_leaves_the_others(sandbox, tmp_path):
    found = sandbox("-m", "rule.lr=0.1,1e20", *TINY, "steps=40", "label=swept")
    assert found.returncode == 2
    assert "swept rule.lr=1e+20 (swept-" in found.stderr
    assert "expected finite losses" in found.stderr
    states = [json.loads(path.read_text())["state"] for path in tmp_path.glob("runs/swept-*/status.json")]
    assert sorted(states) == ["failed", "finished"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["replay"], "expected a run folder; got nothing"), (["replay", "nowhere"], "expected a run folder"),
     (["report", "nowhere"], "expected"), (["check", "gate=beter"], "no gate called 'beter'. Did you mean 'better'?")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_a_mistake_after_a_command_is_told(arguments, said, sandbox):
    found = sandbox(*arguments)
    assert found.returncode == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(("words", "ordered"), [
    (["study=mine", "--config-dir", "conf"], ["--config-dir", "conf", "study=mine"]),
    (["hydra/launcher=basic", "-m", "seed=0,1"], ["-m", "hydra/launcher=basic", "seed=0,1"]),
    (["a=1", "--config-dir=x", "b=2", "-cd", "y", "-m"], ["--config-dir=x", "-cd", "y", "-m", "a=1", "b=2"]),
    (["~preset", "+a=1"], ["~preset", "+a=1"]),
])  # fmt: skip
def test_flags_may_stand_anywhere(words, ordered):
    assert flags_first(words) == ordered
