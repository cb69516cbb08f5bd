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
from sandbox.compose import composed
from sandbox.config import build
from sandbox.proof import laws, stage
from sandbox.replay import replay
from sandbox.stage import small

CONF = Path(__file__).parents[1] / "conf"
WINGS = ("task", "model", "rule", "meta_learner", "gate", "engine", "meter", "tracker")


def members(group: str) -> list[str]:
    return [str(path.relative_to(CONF / group).with_suffix("")) for path in sorted((CONF / group).rglob("*.yaml"))]


compose = cache(composed)


@pytest.fixture(autouse=True)
def nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets with a language model are tried with the stand-in that is none."""
    monkeypatch.setenv("OPENAI_MODEL", "scripted")


def shrunk(config: dict[str, Any], runs: Path) -> dict[str, Any]:
    """The same run, small enough for a test."""
    return small(config) | {"steps": 2, "tasks": min(2, config["tasks"]), "runs": str(runs)}


def lived(config: dict[str, Any]) -> list[lineage.Line]:
    """The lines of a run that finished, with a finite loss at every step."""
    folder = experiment.perform(config)
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    lines = lineage.read(folder)
    top = lines[0]["level"]  # the start is the top level's
    assert [line["step"] for line in lines if line["level"] == top] == [0, 1, 2]
    assert all(isinstance(own, float) for line in lines[1:] for own in line["own"])
    assert replay(folder) == len(lines)
    return lines


# ---- members --------------------------------------------------------------------------------------------------------

MEMBERS = [f"{wing}={name}" for wing in WINGS for name in members(wing)]
QUICK = ("replays",)
REST = [pytest.param(member, law, id=f"{member}-{law.name}") for member in MEMBERS
        for law in laws(member.partition("=")[0]) if law.name not in QUICK]  # fmt: skip


HEAVY = ("task=gymnasium", "task=coin_grid", "meter=evaluation")  # in a small run too


@pytest.mark.parametrize(
    "member", [pytest.param(member, marks=pytest.mark.slow) if member in HEAVY else member for member in MEMBERS]
)
def test_a_member_lives_a_small_run_and_replays(member):
    on = stage(member)
    for law in laws(on.group):
        if law.name in QUICK:
            law(on)
    written = yaml.safe_load((CONF / on.group / f"{on.name}.yaml").read_text())
    assert written["_target_"] in (on.node["_target_"], "???")


@pytest.mark.slow
@pytest.mark.parametrize(("member", "law"), REST)
def test_a_member_keeps_every_other_law(member, law):
    law(stage(member))


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
