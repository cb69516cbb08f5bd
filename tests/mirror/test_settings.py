"""How runs are filed: what is set, what the environment says, what follows from the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.core.error import ConfigError
from sandbox.lines.mirror import mode_of
from sandbox.mirror.settings import LONGEST, Settings, cut, filed, given, legal
from sandbox.mirror.source import Run


def run(*apart: str, sweep: str | None = None, label: str = "maml", tracker: dict | None = None) -> Run:
    config = {"label": label, "sweep": sweep, "task": {"_target_": "sandbox.task.sinusoid.Sinusoid"},
              "tracker": {"wandb": tracker or {}}}  # fmt: skip
    return Run(Path("runs/maml-0123456789"), config, ("preset=maml", *apart), apart, ())


def test_a_group_of_a_sweep_holds_runs_that_differ_by_their_seeds_alone() -> None:
    def group(*apart: str) -> str:
        return filed(run(*apart, sweep="dial"), Settings(), {}).group

    assert group("rule.lr=0.1", "seed=0") == group("rule.lr=0.1", "seed=1") == "dial-rule.lr=0.1"
    assert group("rule.lr=0.2", "seed=0") != group("rule.lr=0.1", "seed=0")
    assert group("+x=[1,2]") != group("+x=[1:2]")  # other signs, other groups


def test_a_name_says_what_varies_and_a_single_run_its_label() -> None:
    assert filed(run("rule.lr=0.1", "seed=0", sweep="dial"), Settings(), {}).name == "maml rule.lr=0.1 seed=0"
    single = filed(run(), Settings(), {})
    assert (single.name, single.group, single.job_type) == ("maml", "maml", "maml")
    assert single.tags == ("preset=maml", "task=Sinusoid")
    assert single.notes == "sandbox preset=maml"


def test_what_is_set_wins_over_the_environment_and_that_over_the_run() -> None:
    environment = {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "WANDB_RUN_GROUP": "g", "WANDB_NAME": "n",
                   "WANDB_NOTES": "o", "WANDB_JOB_TYPE": "j", "WANDB_TAGS": "a, b", "WANDB_MODE": "online"}  # fmt: skip
    told = filed(run(), Settings(), environment)
    assert (told.project, told.entity, told.group, told.name, told.notes, told.job_type, told.mode) == (
        "p", "e", "g", "n", "o", "j", "online")  # fmt: skip
    assert {"a", "b"} < set(told.tags)
    own = Settings("offline", "P", "E", "G", "N", ("c",), "O", "J")
    told = filed(run(), own, environment)
    assert (told.project, told.entity, told.group, told.name, told.notes, told.job_type, told.mode) == (
        "P", "E", "G", "N", "O", "J", "offline")  # fmt: skip
    assert "c" in told.tags
    assert "a" not in told.tags


@pytest.mark.parametrize("label", ["a/b: ünï codé", "…", "x" * 120, "日本語", "a'b\"c"])
def test_any_label_is_filed_under_names_that_w_and_b_takes(label) -> None:
    told = filed(run("seed=0", sweep="s", label=label), Settings(), {})
    assert len(told.name) <= LONGEST
    assert legal(label) == legal(legal(label))
    assert 0 < len(legal(label)) <= LONGEST
    assert set(legal(label)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,=+-")


def test_names_that_differ_stay_apart_when_they_are_cut() -> None:
    assert cut("x" * 200 + "a", 100) != cut("x" * 200 + "b", 100)
    assert len(cut("x" * 200, 100)) == 100


def test_the_settings_of_a_run_are_those_of_its_tracker_but_for_what_is_said() -> None:
    node = {"_target_": "sandbox.tracker.wandb.Wandb", "mode": "online", "project": "mine", "deadline": 3.0}
    assert given(run(tracker=node), {"mode": "offline"}) == Settings(mode="offline", project="mine")
    with pytest.raises(ConfigError, match="project"):
        given(run(), {"projekt": "x"})


def test_a_run_that_was_begun_anew_is_another_run(tmp_path) -> None:
    one = replace(run(), folder=tmp_path / "maml-0123456789")
    (one.folder / "past" / "1").mkdir(parents=True)
    assert filed(one, Settings(), {}).id == "maml-0123456789"  # a longer one leaves no readings there
    (one.folder / "past" / "1" / "readings.json").touch()
    assert filed(one, Settings(), {}).id == "maml-0123456789-2"


def test_modes() -> None:
    assert mode_of(None, {}) == "offline"
    assert mode_of(None, {"WANDB_MODE": "dryrun"}) == "offline"
    assert mode_of("offline", {"WANDB_MODE": "nonsense"}) == "offline"
    with pytest.raises(ConfigError, match="disabled"):
        mode_of(None, {"WANDB_MODE": "disable"})
