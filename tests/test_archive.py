"""The lineage on disk: what is written can be read, what is torn is left out, what is changed is named."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sandbox.archive import checkpoint, lineage
from sandbox.core.error import LineageError
from sandbox.core.reading import Reading
from sandbox.core.record import Change, Record, Standing, Verdict
from sandbox.core.state import SLOTS, State, leaves
from sandbox.lines import file
from sandbox.lines.column import (
    plain,
    read_exact,
    read_numbers,
    read_words,
    rounded,
    write_exact,
    write_numbers,
    write_words,
)
from sandbox.lines.line import Reader, Writer
from sandbox.lines.readings import described, read_readings
from sandbox.lines.whole import write_whole
from sandbox.tracker.jsonl import Jsonl
from scripts import bench_lineage

DOCUMENTED = Path(__file__).parents[1] / "docs" / "run-folder.md"


def state(value: float, *, seeds: int = 2) -> State:
    rows = torch.full((seeds, 3), value, dtype=torch.float64)
    return State(init={"w": rows}, params={"w": rows + 1}, slots={}, rule={"lr": rows[:, 0]}, meta={"1": {}}, gate={},
                 task={}, seed=torch.arange(seeds), t=int(value))  # fmt: skip


def record(step: int, *, level: int = 1, **readings: list[float]) -> Record:
    now = state(step)
    standing = Standing(now, before=state(step - 1), edited=torch.tensor([True, False]))
    return Record(
        step=step, level=level, t=3 * step, seeds=[0, 1], verdict=[Verdict.ACCEPTED, Verdict.REJECTED], why=["", ""],
        anchor=["", ""], own=torch.tensor([0.5, 0.25]), edit={}, note="", digest=[],
        readings={name: torch.tensor(values) for name, values in readings.items()}, standing=standing,
    )  # fmt: skip


def write(folder: Path, *records: Record, packed: bool = False) -> Path:
    writer = Writer(packed)
    (folder / lineage.LINEAGE).write_text("".join(writer.write(lineage.step(one)) + "\n" for one in records))
    return folder


def many(step: int, seeds: int = 32, **more: Any) -> Record:
    """A record of many seeds: numbers of all sizes, some not finite, words of all kinds, edits of all shapes."""
    rng = np.random.default_rng(step)
    own = rng.normal(size=seeds) * 10.0 ** rng.integers(-3, 3, seeds)
    own[3:6] = [np.nan, 0.0, -np.inf]
    verdicts = [Verdict.ACCEPTED if s % 5 else Verdict.REFUSED for s in range(seeds)]
    asked = torch.from_numpy(np.random.default_rng(0).normal(size=(seeds, 3)).cumsum(1) * (1 + step / 100))
    edit = {
        "rule/lr": Change(torch.ones(seeds), asked[:, 0].float() * -1, ()),
        "rule/q": Change(torch.ones(seeds), asked[:, 1] ** 9, ()),
        "rule/w": Change(torch.ones(seeds), asked.float().reshape(seeds, 3, 1), ()),
        "rule/n": Change(torch.ones(seeds), torch.arange(seeds) + step, ()),
        "init/w": Change(torch.linspace(0, 1, seeds).double(), None, tuple(f"{s:016x}" for s in range(seeds))),
    }
    base = record(step)
    return replace(
        base, seeds=list(range(seeds)), verdict=verdicts, why=[f"t {s}" for s in range(seeds)], anchor=[""] * seeds,
        own=torch.from_numpy(own), edit=edit, note="so", digest=[f"{s:x}" for s in range(seeds)],
        readings={"a/same": torch.full((seeds,), 0.1), "a/wide": torch.logspace(-30, 30, seeds).double(),
                  "a/tiny": torch.logspace(-299, -290, seeds, dtype=torch.float64),
                  "b/c": torch.from_numpy(own[::-1].copy())},
        **more,
    )  # fmt: skip


# ---- lines ----------------------------------------------------------------------------------------------------------


def test_a_line_is_strict_json_and_what_is_not_finite_is_null():
    own, read = torch.tensor([float("nan"), 1.0]), {"a/b": torch.tensor([float("inf"), -0.0])}
    found = json.loads(lineage.as_json(replace(record(1), own=own, readings=read)),
                       parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))  # fmt: skip
    assert found["own"] == [None, 1.0]
    assert found["readings"] == {"a/b": [None, 0.0]}


def test_what_readers_get_is_every_field_but_the_states_and_documented():
    found = json.loads(lineage.as_json(record(1)))
    assert set(found) == {field.name for field in fields(Record)} - {"standing"}
    section = DOCUMENTED.read_text().split("## A line of")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(found)
    assert not [verdict for verdict in Verdict if f"`{verdict}`" not in section]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("seeds", [7, 32])
def test_what_is_written_is_read_as_it_is_told(packed, seeds, tmp_path):
    records = [many(step, seeds) for step in range(5)]
    found = lineage.read(write(tmp_path, *records, packed=packed))
    assert found == [json.loads(lineage.as_json(one)) for one in records]
    values = torch.tensor(found[4]["edit"]["rule/lr"]["value"])
    assert torch.equal(values, records[4].edit["rule/lr"].value)  # type: ignore[arg-type]
    raw = (tmp_path / lineage.LINEAGE).read_text().splitlines()
    assert isinstance(json.loads(raw[1])["own"], str if packed else list)
    assert ("f4+" in raw[1]) == packed  # told against the line before


def test_a_reader_without_edits_gets_all_the_rest(tmp_path):
    write(tmp_path, *(many(step) for step in range(3)), packed=True)
    found = list(file.read(tmp_path, Reader(edits=False)))
    assert found == [{**line, "edit": {}} for line in lineage.read(tmp_path)]


def test_what_a_line_need_not_say_it_does_not_say(tmp_path):
    other = replace(record(2), seeds=[5, 6])
    write(tmp_path, record(0), record(1), other, replace(record(3), verdict=[Verdict.NO_EDIT] * 2, own=torch.ones(2)))
    raw = [json.loads(line) for line in (tmp_path / lineage.LINEAGE).read_text().splitlines()]
    assert ["seeds" in line for line in raw] == [True, False, True, True]
    assert set(raw[1]) == {"step", "level", "t", "verdict", "own"}
    assert (raw[3]["verdict"], raw[3]["own"]) == ("no edit", 1.0)
    assert [line["seeds"] for line in lineage.read(tmp_path)] == [[0, 1], [0, 1], [5, 6], [0, 1]]


def test_measured_numbers_keep_six_digits_and_no_more():
    own = torch.tensor([0.12345678, 98765.4321, -1.00000049e-7], dtype=torch.float64)
    assert json.loads(lineage.as_json(replace(record(1), seeds=[0, 1, 2], own=own)))["own"] == [
        0.123457, 98765.4, -1e-7]  # fmt: skip


@given(st.lists(st.floats(width=64), min_size=2, max_size=40))
def test_any_number_is_read_as_it_is_told(numbers):
    values = rounded(numbers)
    for x, y in zip(values, numbers, strict=True):
        if np.isfinite(y):
            assert x == pytest.approx(y, rel=5.1e-6, abs=0)
            assert np.isnan(x) or float(f"{x:.5e}") == x
    for packed in (True, False):
        written = json.loads(json.dumps(write_numbers(values, packed=packed)))
        assert read_numbers(written, len(values)) == plain(values)


@given(st.lists(st.sampled_from(["a", "b", "others", ""]), min_size=1, max_size=20))
def test_any_words_are_read_as_they_are_told(words):
    assert read_words(json.loads(json.dumps(write_words(words))), len(words)) == words


@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=2, max_size=6))
def test_any_asked_value_keeps_its_bits(rows):
    before = after = None
    for row in rows:
        values = np.array(row, np.float32)
        written = write_exact(values, before, packed=True)
        _, after = read_exact(written, 3, after)
        assert after is not None
        assert np.array_equal(after.view("i4"), values.view("i4"))
        before = values


def test_a_writer_that_goes_on_writes_what_it_would_have_written(tmp_path):
    records = [many(step) for step in range(6)]
    whole = (write(tmp_path, *records, packed=True) / lineage.LINEAGE).read_text()
    write(tmp_path, *records[:3], packed=True)
    writer = lineage.writer(tmp_path, packed=True)
    with (tmp_path / lineage.LINEAGE).open("a") as file:
        file.writelines(writer.write(lineage.step(one)) + "\n" for one in records[3:])
    assert (tmp_path / lineage.LINEAGE).read_text() == whole


@pytest.mark.parametrize("torn", [5, 1])
def test_a_torn_last_line_is_left_out(torn, tmp_path):
    write(tmp_path, record(0), record(1))
    path = tmp_path / lineage.LINEAGE
    path.write_text(path.read_text()[:-torn])
    assert [line["step"] for line in lineage.read(tmp_path)] == [0]


@pytest.mark.parametrize(
    ("now", "said"),
    [("-3]", "JSONDecodeError"), ("[0.5,0.25,1]", "3 entries for 2 seeds"), ('"-1:AAAA"', "entries for 2 seeds"),
     ('{"a":1}', "TypeError|ValueError")],
)  # fmt: skip
def test_a_bad_line_is_named(now, said, tmp_path):
    write(tmp_path, record(0), record(1), record(2))
    path = tmp_path / lineage.LINEAGE
    first, second, third = path.read_text().splitlines()
    path.write_text("\n".join([first, second.replace("[0.5,0.25]", now), third, ""]))
    with pytest.raises(LineageError, match=f"a whole record on line 2 of .*(?:{said})"):
        lineage.read(tmp_path)


def test_a_value_told_against_one_that_is_gone_is_named(tmp_path):
    write(tmp_path, many(0), many(1), packed=True)
    path = tmp_path / lineage.LINEAGE
    first, second = map(json.loads, path.read_text().splitlines())
    path.write_text(json.dumps(first | {"edit": {}}) + "\n" + json.dumps(second) + "\n")
    with pytest.raises(LineageError, match=r"line 2 .*told against a value that no line before it holds"):
        lineage.read(tmp_path)


@pytest.mark.parametrize("packed_from", [5, 7])
def test_a_long_run_is_packed(packed_from, tmp_path):
    tracker = Jsonl(packed_from).start(tmp_path, {"steps": 3, "seeds": 2}, 0)
    assert tracker.writer.packed == (packed_from == 5)
    tracker.write(record(0))
    tracker.write(record(1))
    tracker.close(finished=False)
    again = Jsonl(packed_from).start(tmp_path, {"steps": 3, "seeds": 2}, 1)
    assert (again.writer.packed, again.writer.seeds) == (packed_from == 5, [0, 1])
    again.close(finished=True)


def test_ten_thousand_steps_of_32_seeds_are_ten_megabytes(tmp_path):
    made = bench_lineage.steps(1000, 32, 10)
    writer = Writer(packed=True)
    (tmp_path / lineage.LINEAGE).write_text("".join(writer.write(step) + "\n" for step in made))
    assert (tmp_path / lineage.LINEAGE).stat().st_size <= 1_000_000
    assert len(lineage.read(tmp_path)) == 1001  # how long it takes is told by scripts/bench_lineage.py


def test_no_lineage_is_told(tmp_path):
    with pytest.raises(LineageError, match=r"a run folder with lineage\.jsonl"):
        lineage.read(tmp_path)


def test_a_cut_drops_what_came_after_the_checkpoint(tmp_path):
    write(tmp_path, record(0, level=2), record(1), record(2), record(1, level=2), record(3))
    with (tmp_path / lineage.LINEAGE).open("a") as file:
        file.write('{"step": 4, "lev')
    lineage.cut(tmp_path, 1)
    lines = lineage.read(tmp_path)
    assert [(line["level"], line["step"]) for line in lines] == [(2, 0), (1, 1), (1, 2), (2, 1)]
    assert (tmp_path / lineage.LINEAGE).read_text().endswith("}\n")


def test_a_checkpoint_ahead_of_its_lineage_is_told(tmp_path):
    with pytest.raises(LineageError, match="a line for step 7"):
        lineage.cut(write(tmp_path, record(0), record(1)), 7)


def test_selecting_reads_and_changes_nothing():
    lines = [
        json.loads(lineage.as_json(record(step, loss=[value, value])))
        for step, value in enumerate([3.0, 1.0, 2.0, 1.0])
    ]
    lines.append(json.loads(lineage.as_json(record(9))))
    lines.append(json.loads(lineage.as_json(record(10, loss=[0.0, float("nan")]))))
    before = json.dumps(lines)
    assert [line["step"] for line in lineage.select(lines, "loss", count=3)] == [1, 3, 2]
    assert [line["step"] for line in lineage.select(lines, "loss", highest=True)] == [0]
    assert json.dumps(lines) == before


def test_descriptions_of_readings_come_back(tmp_path):
    said = (Reading("a/b", "A thing", "higher", range=(0.0, None), null="a/null", headline=True),
            Reading("rule/*", "Rule"), Reading("rule/lr", "The rate"), Reading("x/*", "* of x"))  # fmt: skip
    lineage.write_readings(tmp_path, said)
    found = read_readings(tmp_path)
    assert found == said
    assert described("a/b", found) == said[0]
    assert described("rule/lr", found) == said[2]
    assert described("rule/q", found) == Reading("rule/q", "Rule: q")
    assert described("x/y", found) == Reading("x/y", "y of x")
    assert described("b/a", found) is None
    assert read_readings(tmp_path / "older") == ()
    (tmp_path / "readings.json").write_text("[{}]")
    with pytest.raises(LineageError, match="descriptions of readings"):
        read_readings(tmp_path)


# ---- a course -------------------------------------------------------------------------------------------------------


def asked(step: int, verdict: list[str], **values: list[float]) -> dict[str, Any]:
    edit = {f"rule/{name}": {"value": value} for name, value in values.items()}
    return {"level": 1, "step": step, "verdict": verdict, "edit": edit}


def test_a_course_is_what_was_in_force_after_each_step():
    start = {"rule/lr": torch.tensor([1.0, 1.0])}
    lines = [
        asked(0, ["no edit"] * 2),
        asked(1, [Verdict.ACCEPTED, Verdict.REJECTED], lr=[2.0, 9.0]),
        asked(2, [Verdict.ACCEPTED, Verdict.ACCEPTED], lr=[3.0, 4.0]),
        asked(3, [Verdict.ROLLED_BACK, Verdict.ACCEPTED], lr=[7.0, 5.0]),
        {**asked(1, [Verdict.ACCEPTED] * 2, lr=[0.0, 0.0]), "level": 2},
        asked(4, [Verdict.ACCEPTED, Verdict.ROLLED_BACK], lr=[6.0, 7.0]),
        asked(5, [Verdict.ROLLED_BACK, Verdict.ROLLED_BACK], lr=[8.0, 8.0]),
    ]
    found = lineage.course(lines, start)["rule/lr"]
    assert found.tolist() == [[2, 1], [3, 4], [2, 5], [6, 4], [2, 4]]
    assert start["rule/lr"].tolist() == [1, 1]


def test_an_edit_of_one_path_leaves_the_others_of_a_course():
    start = {"rule/lr": torch.zeros(1), "rule/q": torch.zeros(1)}
    lines = [
        asked(1, [Verdict.ACCEPTED], lr=[1.0]),
        asked(2, [Verdict.ACCEPTED], q=[2.0]),
        asked(3, [Verdict.ROLLED_BACK]),
    ]
    found = lineage.course(lines, start)
    assert found["rule/lr"].flatten().tolist() == [1, 1, 1]
    assert found["rule/q"].flatten().tolist() == [0, 2, 0]


def test_a_course_of_edits_too_large_to_be_written_is_told():
    line = asked(1, [Verdict.ACCEPTED])
    line["edit"] = {"init/w": {"size": [1.0], "digest": ["ab"]}}
    with pytest.raises(LineageError, match="the values of 'init/w' at step 1; got their digest alone"):
        lineage.course([line], {"init/w": torch.zeros(1, 500)})


# ---- tensors --------------------------------------------------------------------------------------------------------


def test_a_blob_is_stored_once_under_its_digest(tmp_path):
    value = torch.arange(6.0).reshape(2, 3).T
    name = checkpoint.keep_blob(tmp_path, value)
    assert checkpoint.keep_blob(tmp_path, value.clone()) == name
    assert checkpoint.keep_blob(tmp_path, value + 1) != name
    assert torch.equal(checkpoint.load_blob(tmp_path, name), value)
    assert len(list((tmp_path / checkpoint.BLOBS).iterdir())) == 2


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_blob_that_is_not_what_its_name_says_is_told(harm, tmp_path):
    name = checkpoint.keep_blob(tmp_path, torch.zeros(3))
    path = tmp_path / checkpoint.BLOBS / f"{name}.safetensors"
    if harm == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    else:
        path.unlink()
    with pytest.raises(LineageError, match="a blob that hashes to its name"):
        checkpoint.load_blob(tmp_path, name)


def test_a_checkpoint_brings_the_whole_standing_back(tmp_path):
    kept = record(4)
    checkpoint.save_checkpoint(tmp_path, kept)
    found = checkpoint.load_checkpoint(tmp_path, state(0))
    assert found is not None
    standing, step = found
    assert step == 4
    assert standing.edited.tolist() == [True, False]
    for there, here in ((kept.standing.state, standing.state), (kept.standing.before, standing.before)):
        assert here.t == there.t
        assert torch.equal(here.seed, there.seed)
        assert here.meta == {"1": {}}
        for slot in SLOTS:
            pairs = [(leaves(there, slot)[path], leaf) for path, leaf in leaves(here, slot).items()]
            assert all(torch.equal(*pair) and pair[0].dtype == pair[1].dtype for pair in pairs)


def test_the_last_checkpoints_stay_with_their_blobs_alone(tmp_path):
    for step in range(1, 5):
        checkpoint.save_checkpoint(tmp_path, record(step), keep=2)
    assert [path.stem for path in sorted((tmp_path / checkpoint.CHECKPOINTS).iterdir())] == ["00000003", "00000004"]
    newest = checkpoint.load_checkpoint(tmp_path, state(0))
    assert newest is not None
    assert newest[0].state.t == 4
    (tmp_path / checkpoint.CHECKPOINTS / "00000004.json").unlink()
    older = checkpoint.load_checkpoint(tmp_path, state(0))
    assert older is not None
    assert older[0].before.t == 2
    # Of steps 2 to 4: init and params share values, and so blobs; beside them lr, and the seeds.
    assert len(list((tmp_path / checkpoint.BLOBS).iterdir())) == 4 + 3 + 1


MISFITS = {
    "another leaf": (
        lambda like: replace(like, rule={"lr": like.rule["lr"], "q": like.rule["lr"]}),
        r"leaves \['lr', 'q'\]",
    ),
    "a leaf less": (lambda like: replace(like, rule={}), r"leaves \[\] in 'rule', .* got \['lr'\]"),
    "another name": (lambda like: replace(like, init={"v": like.init["w"]}), r"leaves \['v'\] in 'init'"),
    "another shape": (
        lambda like: replace(like, params={"w": like.params["w"][:, :2]}),
        r"torch.float64 \[2, 2\] at 'params/w'.*\[2, 3\]",
    ),
    "another dtype": (
        lambda like: replace(like, init={"w": like.init["w"].float()}),
        r"torch\.float32 .*torch\.float64",
    ),
    "more seeds": (lambda like: state(0, seeds=3), "3 seeds.* got 2"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_checkpoint_that_no_longer_fits_is_told(misfit, tmp_path):
    checkpoint.save_checkpoint(tmp_path, record(4))
    like, said = MISFITS[misfit]
    with pytest.raises(LineageError, match=f"expected {said}") as told:
        checkpoint.load_checkpoint(tmp_path, like(state(0)))
    assert "force=true" in str(told.value)


def test_checkpoints_after_a_step_are_dropped(tmp_path):
    for step in range(1, 5):
        checkpoint.save_checkpoint(tmp_path, record(step), keep=3)
    checkpoint.drop_after(tmp_path, 3)
    assert checkpoint.steps(tmp_path) == [2, 3]


def test_a_folder_without_checkpoint_has_none(tmp_path):
    assert checkpoint.load_checkpoint(tmp_path, state(0)) is None


def test_a_write_leaves_the_whole_file_and_no_draft(tmp_path):
    write_whole(tmp_path / "a" / "b.json", b"old")
    write_whole(tmp_path / "a" / "b.json", b"new")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "a").iterdir()] == [("b.json", b"new")]
