"""Runs that differ by their seeds alone, taken together."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.mirror.means import groups, joined
from sandbox.mirror.rows import row
from sandbox.mirror.source import Run
from tests.mirror.test_rows import line


def test_a_seed_that_two_runs_have_counts_once() -> None:
    one = line(
        seeds=(0, 1), own=(1.0, 2.0), verdict=("accepted", "rejected"), readings={"a/x": [1.0, 2.0], "b/y": [0, 0]}
    )
    other = line(seeds=(1, 2), own=(2.0, 6.0), verdict=("rejected", "no edit"), readings={"a/x": [2.0, 3.0]})
    both = joined([one, other])
    assert both["seeds"] == [0, 1, 2]
    assert both["own"] == [1.0, 2.0, 6.0]
    assert both["verdict"] == ["accepted", "rejected", "no edit"]
    assert both["readings"] == {"a/x": [1.0, 2.0, 3.0]}
    found = row(both, by_seed=False)
    assert found["own"] == 3.0  # not (1 + 2 + 2 + 6) / 4
    assert found["gate/accepted"] == 1 / 3


def test_groups_are_of_finished_runs_that_differ_by_seeds_and_names_alone(tmp_path) -> None:
    def run(name: str, state: str = "finished", **config) -> Run:
        folder: Path = tmp_path / name
        folder.mkdir()
        (folder / "status.json").write_text(json.dumps({"state": state}))
        return Run(folder, {"label": name, "seed": 0, "seeds": 2, "rule": {"lr": 0.1}, **config}, (), (), ())

    a, b, c = run("a"), run("b", seed=1), run("c", rule={"lr": 0.2})
    assert groups([a, b, c, run("d", "failed", seed=9)]) == [[a, b]]
