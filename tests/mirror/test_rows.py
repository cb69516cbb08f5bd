"""What a line of lineage becomes on a dashboard, worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from sandbox.core.reading import Reading
from sandbox.mirror.charts import POINTS, Curves, Standings
from sandbox.mirror.edits import Edits, difference
from sandbox.mirror.names import SECTIONS, TITLES, axis_of, key_of
from sandbox.mirror.rows import row


def line(step: int = 1, *, level: int = 1, seeds=(0, 1), verdict=("accepted", "accepted"), own=(1.0, 3.0), edit=None,
         readings=None, text=None) -> dict:  # fmt: skip
    return {"step": step, "level": level, "t": 10 * step, "seeds": list(seeds), "verdict": list(verdict),
            "why": [""] * len(seeds), "anchor": [""] * len(seeds), "own": list(own), "edit": edit or {}, "note": "so",
            "digest": [], "readings": readings or {}, "text": text or {}, "tried": []}  # fmt: skip


def test_a_row_has_means_and_intervals_over_seeds() -> None:
    found = row(line(readings={"performance/human": [0.5, 0.7], "drift/rule": [0.0, 0.0]}), by_seed=False)
    assert found["reflective_step"] == 1
    assert found["inner_step"] == 10
    assert found["own"] == 2.0
    half = 12.706204736 * math.sqrt(2) / math.sqrt(2)  # Student's t of one degree, times s / √n
    assert found["own_low"] == pytest.approx(2.0 - half)
    assert found["own_high"] == pytest.approx(2.0 + half)
    assert found["outer/human"] == pytest.approx(0.6)
    assert found["inner/drift/rule_low"] == found["inner/drift/rule"] == 0.0
    assert found["gate/accepted"] == 1.0
    assert not any(key.startswith("seed_") for key in found)


def test_one_seed_has_no_interval_and_each_seed_its_curve_on_request() -> None:
    found = row(line(seeds=(7,), verdict=("no edit",), own=(1.5,)), by_seed=True)
    assert "own_low" not in found
    assert found["seed_7/own"] == 1.5
    assert found["gate/no_edit"] == 1.0


def test_what_is_not_finite_is_no_number_of_the_mean() -> None:
    assert math.isnan(row(line(own=(None, 1.0)), by_seed=False)["own"])


def test_before_the_first_step_nothing_was_judged() -> None:
    found = row(line(0, verdict=("no edit", "no edit"), own=(None, None)), by_seed=False)
    assert "own" in found
    assert not any(key.startswith("gate/") for key in found)


def test_small_edits_are_curves_and_large_ones_sizes() -> None:
    edit = {"rule/lr": {"value": [0.1, 0.3]}, "init/w": {"size": [1.0, 2.0], "digest": ["a", "b"]}}
    found = row(line(edit=edit), by_seed=False)
    assert found["edit/rule/lr"] == pytest.approx(0.2)
    assert found["edit/init/w_size"] == 1.5


def test_every_section_of_the_table_has_a_title_and_own_readings_are_inner() -> None:
    assert {called.partition("/")[0] for called in SECTIONS.values()} <= set(TITLES)
    assert key_of("performance/own_before") == "inner/own_before"
    assert key_of("performance/process") == "outer/process"
    assert key_of("mine/x") == "mine/x"
    assert axis_of("inner/own", {"lifetime": "persistent"}) == "inner_step"
    assert axis_of("inner/own", {"lifetime": "episodic"}) == axis_of("outer/human", {}) == "reflective_step"


# ---- edits ----------------------------------------------------------------------------------------------------------


def told(edits: Edits, column: str) -> list:
    place = ["step", "level", "path", "before", "asked", "difference", "verdict", "why", "note"].index(column)
    return [row[place] for row in edits.rows]


def test_an_edit_is_told_against_what_was_in_force() -> None:
    edits = Edits()
    asked = {1: 0.1, 2: 0.2, 3: 0.4, 4: 0.5}
    verdicts = {1: "accepted", 2: "rejected", 3: "accepted", 4: "accepted"}
    for step, value in asked.items():
        edits.take(line(step, seeds=(0,), own=(1.0,), verdict=(verdicts[step],), edit={"rule/lr": {"value": [value]}}))
    assert told(edits, "difference") == ["→ 0.1", "0.1 → 0.2", "0.1 → 0.4", "0.4 → 0.5"]
    edits.take(line(5, seeds=(0,), own=(1.0,), verdict=("rolled back",)))
    edits.take(line(6, seeds=(0,), own=(1.0,), verdict=("accepted",), edit={"rule/lr": {"value": [0.6]}}))
    assert told(edits, "difference")[-1] == "0.4 → 0.6"


def test_levels_do_not_mix_and_verdicts_are_counted() -> None:
    edits = Edits()
    edits.take(line(1, edit={"rule/lr": {"value": [1.0, 1.0]}}))
    edits.take(line(1, level=2, verdict=("accepted", "rejected"), edit={"rule/lr": {"value": [2.0, 2.0]}}))
    assert told(edits, "before") == ["", ""]
    assert told(edits, "verdict") == ["accepted", "accepted 1, rejected 1"]


def test_texts_and_trees_and_a_few_numbers_are_told_line_by_line() -> None:
    assert difference(["a\nb\nc"], ["a\nB\nc"]).splitlines()[3:] == [" a", "-b", "+B", " c"]
    assert "-layer/0: 1" in difference([{"layer": [1.0, 2.0]}], [{"layer": [3.0, 2.0]}])
    assert "+layer/0: 3" in difference([{"layer": [1.0, 2.0]}], [{"layer": [3.0, 2.0]}])
    assert "+1: 5" in difference([[1.0, 2.0]], [[1.0, 5.0]])


def test_a_program_is_told_by_its_text_against_what_stood_at_the_start() -> None:
    edits, numbers = Edits(), {"value": [[[1, 2]], [[3, 4]]]}
    edits.take(line(0, verdict=("no edit",) * 2, text={"rule/loss": ["a\nb", "a\nb"]}))
    edits.take(line(1, edit={"rule/loss": numbers}, text={"rule/loss": ["a\nc", "a\nc"]}))
    edits.take(line(2, edit={"rule/loss": numbers}, text={"rule/loss": ["a\nd", "a\ne"]}))
    first, second = told(edits, "difference")
    assert first.splitlines()[3:] == [" a", "-b", "+c"]
    assert [row for row in second.splitlines() if row[:2] in ("-c", "+d", "+e")] == ["-c", "+d", "-c", "+e"]


def test_many_numbers_are_told_by_their_norm() -> None:
    assert difference([[0.0] * 100], [[1.0] * 100]) == "100 numbers, norm 0 → 100 numbers, norm 10"


# ---- the whole run --------------------------------------------------------------------------------------------------


def test_the_best_is_on_the_better_side_and_finite() -> None:
    sides = {"own": "lower", "outer/human": "higher", "rule/*": ""}
    readings = [Reading(name, name, side) for name, side in sides.items()]  # type: ignore[arg-type]
    standings = Standings({reading.name: reading.better for reading in readings})
    for own, human in ((math.nan, 0.1), (2.0, 0.9), (3.0, 0.5)):
        standings.take({"own": own, "own_low": 0.0, "outer/human": human, "rule/lr": own, "rule/lr_low": 0.0, "x": 1})
    assert dict(standings.told()) == {"own": {"last": 3.0, "best": 2.0}, "outer/human": {"last": 0.5, "best": 0.9},
                                      "rule/lr": {"last": 3.0}}  # fmt: skip


def test_a_long_curve_is_thinned_and_keeps_its_beginning() -> None:
    curves = Curves(("own",))
    for step in range(10_000):
        curves.take({"reflective_step": step, "own": step, "own_low": step - 1, "own_high": step + 1})
    [(key, steps, (means, lows, highs))] = curves.told()
    assert key == "own"
    assert steps[0] == 0
    assert steps[-1] > 9_900
    assert POINTS <= len(steps) < 2 * POINTS
    assert len({b - a for a, b in pairwise(steps)}) == 1
    assert (means, lows, highs) == (steps, [step - 1 for step in steps], [step + 1 for step in steps])
