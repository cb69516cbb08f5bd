"""Runs that are there, scored without training them again: what is asked, what is found, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox import scoresheet
from sandbox.commands import eval_
from sandbox.compose import composed
from sandbox.core.error import ConfigError, LineageError, SandboxError, StaleError
from sandbox.evaluation import Question, evaluate, ladder
from sandbox.experiment import perform

SMALL = ["preset=maml", "tasks=3", "task.dtype=float64", "model.hidden=[5]", "tracker=[jsonl,checkpoint]",
         "tracker.checkpoint.every=1", "check=off"]  # fmt: skip
METER = ["meter=[evaluation]", "meter.evaluation.tasks=60", "meter.evaluation.horizons=[1,4]"]


def made(runs: Path, *words: str, steps: int = 2, seeds: int = 2) -> Path:
    return perform(composed([*SMALL, "meter=[]", f"steps={steps}", f"seeds={seeds}", f"runs={runs}", *words]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose last line has what the meter `evaluation` read."""
    return made(tmp_path_factory.mktemp("trained"), *METER)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """The same in a folder that a test may spoil."""
    folder = tmp_path / trained.name
    for path in trained.rglob("*"):
        if path.is_file() and not path.name.startswith("eval-"):
            copy = folder / path.relative_to(trained)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return folder


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- what is found --------------------------------------------------------------------------------------------------


def test_it_finds_what_the_meter_reads_at_the_same_step(trained: Path) -> None:
    rows = evaluate(trained, Question(horizon=(0, 1, 4), tasks=60)).rows
    assert [(row["seed"], row["horizon"]) for row in rows] == [(s, h) for h in (0, 1, 4) for s in (0, 1)]
    readings = sandbox.load(trained).readings
    for row in rows:
        at = len(readings["seed"]) - 2 + row["seed"]
        for name, reading in (("process", "process"), ("own", "own"), ("process_median", "median")):
            assert row[name] == pytest.approx(readings[f"evaluation/{reading}_{row['horizon']}"][at], rel=1e-5)
        assert row["process_low"] < row["process"] < row["process_high"]
        assert (row["tasks"], row["step"], row["diverged"], row["not_finite"]) == (60, 2, 0, 0)


def test_only_its_own_file_is_written_and_read_when_asked_again(run: Path) -> None:
    before, question = held(run), Question(horizon=(1,), tasks=4)
    first = evaluate(run, question)
    (added,) = held(run).keys() - before.keys()
    assert added.startswith("eval-")
    assert {name: content for name, content in held(run).items() if name != added} == before
    said = json.loads((run / added).read_text())
    assert said["asked"] == {"horizon": [1], "tasks": 4, "task": {}, "bound": None}
    said["rows"][0]["process"] = 77.0
    (run / added).write_text(json.dumps(said))
    assert evaluate(run, question).rows[0]["process"] == 77.0
    assert evaluate(run, Question(horizon=(1,), tasks=5)).rows[0]["process"] != 77.0
    assert first.rows[0]["process"] != 77.0


@pytest.mark.slow
def test_a_run_that_went_on_is_evaluated_anew(tmp_path: Path) -> None:
    first = evaluate(made(tmp_path), Question(tasks=4))
    second = evaluate(made(tmp_path, steps=3), Question(tasks=4))
    assert first.folder == second.folder
    assert (first.step, second.step) == (2, 3)
    assert first.rows[0]["process"] != second.rows[0]["process"]


def test_other_fields_of_the_task_are_other_tasks(run: Path) -> None:
    usual, fewer = (evaluate(run, Question(horizon=(5,), tasks=4, task=task)) for task in ({}, {"shots": 2}))
    assert usual.rows[0]["process"] != fewer.rows[0]["process"]
    wide = evaluate(run, Question(horizon=(0,), tasks=4, task={"amplitude": [0.0, 0.0]}))
    assert wide.rows[0]["process"] < usual.rows[0]["process"]


def test_from_python_it_is_columns(run: Path) -> None:
    found = sandbox.load(run).evaluate(horizon=2, tasks=4, task={"shots": 3})
    assert found["horizon"] == [0, 0, 1, 1, 2, 2]
    assert len(found["process"]) == 6


@pytest.mark.parametrize(("last", "rungs"), [(0, [0]), (1, [0, 1]), (3, [0, 1, 2, 3]), (10, [0, 1, 2, 5, 10]),
                                             (60, [0, 1, 2, 5, 10, 20, 50, 60])])  # fmt: skip
def test_one_number_is_a_ladder_up_to_it(last: int, rungs: list[int]) -> None:
    assert ladder(last) == rungs


def test_a_life_that_persists_is_scored_as_it_stands(tmp_path: Path) -> None:
    words = ["lifetime=persistent", "meta_learner=none", "rule.lr=0.001", "meter=[performance]", "horizon=2"]
    folder = made(tmp_path, *words)
    answer = evaluate(folder, Question())
    assert not answer.fresh
    assert [row["horizon"] for row in answer.rows] == [0, 0]
    assert {row["tasks"] for row in answer.rows} == {3}
    with pytest.raises(ConfigError, match="lives persist; got tasks=4"):
        evaluate(folder, Question(tasks=4))
    with pytest.raises(ConfigError, match="lives persist"):
        evaluate(folder, Question(task={"shots": 3}))


# ---- what is refused or told ----------------------------------------------------------------------------------------


def test_other_code_is_refused_unless_it_is_asked_for(run: Path) -> None:
    about = json.loads((run / "about.json").read_text())
    about[-1]["code"]["sandbox.rule.sgd.SGD"]["modules"]["sandbox.rule.sgd"] = "another"
    (run / "about.json").write_text(json.dumps(about))
    with pytest.raises(StaleError, match=r"sandbox\.rule\.sgd.*force=true"):
        evaluate(run, Question(tasks=2))
    assert "was made by other code" in evaluate(run, Question(tasks=2, force=True)).told[0]


def test_an_unfinished_run_is_told(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "running", "steps": 9}))
    assert evaluate(run, Question(tasks=2)).told == (f"{run.name} is evaluated at step 2 of 9; it is running",)


def test_without_a_checkpoint_there_is_nothing_to_evaluate(run: Path, tmp_path: Path) -> None:
    for path in (run / "checkpoint").iterdir():
        path.unlink()
    with pytest.raises(LineageError, match="a checkpoint"):
        evaluate(run, Question())
    with pytest.raises(LineageError, match=r"config\.yaml"):
        evaluate(tmp_path / "nothing", Question())


@pytest.mark.parametrize(
    ("task", "said"),
    [({"shotz": 5}, "'shotz'.*shots"), ({"shots": 0}, r"task\.shots"), ({"dtype": "float32"}, "dtype float64"),
     ({"shots": "many"}, r"task\.shots")],
)  # fmt: skip
def test_a_task_that_does_not_fit_is_refused(run: Path, task: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        evaluate(run, Question(tasks=2, task=task))


@pytest.mark.parametrize("question", [{"horizon": -1}, {"horizon": ()}, {"horizon": (1, 2.5)}, {"horizon": "ten"},
                                      {"horizon": True}, {"tasks": 0}, {"tasks": 1.5}, {"bound": "high"}])  # fmt: skip
def test_what_is_no_question_is_refused(question: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Set |Leave"):
        Question(**question)


# ---- the command ----------------------------------------------------------------------------------------------------


def test_words_become_a_question(run: Path) -> None:
    folders, question = scoresheet.asked([f"{run}", "horizon=1,5", "tasks=600", "task.frequency=[.8,1.2]", "bound=1e2"])
    assert folders == [run]
    assert question == Question([1, 5], 600, {"frequency": [0.8, 1.2]}, 100.0)
    assert scoresheet.asked([f"{run}", "horizon=7"])[1].horizon == 7


@pytest.mark.parametrize(("word", "said"), [("shots=5", r"task\.shots"), ("horizn=5", "horizon"), ("horizon=x", "'x'"),
                                            ("force=maybe", "force=true"), ("horizon=", "a value"),
                                            ("task=quadratic", "made for")])  # fmt: skip
def test_words_that_say_nothing_are_refused(run: Path, word: str, said: str) -> None:
    with pytest.raises(SandboxError, match=said):
        scoresheet.asked([f"{run}", word])


@pytest.mark.slow
def test_the_runs_of_a_sweep_are_one_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs that differ by their seed alone are put together; another rate is another arm."""
    folders = [made(tmp_path, f"seed={seed}", "label=one", seeds=1) for seed in (0, 1)]
    folders.append(made(tmp_path, "rule.lr=0.02", "label=other", seeds=1))
    rows = tmp_path / "rows.json"
    assert eval_([*map(str, folders), "horizon=1", "tasks=4", "--seeds", "--json", str(rows)]) == 0
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert "over seeds" in title
    assert head.split() == ["arm", "n", "inner", "steps", "P", "A", "median", "of", "P", "tasks", "diverged"]
    assert [line.split()[:3] for line in lines[:4]] == [["one", "2", "0"], ["one", "2", "1"], ["other", "1", "0"],
                                                        ["other", "1", "1"]]  # fmt: skip
    said = json.loads(rows.read_text())
    first = said["arms"][0]
    assert (first["arm"], first["n"], first["tasks"]) == ("one", 2, 8)
    each = [row["process"] for row in said["seeds"] if row["label"] == "one" and row["horizon"] == 0]
    assert first["process"]["mean"] == pytest.approx(sum(each) / 2)
    together = evaluate(made(tmp_path, "label=both", seeds=2), Question(horizon=1, tasks=4)).rows
    assert [row["process"] for row in together if row["horizon"] == 0] == pytest.approx(each, rel=1e-9)


def test_one_that_can_not_be_evaluated_does_not_stop_the_others(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert eval_([f"{tmp_path / 'nothing'}", f"{run}", "tasks=2", "--json"]) == 2
    found = capsys.readouterr()
    assert "config.yaml" in found.err
    assert len(json.loads(found.out)["seeds"]) == 4


def test_tasks_that_diverge_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert eval_([f"{run}", "horizon=0,1", "tasks=4", "bound=1e-9"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[-1] for line in out.splitlines()[2:4]] == ["8", "8"]
    assert "A task diverged where" in out
