from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from sandbox.core.error import LineageError
from sandbox.lines.file import read
from sandbox.lines.line import Writer
from sandbox.report.arms import group, named
from sandbox.report.read import find_runs, last, read_run


def test_a_series_has_a_row_a_step_and_a_column_a_seed(tmp_path: Path, write) -> None:
    nan = float("nan")
    readings = {"performance/human": lambda step, seed: nan if seed == 1 else step + seed / 10}
    run = read_run(write(tmp_path / "run", "own", steps=3, own=lambda step, seed: step * 10 + seed, readings=readings))
    steps, values = run.series("performance/human")
    assert steps.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(values[:, [0, 2]], [[0, 0.2], [2, 2.2], [3, 3.2]])
    assert np.isnan(values[:, 1]).all()
    steps, values = run.series("own")  # nothing was lived at the start
    assert steps.tolist() == [1, 2, 3]
    assert values[-1].tolist() == [30, 31, 32]
    assert run.series("teacher/m")[1].shape == (0, 3)


def test_verdicts_are_series_of_outcomes(tmp_path: Path, write) -> None:
    verdicts = ["accepted", "rejected", "refused", "rolled back", "no edit"]
    run = read_run(write(tmp_path / "run", "own", seeds=[0], steps=5, verdict=lambda step, seed: verdicts[step - 1]))
    assert run.series("edits/accepted")[1][:, 0].tolist() == [1, 0, 0, 0, 0]
    assert run.series("edits/refused")[1][:, 0].tolist() == [0, 1, 1, 1, 0]


def test_only_lines_of_the_top_level_count(tmp_path: Path, write) -> None:
    folder = write(tmp_path / "run", "tower", steps=2)
    lines = [json.loads(line) for line in (folder / "lineage.jsonl").read_text().splitlines()]
    below = [{**line, "own": [-1.0] * 3} for line in lines[1:]]
    above = [{**line, "level": 2} for line in lines]
    tower = [above[0], *below, above[1], *below, above[2]]
    (folder / "lineage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in tower))
    steps, values = read_run(folder).series("own")
    assert steps.tolist() == [1, 2]
    assert (values == 1).all()


def test_a_line_cut_off_at_the_end_is_left_out(tmp_path: Path, write) -> None:
    folder = write(tmp_path / "run", "own", steps=4)
    path = folder / "lineage.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    run = read_run(folder)
    assert run.torn
    assert run.series("own")[0].tolist() == [1, 2, 3]
    path.write_bytes(path.read_bytes()[: -len(path.read_bytes().splitlines()[-1])])
    assert not read_run(folder).torn


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda line: line[:50], "JSONDecodeError"),
        (lambda line: line.replace('"own": [1.0, 1.0, 1.0]', '"own": [1.0]'), "1 entries for 3 seeds"),
        (lambda line: line.replace('"own"', '"mine"'), "'own'"),
        (lambda line: line.replace('"seeds": [0, 1, 2]', '"seeds": [3, 4, 5]'), "not .0, 1, 2."),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, write, spoil, says: str) -> None:
    folder = write(tmp_path / "run", "own", steps=4)
    lines = (folder / "lineage.jsonl").read_text().splitlines()
    lines[2] = spoil(lines[2])
    (folder / "lineage.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(LineageError, match=rf"line 3 of .*lineage\.jsonl; got .*{says}"):
        read_run(folder)


def test_a_packed_lineage_is_read_as_a_plain_one(tmp_path: Path, write) -> None:
    readings = {"performance/human": lambda step, seed: float("nan") if seed == 1 else 0.5 + step / 1000}
    folder = write(tmp_path / "run", "own", seeds=range(5), own=lambda step, seed: 1 / (step + seed), readings=readings)
    before = read_run(folder)
    lines = list(read(folder))
    writer = Writer(packed=True)
    texts = [writer.write({**line, "own": array(line["own"]), "readings": {name: array(row) for name, row in
                           line["readings"].items()}}) for line in lines]  # fmt: skip
    (folder / "lineage.jsonl").write_text("".join(text + "\n" for text in texts))
    after = read_run(folder)
    assert '"own":"' in texts[2]
    assert after.columns.keys() == before.columns.keys()
    for name, (steps, values) in before.columns.items():
        np.testing.assert_array_equal(after.columns[name][0], steps)
        np.testing.assert_allclose(after.columns[name][1], values, rtol=5.1e-6)


def array(values: list) -> np.ndarray:
    return np.array(values, float)


def test_a_path_is_a_run_or_a_folder_of_runs_or_a_launch(tmp_path: Path, write, launch, monkeypatch) -> None:
    runs = tmp_path / "runs"
    own, fixed = write(runs / "own-1", "own"), write(runs / "fixed-2", "fixed")
    first, last = launch([own]), launch([fixed, own, own], "last")
    with first.open("a") as file:
        file.write(json.dumps({"label": "broken", "error": "could not be built"}) + "\n")
    assert [run.label for run in find_runs([own])] == ["own"]
    assert [run.label for run in find_runs([runs])] == ["fixed", "own"]
    assert [run.label for run in find_runs([first, fixed])] == ["own", "fixed"]
    assert [run.label for run in find_runs([last, own])] == ["fixed", "own"]
    os.utime(first, (1, 1))
    monkeypatch.chdir(tmp_path)
    assert [run.label for run in find_runs([])] == ["fixed", "own"]


def test_a_launch_calls_a_run_by_its_own_label(tmp_path: Path, write, launch) -> None:
    folder = write(tmp_path / "runs" / "asked-1", "first asked under another name")
    assert find_runs([launch([folder])])[0].label == "asked"


def test_a_launch_that_moved_finds_its_runs_beside_it(tmp_path: Path, write, launch) -> None:
    folder = write(tmp_path / "runs" / "own-1", "own")
    manifest = launch([folder])
    (tmp_path / "runs").rename(tmp_path / "copied")
    assert find_runs([tmp_path / "copied" / manifest.relative_to(tmp_path / "runs")])[0].label == "own"


def test_a_path_that_is_nothing_names_the_near_miss(tmp_path: Path, write) -> None:
    write(tmp_path / "process-12ab", "process")
    with pytest.raises(LineageError, match=r"does not exist.*Did you mean 'process-12ab'"):
        find_runs([tmp_path / "proces-12ab"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LineageError, match="which holds none"):
        find_runs([tmp_path / "empty"])
    with pytest.raises(LineageError, match="Run something first"):
        find_runs([], tmp_path)
    (tmp_path / "notes.txt").write_text("no launch\n")
    with pytest.raises(LineageError, match=r"line 1 of .*notes"):
        find_runs([tmp_path / "notes.txt"])


def test_runs_that_differ_in_their_seeds_alone_are_one_arm(tmp_path: Path, write) -> None:
    def own(step: int, seed: int) -> float:
        return 10 * step + seed

    a = write(tmp_path / "a", "own", seeds=[2, 3], steps=4, own=own)
    b = write(tmp_path / "b", "own", seeds=[0, 1, 2], steps=4, own=own)
    path = b / "lineage.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))  # one step behind
    (arm,) = group(find_runs([a, b]))
    assert arm.name == "own"
    assert arm.seeds == [0, 1, 2, 3]
    steps, values = arm.series("own")
    assert steps.tolist() == [1, 2, 3]
    assert values[-1].tolist() == [30, 31, 32, 33]


def test_arms_of_one_label_are_named_by_what_differs(tmp_path: Path, write) -> None:
    for n, settings in enumerate([{"rule.trust": 0.25}, {"rule.trust": 0.5}, {"rule.trust": 0.5, "horizon": 5}]):
        write(tmp_path / f"{n}", "own", settings=settings)
    write(tmp_path / "9", "other", settings={"rule.trust": 0.9})
    names = [arm.name for arm in group(find_runs([tmp_path]))]
    assert [set(name.split()) for name in names[:3]] == [
        {"own", "rule.trust=0.25", "horizon=10"},
        {"own", "rule.trust=0.5", "horizon=10"},
        {"own", "rule.trust=0.5", "horizon=5"},
    ]
    assert names[3] == "other"


def test_a_class_that_differs_stands_for_its_fields(tmp_path: Path, write) -> None:
    write(tmp_path / "0", "own")
    write(tmp_path / "1", "own", settings={"rule._target_": "sandbox.rule.sgd.SGD", "rule.trust": 0.7})
    assert [arm.name for arm in group(find_runs([tmp_path]))] == ["rule=SelfDistillation", "rule=SGD"]


def test_an_arm_that_is_not_there_names_the_near_miss(tmp_path: Path, write) -> None:
    arms = group(find_runs([write(tmp_path / "0", "own_gated")]))
    assert named(arms, "own_gated") is arms[0]
    with pytest.raises(LineageError, match="Did you mean 'own_gated'"):
        named(arms, "own-gated")


def test_what_a_search_goes_by_is_read_at_its_own_steps(tmp_path: Path, write) -> None:
    """A run that another command has lived for longer tells what it had come to then."""
    folder = write(tmp_path / "run", "own", steps=4, own=lambda step, seed: 10.0 * step)
    assert [last(folder, "own", steps) for steps in (1, 2, 4, 9)] == [10.0, 20.0, 40.0, 40.0]
    assert last(folder, "own", 0) is None
