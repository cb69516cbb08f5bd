"""Every member that lies in conf/ builds from its file, lives a small run through the whole house, and replays."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import experiment
from sandbox.archive import lineage
from sandbox.config import build
from sandbox.launch import composed

CONF = Path(__file__).parents[1] / "conf"
WINGS = ("task", "model", "rule", "meta_learner", "gate", "engine", "meter", "tracker")
LISTS = ("meter", "tracker")
SMALL = {
    "train": 60,
    "practice": 20,
    "gate": 20,
    "batch": 16,
    "length": 8,
    "tasks": 3,
    "every": 1,
    "probes": 2,
    "partitions": 2,
    "agents": 20,
    "cut": 2,
    "episodes": 2,
}
PLAIN = {"task": "sinusoid", "rule": "sgd", "rule.lr": "0.001", "meta_learner": "none", "gate": "always",
         "meter": "[]", "tracker": "[jsonl]"}  # fmt: skip

# What a member needs around it, where the plain run won't do.
DIGITS = {"task": "noisy_digits", "rule": "self_distillation", "rule.lr": "0.1"}
AROUND = {
    "model/mlp": {"model.hidden": "[5]"},
    "model/transformer": {"task": "text", "task.vocabulary": "9", "model.width": "8"},
    "task/text": {"model.width": "8"},
    "model/module": {"model._target_": "torch.nn.Linear", "+model.in_features": "1", "+model.out_features": "1"},
    "model/vector": {"task": "quadratic"},
    "rule/self_distillation": DIGITS,
    "rule/policy_gradient": {"task": "bandit"},
    "rule/actor_critic": {"task": "bandit"},
    "rule/optimizer": {"engine": "higher", "lifetime": "episodic"},
    "meta_learner/meta_gradient": {"lifetime": "episodic"},
    "meta_learner/es": DIGITS,
    "meta_learner/reflective": DIGITS,
    "meta_learner/yoked": DIGITS,
    "gate/better": {"meta_learner": "self_adaptive"},
    "gate/paired_t": {"meta_learner": "self_adaptive"},
    "meter/alignment": DIGITS | {"meta_learner": "reflective"},
    "meter/merge": DIGITS | {"meta_learner": "reflective"},
    "meter/separability": DIGITS | {"meta_learner": "reflective"},
    "meter/teacher": DIGITS,
    "meter/string": DIGITS | {"meta_learner": "reflective"},
}


def members(group: str) -> list[str]:
    return [str(path.relative_to(CONF / group).with_suffix("")) for path in sorted((CONF / group).rglob("*.yaml"))]


compose = cache(composed)


def shrunk(config: dict[str, Any], runs: Path) -> dict[str, Any]:
    """The same run, small enough for a test."""
    small = {"seeds": 2, "steps": 2, "horizon": 2, "tasks": min(2, config["tasks"]), "runs": str(runs)}
    meters = {name: _less(node) for name, node in (config.get("meter") or {}).items()}
    return config | small | {"task": _less(config["task"]), "meter": meters}


def _less(node: dict[str, Any]) -> dict[str, Any]:
    return node | {key: value for key, value in SMALL.items() if key in node}


def lived(config: dict[str, Any]) -> list[lineage.Line]:
    """The lines of a run that finished, with a finite loss at every step."""
    folder = experiment.perform(config)
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    lines = lineage.read(folder)
    top = lines[0]["level"]  # the start is the top level's
    assert [line["step"] for line in lines if line["level"] == top] == [0, 1, 2]
    assert all(isinstance(own, float) for line in lines[1:] for own in line["own"])
    assert experiment.replay(folder) == len(lines)
    return lines


# ---- members --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [f"{wing}/{name}" for wing in WINGS for name in members(wing)])
def test_a_member_lives_a_small_run(member, tmp_path):
    wing, _, name = member.partition("/")
    chosen = {
        wing: f"[jsonl,{name}]" if wing == "tracker" and name != "jsonl" else f"[{name}]" if wing in LISTS else name
    }
    words = PLAIN | AROUND.get(member, {}) | chosen
    config = shrunk(compose(tuple(f"{key}={value}" for key, value in words.items())), tmp_path)
    lines = lived(config)
    node = config[wing][name] if wing in LISTS else config[wing]
    assert yaml.safe_load((CONF / wing / f"{name}.yaml").read_text())["_target_"] in (node["_target_"], "???")
    if wing == "meter":
        assert all(line["readings"] for line in lines)
        assert all(isinstance(value, float) for values in lines[-1]["readings"].values() for value in values)


@pytest.mark.parametrize("member", [f"{wing}/{name}" for wing in ("rule", "gate", "engine") for name in members(wing)])
def test_a_member_builds_from_its_file_alone(member):
    wing, _, name = member.partition("/")
    node = yaml.safe_load((CONF / wing / f"{name}.yaml").read_text())
    assert build(node, wing) == build({"_target_": node["_target_"]}, wing)


# ---- presets and experiments ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("named", [f"{group}={name}" for group in ("preset", "experiment") for name in members(group)])
def test_what_has_a_name_builds_as_it_is_and_lives_a_small_run(named, tmp_path):
    config = compose((named,))
    experiment.build_loop(config)
    assert set(config["tracker"]) == {"jsonl", "checkpoint", "wandb"}
    lived(shrunk(config, tmp_path) | {"tracker": {"jsonl": config["tracker"]["jsonl"]}})


@pytest.mark.parametrize("name", members("experiment"))
def test_an_experiment_asks_its_question_and_names_its_command(name):
    text = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()[1:]
    first = " ".join(line.removeprefix("# ") for line in text[: 1 + text[1].startswith("#")])
    assert "? " in first or first.startswith("Null: ")
    assert first.endswith(f"Run: sandbox experiment={name}")


def yoked() -> list[str]:
    return [name for name in members("experiment") if "yoked" in (CONF / "experiment" / f"{name}.yaml").read_text()]


@pytest.mark.parametrize("name", yoked())
def test_a_control_lives_by_the_run_that_it_names(name):
    control = compose((f"experiment={name}",))
    of, source = control["meta_learner"]["of"], control["meta_learner"]["source"]
    intact = compose((f"experiment={Path(name).parent / source}",))
    assert experiment.identity(control | {"meta_learner": of}) == experiment.identity(intact)
