"""The lineage on disk: what is written can be read, what is torn is left out, what is changed is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sandbox.archive import checkpoint, lineage
from sandbox.archive.file import write_whole
from sandbox.core.error import LineageError
from sandbox.core.record import Record, Standing, Verdict
from sandbox.core.state import SLOTS, State, leaves


def state(value: float, *, seeds: int = 2) -> State:
    rows = torch.full((seeds, 3), value, dtype=torch.float64)
    return State(init={"w": rows}, params={"w": rows + 1}, slots={}, rule={"lr": rows[:, 0]}, meta={"1": {}}, gate={},
                 task={}, seed=torch.arange(seeds), t=int(value))  # fmt: skip


def record(step: int, *, level: int = 1, **readings: list[float]) -> Record:
    now = state(step)
    standing = Standing(now, before=state(step - 1), edited=torch.tensor([True, False]))
    none = ["", ""]
    return Record(step, level, 3 * step, [0, 1], [Verdict.ACCEPTED, Verdict.REJECTED], none, none, [0.5, 0.25], {}, "", none, readings,
                  standing)  # fmt: skip


def write(folder: Path, *records: Record) -> Path:
    (folder / lineage.LINEAGE).write_text("".join(lineage.as_json(one) + "\n" for one in records))
    return folder


# ---- lines ----------------------------------------------------------------------------------------------------------


def test_a_line_is_strict_json_and_what_is_not_finite_is_null():
    line = lineage.as_json(replace(record(1), own=[float("nan"), 1.0], readings={"a/b": [float("inf"), -0.0]}))
    found = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["own"] == [None, 1.0]
    assert found["readings"] == {"a/b": [None, 0.0]}
    assert "standing" not in found


def test_what_is_written_is_read(tmp_path):
    assert [line["step"] for line in lineage.read(write(tmp_path, record(0), record(1)))] == [0, 1]


def test_a_torn_last_line_is_left_out(tmp_path):
    write(tmp_path, record(0), record(1))
    path = tmp_path / lineage.LINEAGE
    path.write_text(path.read_text()[:-5])
    assert [line["step"] for line in lineage.read(tmp_path)] == [0]


def test_a_bad_line_is_named(tmp_path):
    write(tmp_path, record(0), record(1), record(2))
    path = tmp_path / lineage.LINEAGE
    first, second, third = path.read_text().splitlines()
    path.write_text("\n".join([first, second[:-3], third, ""]))
    with pytest.raises(LineageError, match="JSON on line 2"):
        lineage.read(tmp_path)


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
    lines = [record(step, loss=[value, value]).line() for step, value in enumerate([3.0, 1.0, 2.0, 1.0])]
    lines.append(record(9).line())
    lines.append(record(10, loss=[0.0, None]).line())  # type: ignore[list-item]
    before = json.dumps(lines)
    assert [line["step"] for line in lineage.select(lines, "loss", count=3)] == [1, 3, 2]
    assert [line["step"] for line in lineage.select(lines, "loss", highest=True)] == [0]
    assert json.dumps(lines) == before


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
