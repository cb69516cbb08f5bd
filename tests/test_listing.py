"""What there is and where each value comes from, as the commands print it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.commands import USAGE, list_, show
from sandbox.core.error import ConfigError
from sandbox.listing import list_members
from sandbox.origins import show as shown
from sandbox.origins import whole
from sandbox.places import listed, places

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """A working folder with a rule of its own, and one that the house has too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "rule").mkdir(parents=True)
    (tmp_path / "conf" / "rule" / "mine.yaml").write_text(
        "# Mine.\n# Needs: task=quadratic extra=gym\n_target_: sandbox.rule.sgd.SGD\nlr: 0.5\n"
    )
    (tmp_path / "conf" / "rule" / "sgd.yaml").write_text("# Another.\n_target_: sandbox.rule.sgd.SGD\nlr: 0.7\n")
    return tmp_path


def test_every_member_has_a_line(mine):
    lines = list_members("rule", [], as_json=False).splitlines()
    assert lines[0] == "rule"
    ours = len(list((CONF / "rule").glob("*.yaml")))
    assert len(lines) == 1 + ours + 2
    [line] = [line for line in lines if " mine " in line]
    assert line.split() == ["mine", "./conf", "Mine.", "[needs", "task=quadratic", "extra=gym]"]
    assert "[not reached: sandbox has one of that name, which comes first]" in next(
        line for line in lines if "Anoth" in line
    )


def test_as_json_it_says_all_of_it(mine):
    rows = {(row["name"], row["from"]): row for row in json.loads(list_members(None, [], as_json=True))}
    assert rows["mine", "./conf"]["needs"] == ["task=quadratic", "extra=gym"]
    assert rows["mine", "./conf"]["class"] == "sandbox.rule.sgd.SGD"
    assert rows["sgd", "./conf"]["hidden_by"] == "sandbox"
    assert rows["module", "sandbox"]["class"] == "???"
    assert {row["group"] for row in rows.values()} >= {"task", "meter", "experiment", "study", "preset"}
    assert "hydra" not in {row["group"] for row in rows.values()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["rulez"], "a group; got 'rulez'. Did you mean 'rule'?"), (["rule", "gate"], USAGE["list"]),
     (["--jason"], USAGE["list"]), (["--config-dir", "nowhere"], "got 'nowhere'")],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(arguments, said, capsys):
    assert list_(arguments) == 2
    assert said in capsys.readouterr().err


def test_what_it_prints_needs_no_torch():
    code = "import sys; from sandbox.commands import list_; list_(['rule']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("entry", listed("rule", places()) + listed("meter", places()), ids=lambda entry: entry.name)
def test_a_member_says_what_it_is(entry):
    assert entry.about.endswith(".") or entry.about.endswith("?")
    assert all("=" in word for word in entry.needs)


# ---- values ---------------------------------------------------------------------------------------------------------


def origins(*words: str) -> dict[str, str]:
    """{the line of a value: where it is from}."""
    lines = [line.rpartition("# ") for line in shown(words)[0].splitlines()]
    return {before.strip(): after for before, mark, after in lines if mark}


def test_each_value_says_who_set_it():
    found = origins("preset=meta_sgd", "gate=paired_t", "rule.lr=0.3", "steps=3")
    assert found["steps: 3"] == "command line"
    assert found["lr: 0.3"] == "command line"
    assert found["per_parameter: true"] == "preset=meta_sgd"
    assert found["horizon: 1"] == "preset=meta_sgd"
    assert found["seed: 0"] == "default"
    assert found["rule:"] == "rule=sgd, preset=meta_sgd"
    assert found["gate:"] == "gate=paired_t, command line"
    assert found["engine:"] == "engine=functional, default"
    assert found["alpha: 0.05"] == "gate/paired_t.yaml"
    assert found["dtype: float32"] in ("class default", "task/sinusoid.yaml")


def test_an_experiment_s_values_bear_its_name():
    found = origins("experiment=first_light/own")
    assert found["mu: 1.0"] == found["label: own"] == "experiment=first_light/own"


def test_a_class_of_one_s_own_shows_its_defaults(mine):
    (mine / "conf" / "rule" / "half.yaml").write_text("# Half.\n_target_: sandbox.rule.sgd.SGD\nlr: 0.5\n")
    found = origins("rule=half", "preset=maml")
    assert found["lr: 0.5"] == "rule/half.yaml of ./conf"
    assert found["per_parameter: false"] == "class default"


def test_a_model_that_its_task_brings_says_so():
    assert whole(["task=quadratic", "rule=sgd", "meta_learner=none"]).chosen_by("model") == "task=quadratic"


def test_what_is_wrong_with_a_class_is_told_beside_the_rest(capsys):
    assert show(["rule.lr=fast"]) == 2
    told = capsys.readouterr()
    assert "lr: fast" in told.out
    assert "expected float at rule.lr; got 'fast'" in told.err
    with pytest.raises(ConfigError, match="no rule called"):
        shown(["rule=sdg"])
