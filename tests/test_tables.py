"""Tables of one run and of many, and the versions of a run folder's format."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import sandbox
from sandbox.core.error import ConfigError, LineageError
from sandbox.evaluation import Question, evaluate
from sandbox.lines.format import FORMAT, format_of
from sandbox.replay import replay
from sandbox.report.read import read_run
from sandbox.sweep.again import rerun
from sandbox.tables import Columns, alike, together

FROZEN = Path(__file__).parent / "frozen" / "format-0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs in a folder: the frozen one, and the same with another seed of its label, a third line cut away."""
    runs = tmp_path / "runs"
    for name in ("old-1", "new-2"):
        shutil.copytree(FROZEN, runs / name)
    (runs / "new-2" / "config.yaml").write_text(
        (FROZEN / "config.yaml").read_text().replace("label: old", "label: new")
    )
    lines = (FROZEN / "lineage.jsonl").read_text().splitlines(keepends=True)
    (runs / "new-2" / "lineage.jsonl").write_text("".join(lines[:3]).replace("drift/rule", "drift/other"))
    return runs


# ---- old and new formats --------------------------------------------------------------------------------------------


def test_a_folder_of_before_versions_is_read() -> None:
    run = sandbox.load(FROZEN)
    assert format_of(FROZEN) == 0
    assert run.readings["step"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert run.readings["own"][-1] == pytest.approx(1.6, abs=0.5)
    assert run.edits["path"] == ["rule/lr"] * 6
    assert run.config["label"] == "old"
    assert run.status["state"] == "finished"


def test_a_newer_format_than_known_is_refused(folder: Path) -> None:
    about = json.loads((folder / "old-1" / "about.json").read_text())
    about[-1]["format"] = FORMAT + 1
    (folder / "old-1" / "about.json").write_text(json.dumps(about))
    for path in (folder / "old-1", folder):
        with pytest.raises(
            LineageError, match=rf"format {FORMAT} or older; got format {FORMAT + 1} in .*newer version"
        ):
            sandbox.load(path)
    for reads in (read_run, replay, lambda path: evaluate(path, Question()), lambda path: rerun([path])):
        with pytest.raises(LineageError, match="newer version"):
            reads(folder / "old-1")


# ---- many runs ------------------------------------------------------------------------------------------------------


def test_tables_of_many_runs_name_the_run_of_each_row(folder: Path) -> None:
    runs = sandbox.load(folder)
    assert len(runs) == 2
    assert [run.folder.name for run in runs] == ["new-2", "old-1"]
    assert list(runs.readings)[:5] == ["run", "label", "step", "seed", "own"]
    assert runs.readings["run"] == ["new-2"] * 6 + ["old-1"] * 8
    assert runs.readings["label"] == ["new"] * 6 + ["old"] * 8
    assert runs.readings["drift/rule"][:6] == [None] * 6
    assert runs.readings["drift/other"][6:] == [None] * 8
    assert runs.readings["drift/rule"][6:] == runs[1].readings["drift/rule"]
    assert set(runs.edits) == {"run", "label", "level", "step", "seed", "path", "value", "text", "verdict", "why"}
    assert runs.verdicts["verdict"] == ["accepted"] * 10
    assert runs.configs["label"] == ["new", "old"]
    assert runs.configs["rule.lr"] == [0.01, 0.01]
    assert runs.configs["state"] == ["finished"] * 2


def test_long_readings_are_the_wide_ones(folder: Path) -> None:
    """What was read stands in both, and nothing else in the long table."""
    runs = sandbox.load(folder)
    wide, long = runs.readings, runs.long_readings
    rows = {(run, step, seed): row for row, (run, step, seed) in
            enumerate(zip(wide["run"], wide["step"], wide["seed"], strict=True))}  # fmt: skip
    assert len(long["value"]) == sum(value is not None for name in list(wide)[4:] for value in wide[name])
    for run, step, seed, name, value in zip(
        *(long[key] for key in ("run", "step", "seed", "reading", "value")), strict=True
    ):
        assert wide[name][rows[run, step, seed]] == value


def test_a_launch_and_a_sweep_are_loaded_with_their_failures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launches = folder / "launches"
    launches.mkdir()
    for number, name in enumerate(("old-1", "new-2")):
        manifest = launches / f"{number}.jsonl"
        jobs = [[f"label={name}"], ["seed=9"]]
        plan = {"sweep": "mine", "command": [], "folder": ".", "varies": [], "jobs": jobs, "began": 0.0}
        manifest.with_suffix(".plan.json").write_text(json.dumps(plan))
        failed = {"job": 1, "label": "bad", "error": "out of luck"}
        told = [{"job": 0, "label": f"as {name}", "apart": [], "folder": str(folder / name)}, failed]
        manifest.write_text("".join(f"{json.dumps(one)}\n" for one in told))
    one = sandbox.load(launches / "0.jsonl")
    assert one.configs["label"] == ["as old-1"]
    monkeypatch.chdir(folder.parent)
    assert [run.folder.name for run in sandbox.load("mine")] == ["old-1", "new-2"]
    assert sandbox.load("mine").failures["error"] == ["out of luck"]
    monkeypatch.chdir("/")
    assert len(sandbox.load(folder / "mine")) == 2
    with pytest.raises(LineageError, match="a sweep's name; got 'yours', which does not exist"):
        sandbox.load("yours")


def test_a_run_that_has_written_nothing_has_no_rows(folder: Path) -> None:
    (folder / "old-1" / "lineage.jsonl").unlink()
    runs = sandbox.load(folder)
    assert runs.readings["run"] == ["new-2"] * 6
    assert runs.configs["run"] == ["new-2", "old-1"]


# ---- frames ---------------------------------------------------------------------------------------------------------


def test_tables_stand_below_one_another() -> None:
    found = together([({"run": "a"}, {"x": [1, 2]}), ({"run": "b"}, {"y": [3], "x": [4]}), ({"run": "c"}, {"x": []})])
    assert found == {"run": ["a", "a", "b"], "x": [1, 2, 4], "y": [None, None, 3]}
    assert found.rows == 3
    assert together([]) == {}


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_columns_become_a_frame_where_its_library_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        @staticmethod
        def DataFrame(columns, **_):  # noqa: N802
            return "frame", columns

    monkeypatch.setitem(sys.modules, name, Library)
    assert getattr(Columns(a=[1, 2.5]), name)() == ("frame", {"a": [1, 2.5]})
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"expected {name}, which makes data frames; got none installed"):
        getattr(Columns(a=[1]), name)()


@pytest.mark.parametrize(
    ("values", "found"),
    [([1, None, 2], [1, None, 2]), ([1, 2.5], [1.0, 2.5]), ([1, "a", None], ["1", '"a"', None]),
     ([[1], None], ["[1]", None]), ([True, 2], ["true", "2"])],
)  # fmt: skip
def test_a_column_of_polars_is_of_one_kind(values: list, found: list) -> None:
    made = alike(values)
    assert made == found
    assert len({type(value) for value in made if value is not None}) == 1
