from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.core.error import ConfigError, LineageError
from sandbox.core.reading import Reading
from sandbox.measure.interval import Interval
from sandbox.report.arms import group
from sandbox.report.claims import Difference, differences, in_order, sentence
from sandbox.report.command import main
from sandbox.report.read import find_runs
from sandbox.report.study import SUFFIX, Claim, Study, keep, kept
from sandbox.report.table import notes, number, rows, show, text

NONE = Study()
KEYS = ["arm", "own", "performance/process", "performance/human", "teacher/m", "gap/audit", "edits/accepted",
        "edits/refused", "n"]  # fmt: skip


def objectives(human: float, process: float, **more: float) -> dict:
    figures = {"performance/human": human, "performance/process": process, **more}
    return {name: lambda step, seed, value=value: value + seed * step / 1000 for name, value in figures.items()}


def test_a_row_has_the_final_figures_and_null_for_what_was_not_read(tmp_path: Path, write) -> None:
    verdicts = {1: "accepted", 2: "rejected", 3: "rolled back", 4: "no edit"}
    folder = write(tmp_path / "own", "own", seeds=[1, 2, 3],
                   readings=objectives(0.8, 1.3, **{"gap/audit": 0.1, "teacher/m": 0.5}),
                   own=lambda step, seed: step + seed, verdict=lambda step, seed: verdicts[step])  # fmt: skip
    (row,) = rows(group(find_runs([folder])))
    assert list(row) == KEYS
    assert (row["arm"], row["n"]) == ("own", 3)
    assert row["own"]["mean"] == 6
    assert row["own"]["low"] == pytest.approx(6 - 2.4841377, abs=1e-6)
    assert row["performance/human"]["mean"] == pytest.approx(0.808)
    assert row["teacher/m"]["mean"] == pytest.approx(0.508)
    assert row["edits/accepted"] == {
        "mean": pytest.approx(1 / 3),
        "low": pytest.approx(1 / 3),
        "high": pytest.approx(1 / 3),
    }
    assert row["edits/refused"]["mean"] == pytest.approx(2 / 3)


def test_an_arm_that_never_asked_has_no_share_of_edits(tmp_path: Path, write) -> None:
    (row,) = rows(group(find_runs([write(tmp_path / "f", "fixed", verdict=lambda step, seed: "no edit")])))
    assert row["edits/accepted"] is None
    assert row["edits/refused"] is None


def test_what_is_not_finite_is_null_and_noted(tmp_path: Path, write) -> None:
    bad = {"performance/process": lambda step, seed: float("nan") if seed == 1 else 1.0}
    folder = write(tmp_path / "own", "own", readings=bad)
    runs = find_runs([folder])
    (row,) = rows(group(runs))
    assert row["performance/process"] == {"mean": None, "low": None, "high": None}
    assert any("not a finite number for 1 of 3 seeds" in note for note in notes(group(runs), runs))


def test_notes_tell_what_to_know(tmp_path: Path, write) -> None:
    write(tmp_path / "own", "own", steps=4)
    killed = write(tmp_path / "process", "process", seeds=[0], steps=3, state="interrupted")
    path = killed / "lineage.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    unborn = write(tmp_path / "unborn", "unborn", state="failed")
    (unborn / "lineage.jsonl").unlink()
    runs = find_runs([tmp_path])
    found = "\n".join(notes(group(runs), runs))
    assert "process is not finished (interrupted, step 3 of 3)" in found
    assert "process: its last line is cut off" in found
    assert "unborn is not finished (failed, step 4 of 4); it has written nothing" in found
    assert "the last step differs: 4 for own; 2 for process" in found
    assert "one seed has no interval: process" in found


def test_numbers_are_short() -> None:
    assert [number(x) for x in (0.8931, -0.0931, 1.2345, 0, 1, 1e-6, 2e7, float("nan"))] == [
        ".893", "-.093", "1.234", "0", "1", "1.0e-06", "2.0e+07", "–"]  # fmt: skip
    assert text(Interval(0.041, 0.029, 0.054, 32), signed=True) == "+.041 [.029, .054]"
    assert text(Interval(0.041, float("nan"), float("nan"), 1)) == ".041"


@pytest.fixture
def default(tmp_path: Path, write) -> list[Path]:
    """Arms of the default experiment in which all claims hold but two: one is reversed and one open."""
    figures = {
        "fixed": (0.85, 1.38),
        "process": (0.89, 1.29),
        "own": (0.92, 2.39),
        "own_gated": (0.95, 1.74),
        "own_scale": (0.64, 1.79),
        "process_yoked": (0.89, 1.36),
        "process_mean_course": (0.88, 1.32),
    }
    return [
        write(
            tmp_path / "runs" / f"{label}-1",
            label,
            settings={"meta_learner.mu": n},
            readings=objectives(*figures[label]),
        )
        for n, label in enumerate(figures)
    ]


def test_the_claims_of_the_default_experiment(default: list[Path], first_light: Study) -> None:
    found = differences(group(find_runs(default)), first_light)
    known = [claim for claim in first_light.claims if claim.reading not in ("performance/calibrated", "teacher/m")
             and {claim.arm, claim.than} <= {arm.name for arm in group(find_runs(default))}]  # fmt: skip
    assert [difference.claim for difference in found] == known
    outcome = {(d.letter, d.claim.arm, d.claim.than): d.outcome for d in found}
    assert outcome.pop(("H", "own_gated", "own")) == "reversed"
    assert outcome.pop(("H", "process", "process_yoked")) == "open"
    assert outcome.pop(("H", "process", "process_mean_course")) == "higher"  # nothing was expected of it
    assert set(outcome.values()) == {"holds"}
    assert found[0].interval.mean == pytest.approx(0.04)
    said = sentence(found)
    assert f"{len(known) - 3} of {len(known) - 1} expected differences hold: an agent that edits its loss by " in said
    assert "; the opposite is found of: the gate costs some H (" in said
    assert "; open: its own trace raises H beyond another seed's edits (" in said


def test_arms_are_told_in_one_order(default: list[Path], tmp_path: Path, write, first_light: Study) -> None:
    first, last = write(tmp_path / "z", "zebra"), write(tmp_path / "a", "ant")
    arms = in_order(group(find_runs([first, *reversed(default), last])), first_light)
    here = {run.label for run in find_runs(default)}
    assert [arm.name for arm in arms] == [*(name for name in first_light.arms if name in here), "zebra", "ant"]


def test_other_arms_are_set_against_the_first_or_the_named(default: list[Path], first_light: Study) -> None:
    own, process = default[2], default[1]
    found = differences(group(find_runs([own, process])), NONE)
    assert [(d.letter, d.claim.arm, d.claim.than, d.outcome) for d in found] == [
        ("P", "process", "own", "lower"),
        ("H", "process", "own", "lower"),
    ]
    [one] = {d.claim.than for d in differences(group(find_runs([own, process])), Study(reference="process"))}
    assert one == "process"
    assert sentence(found) == ("With 95 % intervals over 3 paired seeds, against own, P is lower for process; "
                               "against own, H is lower for process.")  # fmt: skip
    arms = group(find_runs(default))
    assert {(d.claim.than, d.claim.sign) for d in differences(arms, first_light, "own_scale")} == {("own_scale", 0)}
    with pytest.raises(LineageError, match="Did you mean 'own_scale'"):
        differences(arms, first_light, "own_scales")


def test_pairs_are_of_shared_seeds_alone(tmp_path: Path, write) -> None:
    def read(gain: float) -> dict:
        return {"performance/human": lambda step, seed: 10.0 * seed + gain}

    a = write(tmp_path / "a", "a", seeds=[0, 1, 2, 3], readings=read(0))
    b = write(tmp_path / "b", "b", seeds=[5, 4, 3, 2], readings=read(0.5))
    c = write(tmp_path / "c", "c", seeds=[7, 8], readings=read(0.5))
    with_shared, without = differences(group(find_runs([a, b, c])), NONE)
    assert (with_shared.interval.mean, with_shared.interval.n) == (0.5, 2)
    assert (without.interval.n, without.outcome) == (0, "open")


def test_m_is_set_against_its_own_null(tmp_path: Path, write) -> None:
    readings = {"teacher/m": lambda step, seed: 0.5 + seed / 100, "teacher/null": lambda step, seed: 0.3 + seed / 100}
    (found,) = differences(group(find_runs([write(tmp_path / "a", "a", readings=readings)])), NONE)
    assert (found.outcome, found.interval.mean) == ("higher", pytest.approx(0.2))
    assert sentence([found]) == "With 95 % intervals over 3 paired seeds, against its null, M is higher for a."


def test_one_arm_alone_says_so() -> None:
    assert sentence([]) == "There is one arm and nothing to compare it with."


def test_arms_that_nobody_compares_say_so(tmp_path: Path, write) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, name, described=(), readings={"some/thing": lambda step, seed: 0.5})
    runs = find_runs([tmp_path])
    assert "Nothing is compared: no headline" in printed(group(runs), runs)


def test_the_sentence_follows_the_intervals() -> None:
    claim = Claim("performance/human", "a", "b", 1, "it rains")
    ends = {"1 of 1 expected differences hold": (0.1, 0.2),
            "0 of 1 expected differences hold; the opposite is found of: it rains (+0.000)": (-0.2, -0.1),
            "0 of 1 expected differences hold; open: it rains (+0.000)": (-0.1, 0.2)}  # fmt: skip
    for says, (low, high) in ends.items():
        assert sentence([Difference(claim, Interval(0.0, low, high, 8))]).endswith(f"{says}.")


@pytest.mark.parametrize("width", [80, 240])
def test_no_width_cuts_a_figure(default: list[Path], width: int, first_light: Study) -> None:
    runs = find_runs(default)
    file = io.StringIO()
    found = differences(group(runs), first_light)
    show(Console(file=file, width=width, highlight=False), group(runs), found, runs, first_light)
    printed = file.getvalue()
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width
    for figure in ("1.384 [1.374, 1.394]", "+.040 [.040, .040]", "above 0", "reversed"):
        assert figure in printed


def test_the_command_prints_and_keeps_everything(
    default: list[Path], launch, tmp_path: Path, monkeypatch, capsys, first_light: Study
) -> None:
    (default[0] / "wandb").mkdir()
    keep([first_light], launch(default[::-1], "demo"))
    monkeypatch.chdir(tmp_path)
    assert main(["--json", "rows.json"]) == 0
    printed = capsys.readouterr().out
    out = Path("runs") / "reports" / "demo"
    kept = json.loads((tmp_path / out / "table.json").read_text())
    assert [row["arm"] for row in kept][:2] == ["fixed", "process"]
    assert json.loads(Path("rows.json").read_text()) == kept
    assert "process − fixed" in (tmp_path / out / "table.txt").read_text()
    assert (tmp_path / out / "steps.png").read_bytes().startswith(b"\x89PNG")
    for path in (tmp_path / out / "steps.png", default[3], f"{default[0]} and wandb/ in it"):
        assert f"{path}\n" in printed
    assert main([str(default[0]), "--out", "elsewhere"]) == 0
    assert Path("elsewhere/table.txt").exists()


def test_runs_that_wrote_nothing_cannot_be_reported(tmp_path: Path, write) -> None:
    folder = write(tmp_path / "own", "own")
    (folder / "lineage.jsonl").unlink()
    with pytest.raises(LineageError, match="none in 1 runs"):
        main([str(folder)])


def printed(arms, runs, study: Study = NONE, **how) -> str:
    file = io.StringIO()
    show(Console(file=file, width=240, highlight=False), arms, differences(arms, study), runs, study, **how)
    return file.getvalue()


def test_the_table_has_headlines_with_their_nulls_and_all_the_others_on_request(tmp_path: Path, write) -> None:
    values = {"teacher/null": 0.3, "gap/audit": 0.1, "performance/human": 0.8, "teacher/m": 0.5, "rule/lr": 0.2}
    readings = {name: lambda step, seed, value=value: value for name, value in values.items()}
    runs = find_runs([write(tmp_path / "a", "a", readings=readings)])
    said, everything = (printed(group(runs), runs, everything=flag).splitlines() for flag in (False, True))
    assert said[2].split() == [
        "arm",
        "n",
        "A",
        "↓",
        "H",
        "↑",
        "M",
        "its",
        "null",
        "share",
        "accepted",
        "share",
        "declined",
    ]
    assert "Gap of the audit" in everything[2]
    assert "Rule: lr" in everything[2]


def test_an_older_run_is_told_by_the_names_of_its_readings(tmp_path: Path, write) -> None:
    readings = {"some/thing": lambda step, seed: 0.5, "other/thing": lambda step, seed: 0.5}
    runs = find_runs([write(tmp_path / "a", "a", readings=readings, described=())])
    assert "some/thing" in printed(group(runs), runs)
    study = Study(arms=("a",), claims=(Claim("other/thing", "a", "a"),))
    assert "some/thing" not in printed(group(runs), runs, study)
    assert "other/thing" in printed(group(runs), runs, study)


def test_heads_that_would_be_the_same_are_told_in_full(tmp_path: Path, write) -> None:
    described = (Reading("a/x", "X, before", headline=True), Reading("a/y", "X, after", "higher", headline=True))
    readings = {"a/x": lambda step, seed: 1.0, "a/y": lambda step, seed: 2.0}
    runs = find_runs([write(tmp_path / "a", "a", readings=readings, described=described)])
    assert "X, before " in printed(group(runs), runs)
    assert "X, after ↑" in printed(group(runs), runs)


def test_a_study_tells_its_readings_first_and_its_question(tmp_path: Path, write) -> None:
    runs = find_runs([write(tmp_path / "a", "a", readings=objectives(0.8, 1.3))])
    study = Study(question="Does it rain?", arms=("a",), order=("performance/human",))
    said = printed(group(runs), runs, study)
    assert said.startswith("Does it rain?")
    assert said.index("H ↑") < said.index("P ↓")


def test_run_folders_find_the_study_of_the_launch_that_ran_them(
    default: list[Path], launch, first_light, tmp_path
) -> None:
    keep([first_light], launch(default, "20260102"))
    keep([Study(arms=("fixed",))], launch(default[:1], "20260103"))
    keep([Study(arms=("fixed", "other"))], launch([*default[:2], tmp_path / "runs" / "other-1"], "20260101"))
    assert kept([tmp_path / "runs"], default) == first_light
    assert kept(default[:1], default[:1]).arms == ("fixed",)
    manifest = tmp_path / "runs" / "launches" / "20260101.jsonl"
    assert kept([manifest], default).arms == ("fixed", "other")
    manifest.with_name(f"20260101{SUFFIX}").unlink()
    assert kept([manifest], default) == NONE


def test_a_study_can_be_named(default: list[Path], tmp_path: Path, capsys) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("arms: [own, fixed]\nclaims: [{reading: own, arm: own, than: fixed, sign: 1, say: mine}]\n")
    assert main([*map(str, default[:3]), "--study", str(file), "--out", str(tmp_path)]) == 0
    assert "open: mine" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ConfigError, match="a study in"):
        main([str(default[0]), "--study", str(tmp_path / "none.yaml")])
