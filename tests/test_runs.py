"""Runs from Python: words and keywords, objects in a member's place, what a folder gives back, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sandbox
from sandbox.compose import composed
from sandbox.config import build
from sandbox.core.error import ConfigError, LineageError, StaleError
from sandbox.identity import identity
from sandbox.meter.drift import Drift
from sandbox.objects import configured, literal
from sandbox.places import listed, places
from sandbox.replay import replay
from sandbox.rule.sgd import SGD
from sandbox.task.data import Data

HERE = __name__.partition(".")[0]
BOWL = {"task": "quadratic", "preset": "[]", "meta_learner": "meta_gradient", "meta_learner.edits": ["rule/lr"],
        "seeds": 2, "steps": 3, "horizon": 2, "tracker": ["jsonl", "checkpoint"]}  # fmt: skip


@dataclass(frozen=True)
class Mine(SGD):
    """A rule of one's own."""

    by: float = 2.0


@dataclass(frozen=True)
class Holds(SGD):
    """A rule that holds something."""

    part: Any = None


class Net(nn.Module):
    def __init__(self, inputs, outputs, width: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))

    def forward(self, x):
        return self.layers(x)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> sandbox.Run:
    return sandbox.run(rule=Mine(lr=0.1), meter=[Drift(every=1)], runs=str(tmp_path_factory.mktemp("runs")),
                       progress=False, **BOWL)  # fmt: skip


# ---- a run ----------------------------------------------------------------------------------------------------------


def test_readings_are_columns_of_one_length(run):
    readings = run.readings
    assert list(readings)[:3] == ["step", "seed", "own"]
    assert readings["step"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert readings["seed"] == [0, 1] * 4
    assert readings["own"][:2] == [None, None]
    assert readings["rule/lr"][0] == pytest.approx(0.1)
    assert len({len(values) for values in readings.values()}) == 1


def test_edits_are_rows_of_what_was_asked_for(run):
    edits = run.edits
    assert set(edits["path"]) == {"rule/lr"}
    assert set(edits["verdict"]) == {"accepted"}
    assert edits["step"] == [1, 1, 2, 2, 3, 3]
    assert edits["value"][-1] == pytest.approx(float(run.state.rule["lr"][1]))


def test_a_folder_gives_the_same_back(run):
    again = sandbox.load(run.folder, trust=[HERE])
    assert again.readings == run.readings
    assert again.edits == run.edits
    assert torch.equal(again.state.rule["lr"], run.state.rule["lr"])
    assert again.status["state"] == "finished"
    with pytest.raises(ConfigError, match="trust"):
        _ = sandbox.load(run.folder).state


def test_an_object_is_configuration_and_replays(run):
    assert run.config["rule"] == {"_target_": f"{__name__}.Mine", "lr": 0.1, "per_parameter": False, "lr_range": None,
                                  "by": 2.0}  # fmt: skip
    assert replay(run.folder, trust=[HERE]) == len(run.lines)
    words = ["preset=[]", "task=quadratic", f"rule._target_={__name__}.Mine", "rule.lr=0.1", "seeds=2", "horizon=2",
             "meta_learner=meta_gradient", "meta_learner.edits=[rule/lr]", "meter=[drift]",
             "meter.drift.every=1"]  # fmt: skip
    assert run.folder.name.endswith(identity(composed(words)))
    assert run.folder.name.startswith("Mine-meta_gradient-quadratic")


def test_where_nothing_is_that_is_told(tmp_path, run):
    with pytest.raises(LineageError, match=r"a run folder, a folder of them.*does not exist"):
        sandbox.load(tmp_path / "nowhere")
    config = run.config | {"runs": str(tmp_path), "tracker": {"jsonl": run.config["tracker"]["jsonl"]}}
    from sandbox.experiment import perform

    bare = sandbox.load(perform(config | {"trust": [HERE], "steps": 1}), trust=[HERE])
    with pytest.raises(LineageError, match=r"a checkpoint in .*tracker=\[jsonl,checkpoint\]"):
        _ = bare.state


def test_whoever_starts_a_run_finds_torch_as_it_was(tmp_path):
    threads, drawn = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        small = BOWL | {"rule": "sgd", "steps": 1, "meter": [], "tracker": ["jsonl"]}
        sandbox.run(progress=False, runs=str(tmp_path), **small)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), drawn)
    finally:
        torch.set_num_threads(threads)


# ---- objects --------------------------------------------------------------------------------------------------------


def node(**settings: Any) -> dict[str, Any]:
    [group] = settings
    return configured((), settings).config[group]


def test_a_class_a_partial_and_a_name_stand_for_a_member():
    assert node(rule=SGD) == {"_target_": "sandbox.rule.sgd.SGD"}
    assert node(model=partial(Net, width=7)) == {"_target_": f"{__name__}.Net", "width": 7}
    assert node(rule="sgd") == {
        "_target_": "sandbox.rule.sgd.SGD",
        "lr": 0.01,
        "per_parameter": False,
        "lr_range": None,
    }
    assert set(node(meter=["gap", Drift(every=3)])) == {"gap", "drift"}
    assert node(meter=Drift(every=3))["drift"] == {"_target_": "sandbox.meter.drift.Drift", "every": 3}


MEMBERS = [entry for group in ("task", "rule", "meta_learner", "gate", "engine") for entry in listed(group, places())
           if entry.name != "yoked"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("entry", MEMBERS, ids=lambda entry: f"{entry.group}-{entry.name}")
def test_an_object_and_its_name_are_one_run(entry):
    named = composed([f"{entry.group}={entry.name}"])
    built = build(named[entry.group], entry.group)
    handed = configured([], {entry.group: built}).config | {"model": named["model"]}  # which a task's file may choose
    assert identity(handed) == identity(named)


def test_an_object_in_a_preset_s_place_takes_nothing_of_what_was_meant_for_another():
    made = configured(["preset=meta_sgd"], {"rule": Mine()})
    assert made.config["rule"]["per_parameter"] is False
    assert HERE in made.config["trust"]
    assert made.words == ("preset=meta_sgd", f"rule={__name__}.Mine(lr=0.01,per_parameter=False,lr_range=None,by=2.0)")


def local() -> Any:
    @dataclass(frozen=True)
    class Local(SGD):
        pass

    return Local()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"rule": Holds(part=lambda x: x)}, r"at rule\.part; got a lambda"),
     ({"rule": Holds(part=torch.ones(2))}, r"at rule\.part; got something of torch: Tensor"),
     ({"rule": local()}, "got Local, which no module has under that name"),
     ({"rule": lambda x: x}, "at rule; got a lambda"),
     ({"model": Net(1, 1)}, "got a Net that is built already. Hand over its class"),
     ({"model": partial(Net, 1)}, "with unnamed arguments"),
     ({"steps": object()}, "Only task, model, rule")],
)  # fmt: skip
def test_what_no_configuration_can_say_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        configured((), settings)


@pytest.mark.parametrize("words", [["study=dial"], ["-m"], [SGD()]])
def test_words_are_those_of_one_run(words):
    with pytest.raises(ConfigError, match=r"the words of one run|words such as"):
        sandbox.run(*words)


@pytest.mark.parametrize(
    ("value", "said"), [(None, "null"), (True, "true"), (1e-7, "1e-07"), ([0.5, "a b"], "[0.5,'a b']"),
                        ({"over": "end"}, "{over:'end'}"), ("adam", "adam")],
)  # fmt: skip
def test_a_value_is_said_as_the_command_line_takes_it(value, said):
    assert literal(value, "x") == said


# ---- scripts --------------------------------------------------------------------------------------------------------


def test_to_import_it_takes_no_torch_and_no_time():
    code = "import time; a = time.perf_counter(); import sandbox; b = time.perf_counter() - a\n"
    code += "import sys; assert 'torch' not in sys.modules; assert b < 1, b; assert 'run' in sandbox.__all__"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = sandbox.runn


SCRIPT = """
from dataclasses import dataclass
import sandbox
from sandbox.rule.sgd import SGD

@dataclass(frozen=True)
class Own(SGD):
    pass

run = sandbox.run("task=quadratic", "preset=[]", "meta_learner=none", rule=Own(), steps=2, horizon=1,
                  meter=[], tracker=["jsonl"])
print(run.folder)
"""


@pytest.mark.slow
def test_a_script_s_own_class_runs_and_is_marked(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    found = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Own: of a script or a notebook" in found.stderr
    folder = tmp_path / found.stdout.split()[-1]
    assert sandbox.load(folder).readings["step"] == [0, 1, 2]
    assert Path(folder).name.startswith("Own-none-quadratic")


# ---- data that stand in memory --------------------------------------------------------------------------------------


def test_arrays_are_kept_in_a_file_under_their_digest(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(120, 3)), generator.integers(0, 2, 120)
    small = {"meter": "[]", "steps": 1, "seeds": 1, "horizon": 1, "progress": False, "runs": str(tmp_path)}
    first = sandbox.run("preset=reflective", task=Data((x, y), batch=8), **small)
    again = sandbox.run("preset=reflective", task=Data((torch.tensor(x), torch.tensor(y)), batch=8), **small)
    other = sandbox.run("preset=reflective", task=Data((x + 1, y), batch=8), **small)
    assert first.folder == again.folder != other.folder
    assert len(list((tmp_path / "data").iterdir())) == 2
    assert "Data" in first.folder.name
    assert replay(first.folder) == 2


def test_a_run_of_a_file_that_has_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    x = np.arange(240.0).reshape(120, 2)
    small = {"meter": "[]", "steps": 1, "seeds": 1, "horizon": 1, "progress": False, "runs": str(tmp_path)}
    np.savez(path, x=x, y=np.arange(120) % 2)
    sandbox.run("preset=reflective", task=Data(str(path), batch=8), **small)
    np.savez(path, x=x, y=np.arange(120) // 60)
    with pytest.raises(StaleError, match="what changed since: the data"):
        sandbox.run("preset=reflective", task=Data(str(path), batch=8), **small)
