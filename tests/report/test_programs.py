"""Programs as a tree: parents, scores, verdicts and the reasons why some were never lived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.report.command import main
from sandbox.report.genealogy import difference, genealogies
from sandbox.report.programs import standing
from sandbox.report.read import find_runs

SQUARED = "loss amounts\n  x1 = sub p y\n  x2 = square x1\n  return x2"
ABSOLUTE = "loss amounts\n  x1 = sub p y\n  x2 = abs x1\n  return x2"
CLIPPED = "loss amounts\n  x1 = sub p y\n  x2 = min 2 x1\n  x3 = abs x2\n  return x3"
SGD = "update\n  return g"


def candidate(ident: int | None, parent: int | None, program: str, score: float | None, **more: Any) -> dict[str, Any]:
    return {"id": ident, "parent": parent, "program": program, "score": score, "stage": "practice", "why": "",
            "price": 60, "move": "point", "path": "rule/loss", **more}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two seeds: the first goes from squared to absolute error and rejects a clipped one, the second stays."""
    folder = tmp_path / "runs" / "search-0123456789"
    folder.mkdir(parents=True)
    config = {"label": "search", "seed": 0, "seeds": 2, "steps": 3, "runs": "runs", "rule": {"_target_": "a.B"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "status.json").write_text(json.dumps({"state": "finished", "step": 3, "steps": 3}))
    numbers = {"rule/loss": {"size": [1.0, 1.0], "digest": ["a", "b"]}}
    known = candidate(None, None, SQUARED, None, stage="canonical", why="known", price=0)
    tried = [[candidate(1, None, ABSOLUTE, 0.02), known], [candidate(1, None, CLIPPED, 0.01), known]]
    lines: list[dict[str, Any]] = [
        {"step": 0, "seeds": [0, 1], "verdict": "no edit", "text": {"rule/loss": SQUARED, "rule/update": SGD}},
        {"step": 1, "verdict": ["accepted", "rejected"], "why": ["t 5", "t 0"], "edit": numbers, "tried": tried,
         "text": {"rule/loss": [ABSOLUTE, CLIPPED]}},
        {"step": 2, "verdict": ["rejected", "no edit"], "why": ["t -1", ""], "edit": numbers,
         "tried": [[candidate(2, 1, CLIPPED, 0.03, stage="gate"), candidate(1, None, ABSOLUTE, 0.04)], []],
         "text": {"rule/loss": [CLIPPED.replace("x1 = sub p y", "x1 = sub p y  # the same"), SQUARED]}},
        {"step": 3, "verdict": "no edit"},
    ]  # fmt: skip
    full = [{"level": 1, "t": 60 * line["step"], "own": 1.0, **line} for line in lines]
    (folder / "lineage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in full))
    return folder


def test_a_program_stands_below_the_one_it_was_made_from(run: Path) -> None:
    first, second = genealogies(find_runs([run])[0])
    found = [(one.text, one.parent, one.step) for one in first.formulas]
    assert found == [(SQUARED, None, 0), (SGD, None, 0), (ABSOLUTE, 0, 1), (CLIPPED, 2, 2)]
    assert [one.text for one in second.formulas] == [SQUARED, SGD, CLIPPED]


def test_scores_of_several_lives_verdicts_and_prices_are_kept(run: Path) -> None:
    first, second = genealogies(find_runs([run])[0])
    assert first.formulas[2].scores == [0.02, 0.04]
    assert first.formulas[2].asked == [(1, "accepted", "t 5")]
    assert first.formulas[3].asked == [(2, "rejected", "t -1")]
    assert (first.price, second.price) == (180, 60)
    assert first.fallen == {("canonical", "known"): 1}


def test_what_stands_at_the_end_is_counted_over_seeds(run: Path) -> None:
    assert standing(genealogies(find_runs([run])[0])) == [("rule/loss", "|p - y|", 1), ("rule/loss", "(p - y)²", 1)]


def test_a_candidate_of_the_start_stands_below_the_start_whatever_is_in_force(run: Path) -> None:
    grown = genealogies(find_runs([run])[0])[0]
    grown.tried(3, candidate(7, 0, "loss amounts\n  return p", 0.5))
    assert grown.formulas[-1].parent == 0
    assert grown.formulas[grown.stands["rule/loss"]].text == ABSOLUTE


def test_lives_of_equal_scores_are_several(run: Path) -> None:
    grown = genealogies(find_runs([run])[0])[0]
    for _ in range(2):
        grown.tried(3, candidate(2, 1, CLIPPED, 0.25))
    assert grown.formulas[3].scores == [0.03, 0.25, 0.25]


def test_where_loss_and_update_are_searched_each_stands_at_its_path_and_both_go_back(run: Path) -> None:
    grown = genealogies(find_runs([run])[0])[1]
    grown.tried(3, candidate(8, 0, ABSOLUTE, 0.1))
    scaled = "update\n  x1 = mul 2 g\n  return x1"
    grown.tried(3, candidate(9, 8, scaled, 0.05, path="rule/update", stage="gate"))
    assert grown.formulas[-1].parent == 1  # the update that stood at the start
    grown.asked(3, {"rule/loss": ABSOLUTE, "rule/update": scaled}, "accepted", "t 9", 9)
    assert [grown.formulas[place].text for place in grown.stands.values()] == [ABSOLUTE, scaled]
    assert sum(len(one.asked) for one in grown.formulas if one.step == 3) == 2
    grown.back()
    assert [grown.formulas[place].text for place in grown.stands.values()] == [SQUARED, SGD]


def test_a_difference_marks_lines() -> None:
    assert difference(SQUARED, ABSOLUTE)[1:4] == ["    x1 = sub p y", "-   x2 = square x1", "+   x2 = abs x1"]


def test_rolling_back_puts_back_what_stood(run: Path) -> None:
    path = run / "lineage.jsonl"
    path.write_text(path.read_text() + json.dumps({"step": 4, "level": 1, "t": 240, "own": 1.0,
                                                   "verdict": ["rolled back", "no edit"]}) + "\n")  # fmt: skip
    first = genealogies(find_runs([run])[0])[0]
    assert first.formulas[first.stands["rule/loss"]].text == SQUARED


def test_the_report_tells_formulas_and_keeps_the_trees(run: Path, tmp_path: Path, capsys) -> None:
    main([str(run), "--out", str(tmp_path / "out")])
    assert "1 of 2 seeds, rule/loss:" in capsys.readouterr().out
    told = (tmp_path / "out" / "programs.txt").read_text()
    assert (
        "search, seed 0: 4 programs, 180 inner steps spent on candidates; never lived: 1 at canonical (known)" in told
    )
    assert "+   x2 = abs x1" in told
    assert "n 2  ← in force" in told
    held = json.loads((tmp_path / "out" / "page.html").read_text().split('id="data">')[1].split("</script>")[0])
    grown = held["programs"][0][0]
    assert [one["parent"] for one in grown["formulas"]] == [None, None, 0, 2]
    assert grown["formulas"][2]["score"][3] == 2
    assert grown["formulas"][2]["stands"]


def test_a_run_without_programs_has_no_trees(tmp_path: Path, write) -> None:
    write(tmp_path / "own-0123456789", "own", edit={"rule/lr": lambda step, seed: 0.1})
    main([str(tmp_path / "own-0123456789"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out" / "programs.txt").exists()
