"""The page: what it holds, that it loads nothing, and that no words of a run can break it."""

from __future__ import annotations

import json
import re
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.error import LineageError
from sandbox.core.reading import Reading
from sandbox.lines.place import claimed
from sandbox.report.command import follow, gather, main, page_of
from sandbox.report.glance import LINES
from sandbox.report.page import html
from sandbox.report.page_data import FEWEST, document, most_points
from sandbox.report.read import over

READINGS = {
    "performance/process": lambda step, seed: 2 - step / 100 + seed / 1000,
    "performance/human": lambda step, seed: 0.5 + step / 100 + seed / 1000,
    "merge/m": lambda step, seed: 0.4 + seed / 1000,
    "merge/null": lambda step, seed: 0.3,
    "gap/practice_gate": lambda step, seed: 0.1 + seed / 1000,
    "gap/audit": lambda step, seed: 0.3 - seed / 1000,
}
TOLD = (Reading("performance/process", "P, the process's objective", "lower", headline=True),
        Reading("performance/human", "H, the human's objective", "higher", headline=True),
        Reading("merge/m", "M, merge of outer and inner", null="merge/null", headline=True),
        Reading("merge/null", "M of random partitions"), Reading("gap/*", "Gap"))  # fmt: skip


def held(*paths: Path) -> dict[str, Any]:
    told = gather(paths)
    return json.loads(
        json.dumps(document(told.arms, told.runs, told.failures, told.found, told.study), allow_nan=False)
    )


def in_page(text: str) -> dict[str, Any]:
    """The data as a browser reads them."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


# ---- what it holds --------------------------------------------------------------------------------------------------


def test_questions_are_answered_by_paired_differences(tmp_path: Path, write) -> None:
    low = {
        **READINGS,
        "merge/m": lambda step, seed: 0.2 + seed / 1000,
        "gap/audit": lambda step, seed: 0.1 - seed / 1000,
    }
    for name, readings in (("merges", READINGS), ("does_not", low)):
        write(tmp_path / name, name, readings=readings, described=TOLD)
    found = held(tmp_path)
    names = [arm["name"] for arm in found["arms"]]
    merges, overfits, lowest, highest = found["asked"]
    assert merges["ask"] == "Which one merges?"
    assert [names[place] for place in merges["ranked"]] == ["merges", "does_not"]
    mean, low_end, high_end, n = merges["answers"][str(names.index("merges"))]
    assert (mean, n) == (pytest.approx(0.101), 3)
    assert low_end == pytest.approx(0.101 - 4.30265 * 0.001 / 3**0.5, rel=1e-4)
    assert high_end > 0.101
    assert overfits["ask"] == "Which one overfits its gate?"
    assert overfits["warns"]
    answers = {name: overfits["answers"][str(place)][0] for place, name in enumerate(names)}
    assert answers == {"merges": pytest.approx(0.198), "does_not": pytest.approx(-0.002)}  # audit - gate
    assert (lowest["ask"], highest["ask"]) == ("Where is P lowest?", "Where is H highest?")


def test_without_an_audit_overfitting_of_the_gate_is_not_claimed(tmp_path: Path, write) -> None:
    readings = {name: cell for name, cell in READINGS.items() if name != "gap/audit"}
    write(tmp_path / "own", "own", readings=readings, described=TOLD)
    question = held(tmp_path)["asked"][1]
    assert question["number"] == "P on the gate's data − P on practice"
    assert "takes an audit" in question["note"]


def test_what_was_not_read_is_said(tmp_path: Path, write) -> None:
    write(tmp_path / "bare", "bare", readings={}, described=())
    found = held(tmp_path)
    assert [(one["ask"], one["answers"]) for one in found["asked"]] == [
        ("Which one merges?", {}),
        ("Which one overfits its gate?", {}),
    ]
    assert all(one["missing"] for one in found["asked"])


def test_an_edit_stands_beside_what_was_in_force(tmp_path: Path, write) -> None:
    verdicts = {1: "accepted", 2: "rejected", 3: "accepted", 4: "rolled back", 5: "accepted"}
    write(tmp_path / "own", "own", seeds=[7], steps=5, verdict=lambda step, seed: verdicts.get(step, "no edit"),
          edit={"rule/lr": lambda step, seed: step / 10}, why="p = .03")  # fmt: skip
    found = held(tmp_path)["edits"]
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["arms"][0]["rows"]]
    assert [row["asked"] for row in rows] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert [row["before"] for row in rows] == [None, 0.1, 0.1, 0.3, 0.1]  # step 4 took the third edit back
    assert [found["words"][row["verdict"]] for row in rows] == [verdicts[row["step"]] for row in rows]
    assert {found["words"][row["why"]] for row in rows} == {"p = .03"}


def test_of_many_edits_whole_steps_are_shown_and_that_is_said(tmp_path: Path, write, monkeypatch) -> None:
    monkeypatch.setattr("sandbox.report.page_edits.MOST", 20)
    write(tmp_path / "own", "own", seeds=[0, 1], steps=100, edit={"rule/lr": lambda step, seed: 1.0})
    [arm] = held(tmp_path)["edits"]["arms"]
    assert arm["asked"] == 200
    assert len(arm["rows"]) == 20
    assert [row[1] for row in arm["rows"][:2]] == [1, 1]
    assert arm["rows"][-1][1] == 100


def test_a_course_keeps_its_ends_and_the_page_says_that_it_is_thinned(tmp_path: Path, write, monkeypatch) -> None:
    monkeypatch.setattr("sandbox.report.page_data.NUMBERS", 300)
    write(tmp_path / "own", "own", seeds=[0], steps=500)
    found = held(tmp_path)
    assert found["points"] == 33
    assert "own" in found["thinned"]
    steps, means = found["arms"][0]["courses"]["own"]
    assert (len(steps), steps[0], steps[-1], means[0]) == (33, 1, 500, 1.0)


def test_a_page_of_a_thousand_arms_has_few_points_a_line(tmp_path: Path, write) -> None:
    told = gather([write(tmp_path / "own", "own", readings=READINGS)])
    from sandbox.report.readings import told as readings_of

    readings = readings_of(told.arms)
    assert FEWEST <= most_points([*told.arms] * 1000, readings) < 40
    assert most_points(told.arms, readings) == 400


def test_six_arms_have_a_colour_at_first_the_claimed_before_all(tmp_path: Path, write, first_light) -> None:
    for name in first_light.arms:
        write(tmp_path / name, name, readings=READINGS)
    told = gather([tmp_path], study_file=Path("conf/study/first_light.yaml"))
    found = document(told.arms, told.runs, told.failures, told.found, told.study)
    first = [found["arms"][place]["name"] for place in found["first"]]
    assert len(first) == LINES
    assert first[:5] == ["fixed", "own", "best_constant", "own_yoked", "own_scale"]
    assert found["question"] == first_light.question
    assert found["claims"][0]["say"] == "editing by P raises H"


# ---- what may go wrong ----------------------------------------------------------------------------------------------


def test_no_words_of_a_run_can_break_the_page(tmp_path: Path, write) -> None:
    evil = "</script><script>alert(1)</script><!-- \"'&{{data}} \u2028 " + "long " * 60
    write(
        tmp_path / "evil", evil, readings=READINGS, described=TOLD, why=evil, edit={"rule/lr": lambda step, seed: 1.0}
    )
    out = tmp_path / "page.html"
    page_of(gather([tmp_path / "evil"]), out)
    text = out.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert text.count("</script>") == 3
    assert in_page(text)["arms"][0]["name"].strip() == evil.strip()
    assert "<title>&lt;i&gt;</title>" in html("<i>", {})


def test_the_page_loads_nothing(tmp_path: Path, write) -> None:
    out = tmp_path / "page.html"
    size = page_of(gather([write(tmp_path / "own", "own", readings=READINGS)]), out)
    text = out.read_text(encoding="utf-8")
    assert size == out.stat().st_size < 200_000
    assert "default-src 'none'" in text
    assert not re.findall(
        r"<(?:link|img|iframe|object|embed|base|form)\b|\b(?:src|action)=|@import|url\(|fetch\(|XMLHttp|WebSocket", text
    )
    links = set(re.findall(r"https?://[^\s\"'`)]+", text))
    assert links == {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}  # a name, and who made it
    assert "The MIT License" in text


def test_numbers_that_are_not_finite_and_runs_that_failed_are_told(tmp_path: Path, write, launch) -> None:
    nan = {**READINGS, "performance/human": lambda step, seed: float("nan")}
    runs = [write(tmp_path / "runs" / "own-1", "own", readings=nan, described=TOLD, state="failed"),
            write(tmp_path / "runs" / "gone-2", "gone", settings={"rule.trust": float("inf")}),
            write(tmp_path / "runs" / "odd-3", "gone", seeds=[4])]  # fmt: skip
    (runs[0] / "status.json").write_text(json.dumps({"state": "failed", "step": 4, "steps": 9, "error": "diverged"}))
    manifest = launch(runs)
    jobs = [["label=own"], ["label=gone"], ["label=odd"], ["seed=3"], ["seed=4"], ["seed=5"]]
    plan = {"sweep": "mine", "command": [], "folder": ".", "varies": ["seed"], "jobs": jobs, "began": 0.0}
    manifest.with_suffix(".plan.json").write_text(json.dumps(plan))
    with manifest.open("a") as file:
        file.write(json.dumps({"job": 3, "label": "own", "error": "no memory"}) + "\n")
        file.write(json.dumps({"job": 4, "label": "own", "folder": str(tmp_path / "never")}) + "\n")
    found = held(manifest)
    assert found["arms"][0]["finals"]["performance/human"] == [None, None, None, 3]
    assert {run["folder"]: run["error"] for run in found["runs"]}["own-1"] == "diverged"
    left = [(one["apart"], one["error"]) for one in found["failures"]]
    assert left == [(["seed=3"], "no memory"), (["seed=4"], "not begun, or removed"),
                    (["seed=5"], "not begun, or removed")]  # fmt: skip
    assert any("diverged" in note for note in found["notes"])
    assert "inf" in [arm["settings"].get("rule.trust") for arm in found["arms"]]


def test_where_every_job_failed_the_page_says_why(tmp_path: Path, launch, capsys) -> None:
    manifest = launch([])
    manifest.write_text(json.dumps({"job": 0, "label": "own", "apart": [], "error": "no such data"}) + "\n")
    with pytest.raises(LineageError, match="1 of 1 jobs left no run"):
        main([str(manifest)])
    [page] = manifest.parents[1].glob("reports/*/page.html")
    assert in_page(page.read_text(encoding="utf-8"))["failures"][0]["error"] == "no such data"


def test_a_sweep_is_named_by_its_name(tmp_path: Path, write, launch, monkeypatch) -> None:
    for name in ("first", "second"):
        manifest = launch([write(tmp_path / "runs" / f"{name}-1", name)], name)
        plan = {"sweep": "mine", "command": [], "folder": ".", "varies": [], "jobs": [[]], "began": 0.0}
        manifest.with_suffix(".plan.json").write_text(json.dumps(plan))
    monkeypatch.chdir(tmp_path)
    main(["mine"])
    page = tmp_path / "runs" / "reports" / "mine" / "page.html"
    assert [arm["name"] for arm in in_page(page.read_text(encoding="utf-8"))["arms"]] == ["first", "second"]


# ---- live -----------------------------------------------------------------------------------------------------------


def test_it_is_over_when_no_launch_and_no_run_goes_on(tmp_path: Path, write, launch) -> None:
    folder = write(tmp_path / "runs" / "own-1", "own", state="running")
    manifest = launch([folder])
    assert over([folder])  # killed: it had no time to say so
    assert over([manifest])
    with claimed(folder):
        assert not over([folder])
        assert not over([manifest])
        (folder / "status.json").write_text(json.dumps({"state": "finished"}))
        assert over([folder])
    with manifest.open("rb") as file:
        flock(file, LOCK_EX)
        assert not over([manifest])  # whatever its runs say: there may be more


def test_a_live_page_loads_itself_again_until_the_end(tmp_path: Path, write, monkeypatch, capsys) -> None:
    folder = write(tmp_path / "runs" / "own-1", "own")
    ends = iter([False, False, True])
    seen: list[Any] = []
    page = tmp_path / "out" / "page.html"
    monkeypatch.setattr("sandbox.report.command.over", lambda paths: next(ends))
    monkeypatch.setattr("time.sleep", lambda seconds: seen.append(in_page(page.read_text(encoding="utf-8"))["refresh"]))
    follow([folder], out=tmp_path / "out", every=2)
    assert seen == [2, 2]
    assert in_page(page.read_text(encoding="utf-8"))["refresh"] is None
    assert "page.html loads itself again every 2 s" in capsys.readouterr().out
