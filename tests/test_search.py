"""`sandbox search`: what is searched over, and trials that are the same however often the search is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from sandbox.core.error import ConfigError
from sandbox.core.reading import Reading
from sandbox.lines.launch import Plan, entries, read_plan
from sandbox.sweep.outcome import Held, Outcome, told
from sandbox.sweep.search import Search, _objective
from sandbox.sweep.space import Choice, Numbers, Space, space_of
from sandbox.sweep.trials import Trials, opened

COMMAND = [str(Path(sys.executable).with_name("sandbox")), "search"]
TINY = ["task=quadratic", "rule=sgd", "meta_learner=none", "seeds=2", "steps=2", "horizon=1", "meter=[performance]",
        "tracker=[jsonl,checkpoint]", "check=off"]  # fmt: skip
SPACE = Space((), {"a": Numbers(0.001, 1, log=True), "b": Choice(("x", "y")), "c": Numbers(1, 9, whole=True, step=2)},
              ())  # fmt: skip


# ---- what is searched over ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "axis"), [
    ("rule.lr=interval(1,10)", Numbers(1, 10)),
    ("rule.lr=tag(log,interval(0.001,1))", Numbers(0.001, 1, log=True)),
    ("horizon=int(interval(1,8))", Numbers(1, 8, whole=True)),
    ("horizon=range(1,10,3)", Numbers(1, 7, whole=True, step=3)),
    ("rule.lr=range(0.5,1.5,0.5)", Choice(("0.5", "1.0"))),
    ("rule=sgd,adam", Choice(("sgd", "adam"))),
    ("rule=choice(sgd,adam)", Choice(("sgd", "adam"))),
    ("rule.lr=shuffle(3,1,2)", Choice(("3", "1", "2"))),
    ("task.widths=[8],'[8,8]'", Choice(("[8]", "'[8,8]'"))),
])  # fmt: skip
def test_a_word_of_hydra_s_grammar_is_an_axis(word, axis):
    space = space_of(["task=quadratic", f"++{word}", "steps=3"])
    key = f"++{word.partition('=')[0]}"
    assert space.axes == {key: axis}
    assert space.fixed == ("task=quadratic", "steps=3")
    assert space.said == (f"++{word}",)


@pytest.mark.parametrize(("word", "said"), [
    ("rule.lr=0.1", "expected something to search over"), ("rule.lr=interval(5,1)", "its lower end first"),
    ("rule.lr=tag(log,interval(0,1))", "an interval above 0"), ("seed=0,1", "expected one seed for all trials"),
    ("rule.lr=range(3,3)", "stands for nothing"), ("rule.lr=interval(1", "interval(1"),
])  # fmt: skip
def test_a_word_that_can_t_be_searched_is_refused(word, said):
    with pytest.raises(ConfigError) as told:
        space_of(["task=quadratic", word])
    assert said in str(told.value)


# ---- trials ---------------------------------------------------------------------------------------------------------


NEVER = 10**9


class Killed(BaseException):
    """In place of a kill."""


def searched(folder: Path, *, sampler: str = "tpe", together: int = 1, dies: int | None = None) -> list[dict]:
    """Every trial of a search of 14 whose trials take no time; it dies before its `dies`th word to the journal."""
    study = opened(folder / "journal.log", sampler, maximize=False, steps=8)
    trials = Trials(study, SPACE, sampler, 14, together, seed=3)
    left = [NEVER if dies is None else dies]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    while batch := trials.batch():
        count()
        words = [trials.words(trial) for trial in batch]
        count()
        for trial, (a, b, c) in zip(batch, words, strict=True):
            value = (float(a[2:]) - 0.1) ** 2 + (b == "b=x") + int(c[2:]) / 10
            way = [(step, value + step) for step in (2, 4, 8)]
            failed = trial.number == 5
            trials.tell(trial, None if failed else value, way, None if failed else trials.cut(trial.number, way))
            count()
    return [{"params": one.params, "state": one.state.name, "value": one.value} for one in study.get_trials()]


@pytest.mark.parametrize(("sampler", "together"), [("tpe", 4), ("random", 1)])
def test_a_search_that_is_killed_and_goes_on_draws_what_it_would_have_drawn(sampler, together, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = searched(whole, sampler=sampler, together=together)
    kills = 0
    for dies in (0, 1, 2, 3, 1, 5, 4, None):
        try:
            found = searched(broken, sampler=sampler, together=together, dies=dies)
        except Killed:
            kills += 1
            with (broken / "journal.log").open("ab") as file:
                file.write(b'{"op_code": 4, "wor')  # half a line
    assert kills == 7
    assert found == expected
    assert len(expected) == 14
    assert len({json.dumps(one["params"]) for one in expected}) > 10
    assert {one["state"] for one in expected} == {"COMPLETE", "FAIL", "PRUNED"}


def test_samplers_draw_from_streams_of_their_own(tmp_path):
    firsts: list[list[str]] = []
    for sampler in ("tpe", "random"):
        study = opened(tmp_path / "journal.log", sampler, maximize=False, steps=8)
        trials = Trials(study, SPACE, sampler, 1, 1, seed=3)
        firsts.append(trials.words(trials.batch()[0]))
    assert firsts[0] != firsts[1]


def test_a_trial_is_pruned_where_it_is_worse_than_the_others_were_at_that_step(tmp_path):
    study = opened(tmp_path / "journal.log", "tpe", maximize=False, steps=8)
    trials = Trials(study, SPACE, "tpe", 9, 1, seed=0)
    for value in (1.0, 2.0, 3.0, 4.0):
        (trial,) = trials.batch()
        trials.words(trial)
        trials.tell(trial, value, [(2, value), (4, value), (8, value)], None)
    (trial,) = trials.batch()
    assert trials.cut(trial.number, [(2, 2.4), (4, 2.4), (8, 2.4)]) is None  # better than the median, 2.5
    assert trials.cut(trial.number, [(2, 2.6), (4, 2.6), (8, 2.6)]) == 2
    assert trials.cut(trial.number, [(1, 9.0), (2, 2.4)]) is None  # too early, and its best counts


# ---- what is told ---------------------------------------------------------------------------------------------------


def test_the_table_sets_the_held_out_value_beside_the_chosen_one():
    outcomes = [Outcome("tpe", 4, 1, 0, (0.5, ["++a=0.1"])), Outcome("random", 4, 0, 0, (0.75, ["++a=0.2"]))]
    held = [Held("tpe", (1.0, 2.0, 3.0)), Held("random", (2.0, 3.0, 4.0))]
    space = Space(("task=quadratic", "objective=own"), {"++a": Numbers(0, 1)}, ("++a=interval(0,1)",))
    plan = Plan("mine", ("-m", "--config-dir", "conf"), ".", (), (), 0.0)
    text = told(plan, space, Reading("own", "A", "lower"), "minimize", outcomes, held).splitlines()
    assert text[0] == "mine: a=interval(0,1)"
    assert " ".join(text[2].split()) == "sampler trials failed pruned best trial on 3 held-out seeds where"
    assert text[3].split()[:5] == ["tpe", "4", "1", "0", ".500"]
    assert "2.000" in text[3]
    assert "tpe - random there, paired by seed: -1.000 [-1.000, -1.000], below 0" in text
    assert text[-1] == "sandbox --config-dir conf task=quadratic a=0.1"


def test_of_a_reading_without_a_better_side_the_direction_must_be_said():
    with pytest.raises(ConfigError, match="neither side is better"):
        Search()._goal(Reading("rule/lr", "lr"))
    assert Search(direction="maximize")._goal(Reading("rule/lr", "lr")) == "maximize"
    assert Search()._goal(Reading("performance/human", "H", "higher")) == "maximize"


def test_the_objective_is_p_or_a_where_nobody_says():
    meter = {"performance": {"_target_": "sandbox.meter.performance.Performance"}}
    assert _objective({"meter": meter}).name == "performance/process"
    assert _objective({"meter": {}}).name == "own"
    with pytest.raises(ConfigError, match="Did you mean 'performance/human'"):
        _objective({"meter": meter, "objective": "performance/humans"})


# ---- from the command line ------------------------------------------------------------------------------------------


def run(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(
        [*COMMAND, *TINY, *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == code, found.stderr[-3000:]
    return found


def name(found: subprocess.CompletedProcess[str]) -> str:
    """What a search was called, by the first line of its table."""
    return found.stderr.partition(":")[0]


def outcome(folder: Path, name: str) -> list[dict]:
    return json.loads((folder / "runs" / "searches" / name / "result.json").read_text())


def test_a_search_is_a_sweep_of_ordinary_runs(tmp_path):
    found = run(tmp_path, "rule.lr=0.1,1e20", "trials=2", "n_jobs=2", "held_out=3", "sweep=mine", "against=null",
                "steps=5", code=2)  # fmt: skip
    assert "sampler  trials  failed" in found.stderr
    (manifest,) = (tmp_path / "runs" / "launches").glob("*.jsonl")
    plan = read_plan(manifest)
    assert plan is not None
    assert plan.sweep == "mine"
    assert [one["job"] for one in entries(manifest) if "folder" in one] in ([0, 1, 2], [1, 0, 2])
    (only,) = outcome(tmp_path, "mine")
    assert (only["trials"], only["failed"], only["best"][1]) == (2, 1, ["++rule.lr=0.1"])
    assert {"seed=2", "seeds=3"} <= set(plan.jobs[2])  # after the trials' 0 and 1
    states = {json.loads(path.read_text())["state"] for path in tmp_path.glob("runs/*/status.json")}
    assert states == {"finished", "failed"}
    config = yaml.safe_load(next(tmp_path.glob("runs/*/config.yaml")).read_text())
    assert config["sweep"] == "mine"


@pytest.mark.slow
def test_the_same_command_again_runs_nothing_and_says_the_same(tmp_path):
    words = ["rule.lr=tag(log,interval(0.001,1))", "trials=3", "n_jobs=1", "held_out=2"]
    first = run(tmp_path, *words)
    known = {path: path.read_bytes() for path in tmp_path.glob("runs/*/about.json")}
    assert [one["sampler"] for one in outcome(tmp_path, name(first))] == ["tpe", "random"]
    again = run(tmp_path, *words)
    assert {path: path.read_bytes() for path in tmp_path.glob("runs/*/about.json")} == known
    assert again.stderr.splitlines()[-5:] == first.stderr.splitlines()[-5:]


@pytest.mark.slow
def test_a_search_of_another_space_by_the_same_name_is_refused(tmp_path):
    run(tmp_path, "rule.lr=interval(0.1,1)", "trials=1", "against=null", "held_out=0", "sweep=mine")
    found = run(tmp_path, "rule.lr=interval(0.1,2)", "trials=1", "against=null", "held_out=0", "sweep=mine", code=2)
    assert "expected the space that this search was begun with" in found.stderr


@pytest.mark.slow
def test_a_search_that_is_killed_again_and_again_ends_with_the_same_trials(tmp_path):
    words = ["rule.lr=tag(log,interval(0.001,0.3))", "trials=6", "n_jobs=2", "held_out=2", "sweep=mine", "steps=60",
             "prune=performance/process"]  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    run(whole, *words)
    draw, kills = random.Random(0), 0
    for _ in range(20):
        process = subprocess.Popen([*COMMAND, *TINY, *words], cwd=broken, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        try:
            process.wait(draw.uniform(3, 9))
        except subprocess.TimeoutExpired:
            if draw.random() < 0.5:
                os.kill(process.pid, signal.SIGKILL)  # its jobs end by themselves, with a checkpoint
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(1)
        else:
            assert process.returncode == 0
            break
    assert kills
    run(broken, *words)
    assert outcome(broken, "mine") == outcome(whole, "mine")
    left, right = ({path.parent.name: path.read_bytes() for path in folder.glob("runs/*/lineage.jsonl")}
                   for folder in (whole, broken))  # fmt: skip
    assert left.keys() == right.keys()
    for run_, lines in left.items():  # a pruned trial is judged by its first lines, however far it came
        assert lines.startswith(right[run_]) or right[run_].startswith(lines)


def test_what_was_found_can_be_written_down():
    assert json.loads(json.dumps(asdict(Outcome("tpe", 1, 0, 0, None))))["best"] is None
