"""Settings belong to the member that they were meant for, whoever stands in its place afterwards."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from sandbox.compose import as_typed, composed, worded
from sandbox.core.error import ConfigError
from sandbox.places import house, named, targets_in

compose = cache(composed)


def node(group: str, *words: str) -> dict:
    return compose(words)[group]


SGD = {"_target_": "sandbox.rule.sgd.SGD", "lr": 0.01, "per_parameter": False}


# ---- presets and experiments ----------------------------------------------------------------------------------------


def test_a_preset_s_settings_go_with_the_member_it_chose():
    assert node("rule", "preset=meta_sgd")["per_parameter"] is True
    assert node("rule", "preset=meta_sgd", "rule=sgd")["per_parameter"] is True
    assert node("rule", "preset=self_adaptive")["lr"] == 0.0001


@pytest.mark.parametrize(
    ("preset", "group", "member"),
    [("meta_sgd", "meta_learner", "none"), ("meta_sgd", "rule", "learned_loss"), ("self_adaptive", "rule", "momentum"),
     ("self_adaptive", "meta_learner", "meta_gradient"), ("self_distillation", "task", "sinusoid"),
     ("ml3", "meta_learner", "reflective"), ("self_distillation", "rule", "sgd")],
)  # fmt: skip
def test_another_member_has_its_own(preset, group, member):
    bare = node(group, f"{group}={member}") if preset != "reflective" else {}
    assert node(group, f"preset={preset}", f"{group}={member}") == bare


def test_so_do_an_experiment_s():
    assert node("meta_learner", "experiment=first_light/own")["mu"] == 1.0
    assert node("meta_learner", "experiment=first_light/own", "meta_learner=none") == {
        "_target_": "sandbox.meta_learner.none.Nothing"
    }


def test_what_is_set_by_hand_reaches_whoever_is_chosen():
    found = node("rule", "preset=self_adaptive", "rule=momentum", "rule.lr=0.5")
    assert found == {"_target_": "sandbox.rule.momentum.Momentum", "lr": 0.5, "momentum": 0.9}


def test_a_task_brings_its_model_without_another_s_settings():
    found = node("model", "task=sinusoid", "rule=sgd", "meta_learner=none", "model.activation=tanh")
    assert found == {
        "_target_": "sandbox.model.mlp.MLP",
        "hidden": [40, 40],
        "activation": "tanh",
        "initial": "he",
        "last": "linear",
    }


# ---- a class of one's own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["meta_learner", "rule", "gate", "engine", "task", "model"])
def test_a_class_starts_from_its_own_defaults(group):
    assert node(group, f"{group}._target_=mine.Mine") == {"_target_": "mine.Mine"}
    assert node(group, "preset=meta_sgd", f"{group}._target_=mine.Mine", f"{group}.x=1", f"{group}.lr=2") == {
        "_target_": "mine.Mine", "x": 1, "lr": 2}  # fmt: skip


def test_the_class_that_stands_there_anyway_keeps_what_is_set():
    assert node("rule", "preset=meta_sgd", "rule._target_=sandbox.rule.sgd.SGD")["per_parameter"] is True


def test_a_class_within_a_node_starts_from_its_own_defaults():
    found = node("meta_learner", "meta_learner=yoked", "meta_learner.of._target_=mine.Mine", "meta_learner.of.x=1")
    assert found["of"] == {"_target_": "mine.Mine", "x": 1}
    assert found["source"] == "process"


def test_what_is_left_to_be_named_keeps_what_is_set():
    found = node("model", "model=module", "model._target_=torch.nn.Linear", "+model.bias=false")
    assert found == {"_target_": "torch.nn.Linear", "bias": False}


# ---- words ----------------------------------------------------------------------------------------------------------


def test_a_field_that_no_yaml_names_is_left_to_its_class():
    assert worded(["rule.x=1", "+rule.y=2", "++rule.z=3", "rule=sgd", "-m", "~gate", "hydra.launcher.n_jobs=4"]) == [
        "++rule.x=1", "++rule.y=2", "++rule.z=3", "rule=sgd", "-m", "~gate", "hydra.launcher.n_jobs=4"]  # fmt: skip
    assert as_typed(["++rule.x=1", "rule=sgd", "launch='x'"]) == ["rule.x=1", "rule=sgd"]


@pytest.mark.parametrize(
    ("word", "said"),
    [("stepz=3", "a known key; got 'stepz'. Did you mean 'steps'?"),
     ("+stepz=3", "a known key; got 'stepz'. Did you mean 'steps'?"),
     ("rulle.lr=3", "a known key; got 'rulle.lr'. Did you mean 'rule'?"),
     ("meter.mergee.every=3", "a meter at meter.mergee.every; got 'mergee'. Did you mean 'merge'?"),
     ("rule=sdg", "no rule called 'sdg'. Did you mean 'sgd'?")],
)  # fmt: skip
def test_an_unknown_key_is_told_with_the_near_miss(word, said):
    with pytest.raises(ConfigError) as told:
        worded([word])
    assert said in str(told.value)
    assert "+" not in str(told.value)


MERGE = "sandbox.meter.merge.Merge"


def test_a_second_meter_of_a_class_is_made_by_words():
    config = composed(
        [f"+meter.phi._target_={MERGE}", "+meter.phi.name=phi", "+meter.phi.outer=[rule]", "meter.phi.every=7"]
    )
    assert config["meter"]["phi"] == {"_target_": MERGE, "name": "phi", "outer": ["rule"], "every": 7}


def test_a_meter_that_an_experiment_makes_can_be_set(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        f"# @package _global_\nmeter: {{phi: {{_target_: {MERGE}, name: phi}}}}\n"
    )
    words = ["--config-dir", str(tmp_path), "experiment=mine"]
    assert composed([*words, "meter.phi.every=7"])["meter"]["phi"]["every"] == 7
    with pytest.raises(ConfigError, match=r"a meter at meter.phy.every; got 'phy'"):
        composed([*words, "meter.phy.every=7"])
    assert worded(["experiment=first_light/own,first_light/process", "meter.phy.every=7"])  # its jobs will say it


# ---- an experiment on a preset --------------------------------------------------------------------------------------


def test_what_a_preset_sets_for_a_member_that_its_experiment_chose_away_reaches_no_other(tmp_path):
    (tmp_path / "experiment").mkdir()
    lines = ["# @package _global_", "defaults:", "  - override /preset: loss_search", "  - override /gate: better",
             "  - override /meta_learner: mutate", "meta_learner: {edits: [rule/update]}"]  # fmt: skip
    (tmp_path / "experiment" / "mine.yaml").write_text("\n".join(lines))
    words = ["--config-dir", str(tmp_path), "experiment=mine"]
    config = composed([*words, "gate.score.over=life"])
    assert config["gate"] == {
        "_target_": "sandbox.gate.better.Better",
        "score": {"objective": "process", "over": "life"},
    }
    assert config["meta_learner"] == {"_target_": "sandbox.meta_learner.mutate.Mutate", "edits": ["rule/update"]}
    assert config["rule"]["lr"] == composed(["preset=loss_search"])["rule"]["lr"]  # the same member: the preset's


# ---- folders --------------------------------------------------------------------------------------------------------


def test_a_folder_of_configurations_names_packages_but_none_of_python_s_own(tmp_path):
    (tmp_path / "rule").mkdir()
    (tmp_path / "rule" / "a.yaml").write_text("_target_: mine.rules.A\npart: [{_target_: other.B}]\n")
    (tmp_path / "rule" / "b.yaml").write_text("_target_: sandbox.rule.sgd.SGD\npart: {_target_: subprocess.Popen}\n")
    assert targets_in([*named(["--config-dir", str(tmp_path)]), house()]) == ["mine", "other"]


@pytest.mark.slow
def test_what_is_left_out_is_told(tmp_path):
    found = subprocess.run(
        [str(Path(sys.executable).with_name("sandbox")), "preset=meta_sgd", "rule=learned_loss", "steps=1", "tasks=1",
         "meter=[]", "tracker=[jsonl]", f"runs={tmp_path}"], capture_output=True, text=True, check=False)  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "rule: set for another member by a preset or an experiment, so left out: per_parameter=True" in found.stderr
