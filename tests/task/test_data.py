"""Data of one's own: the same by every road, splits that never meet, and what can't be learned from is refused."""

from __future__ import annotations

import csv
import sys
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets
from torch import Tensor
from torch.func import vmap
from torch.nn import functional
from torch.utils.data import Dataset

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.task.data import SPLITS, Data
from sandbox.task.label_noise import InstanceDependent, Symmetric

X, Y = datasets.load_iris(return_X_y=True)
TOLD = np.array(["setosa", "versicolor", "virginica"])[Y]


def nobody(x: Tensor) -> Tensor:
    raise AssertionError("data do not depend on the policy")


def drawn(task: Data, seed: int = 0, *, held_out: bool = False):
    return task.draw(uniform(seed, "draw", 0, (task.noise["draw"],)), held_out=held_out)


def batch(task: Data, one, split, seed: int = 0):
    return task.sample(one, nobody, uniform(seed, split, 0, (task.noise[split],)), split)


class Flowers(Dataset):
    """Map-style; counts how often it is read."""

    def __init__(self) -> None:
        self.read = 0

    def __len__(self) -> int:
        return len(Y)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        self.read += 1
        return torch.tensor(X[number]), int(Y[number])


class Table:
    """As data frames are read: columns by name."""

    columns = ("a", "species", "b", "c", "d")

    def __getitem__(self, name: str) -> np.ndarray:
        return TOLD if name == "species" else X[:, "abcd".index(name)]

    def __len__(self) -> int:
        return len(Y)


def broken() -> None:
    raise TypeError("no such flower")


class Torn(Flowers):
    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        raise KeyError(number)


def table(path: Path, y: Any = Y, x: Any = X) -> str:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["species", "a", "b", "c", "d"])
        writer.writerows([told, *row] for told, row in zip(y, x, strict=True))
    return str(path)


def roads(folder: Path) -> dict[str, Any]:
    """The same flowers by every road but the loader's."""
    np.savez(folder / "flowers.npz", x=X, species=Y)
    return {
        "arrays": (X, Y),
        "tensors": {"x": torch.tensor(X), "species": torch.tensor(Y)},
        "callable": lambda: (X.tolist(), Y.tolist()),
        "dataset": Flowers(),
        "class": Flowers,
        "npz": str(folder / "flowers.npz"),
        "csv": table(folder / "flowers.csv"),
        "names": table(folder / "names.csv", TOLD),
        "column": (X, Y[:, None]),
        "scikit-learn": datasets.load_iris,
        "table": Table(),
        "shouted": {"x": X, "species": TOLD.astype(object)},
    }


@pytest.mark.parametrize("memory", [2**30, 100])
def test_the_same_data_by_every_road(tmp_path: Path, memory: int) -> None:
    usual = Data("load_iris", labels=Symmetric())
    one = drawn(usual)
    for road, source in roads(tmp_path).items():
        task = Data(source, target=None if road == "scikit-learn" else "species", labels=Symmetric(), memory=memory)
        assert (task.inputs, task.outputs, task.noise) == (usual.inputs, usual.outputs, usual.noise), road
        for split in SPLITS:
            found, expected = batch(task, drawn(task), split), batch(usual, one, split)
            assert all(torch.equal(found[name], leaf) for name, leaf in expected.items()), (road, split)


def test_parquet_is_read_where_pyarrow_is_and_missed_in_words_where_not(tmp_path: Path, monkeypatch) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = dict(zip("abcd", X.T.tolist(), strict=True)) | {"species": TOLD.tolist()}
    parquet.write_table(pyarrow.table(columns), tmp_path / "flowers.parquet")
    task = Data(str(tmp_path / "flowers.parquet"), target="species")
    assert task.examples.names == ("setosa", "versicolor", "virginica")
    assert torch.equal(batch(task, drawn(task), "gate")["x"], batch(Data(), drawn(Data()), "gate")["x"])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install 'reflective-sandbox\[parquet\]'"):
        Data(str(tmp_path / "flowers.parquet"), target="species")


def test_a_large_dataset_is_read_when_a_batch_has_it() -> None:
    source = Flowers()
    source.targets = Y  # pyright: ignore[reportAttributeAccessIssue]
    task = Data(source, memory=100, batch=7)
    assert source.read < 5
    one, before = drawn(task), source.read
    batch(task, one, "train")
    assert source.read == before + 7
    noise = torch.stack([uniform(seed, "train", 0, (7,)) for seed in range(3)])
    together = vmap(vmap(lambda u: task.sample(one, nobody, u, "train")["x"]))(noise[:, None])
    assert all(torch.equal(together[s, 0], batch(task, one, "train", s)["x"]) for s in range(3))
    rows, index = task.examples.x, torch.arange(12).reshape(4, 3)
    across = vmap(lambda column: rows[column], in_dims=1)(index)  # lives may lie along any axis
    assert torch.equal(across, torch.tensor(X, dtype=torch.float32)[index.T])


# ---- splits ---------------------------------------------------------------------------------------------------------


def parts(task: Data, one) -> dict[str, set[int]]:
    bounds = list(accumulate((task.sizes[name] for name in SPLITS), initial=0))
    return {name: set(one["row"][first:end].tolist())
            for name, (first, end) in zip(SPLITS, pairwise(bounds), strict=True)}  # fmt: skip


@pytest.mark.parametrize("stratify", [True, False])
def test_each_row_is_in_one_split_and_audit_rows_are_nobody_elses(stratify: bool) -> None:
    task = Data(train=40, practice=9, gate=9, held_out=75, audit=9, stratify=stratify)
    assert task.sizes == {"train": 40, "practice": 9, "gate": 9, "test": 8, "audit": 9, "held_out": 75, "left": 0}
    audit, seen, others = set(), set[int](), set[int]()
    for seed in range(20):
        lives = [drawn(task, seed, held_out=held_out) for held_out in (False, True)]
        found, other = (parts(task, one) for one in lives)
        for name in SPLITS:
            read = set(batch(task, lives[0], name)["row"].tolist())
            assert read <= found[name] if name == "train" else read == found[name]
        assert [len(found[name]) for name in SPLITS] == [40, 9, 9, 8, 9]
        assert sum(map(len, found.values())) == len(set().union(*found.values()))
        assert found["audit"] == other["audit"] == (audit or found["audit"])
        audit = found.pop("audit")
        other.pop("audit")
        seen |= set().union(*found.values())
        others |= set().union(*other.values())
    assert not seen & others
    assert not (seen | others) & audit
    assert len(seen) == 66  # lives differ
    assert len(others) == 75


def test_every_split_has_its_share_of_every_class() -> None:
    y = np.repeat([0, 1, 2], [200, 80, 20])
    task = Data((np.arange(300.0)[:, None], y), audit=0, train=0.5)
    for seed in range(20):
        for name, rows in parts(task, drawn(task, seed)).items():
            for c, total in enumerate((200, 80, 20)):
                share = total * task.sizes[name] / 300
                assert abs(sum(y[row] == c for row in rows) - share) <= 2, (name, c)
    assert "audit" not in task.noise


def test_a_training_batch_never_leaves_the_training_rows() -> None:
    task = Data()
    one = drawn(task)
    extreme = task.sample(one, nobody, torch.tensor([0.0, 1.0, 0.5]), "train")  # rounded up to 1 must stay inside
    assert set(extreme["row"].tolist()) <= parts(task, one)["train"]


def test_a_seed_alone_is_that_seed_in_a_batch() -> None:
    task = Data("load_wine", labels=InstanceDependent(), scale="standard")
    noise = torch.stack([uniform(seed, "draw", 0, (task.noise["draw"],)) for seed in range(3)])
    together = vmap(lambda u: task.draw(u, held_out=False))(noise)
    for seed in range(3):
        for name, leaf in drawn(task, seed).items():
            torch.testing.assert_close(together[name][seed], leaf, rtol=1e-5, atol=1e-5)


# ---- what is learned ------------------------------------------------------------------------------------------------


def test_the_process_hears_the_given_label_and_the_human_the_true_one() -> None:
    task = Data(labels=Symmetric((1.0,)))
    one = drawn(task)
    found = batch(task, one, "test")
    truth, told = (20 * functional.one_hot(y, 3).float() for y in (torch.tensor(Y)[found["row"]], found["y"]))
    assert task.human(one, truth, found).mean() == 1
    assert task.objective(one, told, found).max() < 1e-6 < 5 < task.objective(one, truth, found).mean()
    assert set(found) == {"x", "y", "row"}  # a rule sees batches: what is clean must not be in them


def test_targets_decide_whether_they_are_classes() -> None:
    amounts = Data("load_diabetes")
    assert (amounts.classes, amounts.outputs, amounts.loss_name) == (0, 1, "mse_loss")
    one = drawn(amounts)
    found = batch(amounts, one, "test")
    assert found["y"].shape == (45, 1)
    assert torch.equal(amounts.human(one, found["y"] + 2, found), torch.full((45,), -4.0))
    assert torch.equal(amounts.temper(found["y"], torch.tensor(9.0)), found["y"])
    x = np.zeros((12, 2))
    small = {"train": 6, "practice": 1, "gate": 1, "audit": 0, "stratify": False}
    assert Data((x, np.arange(12) % 3), **small).outputs == 3
    assert Data((x, np.arange(12) % 2 == 0), **small).examples.names == ("False", "True")
    assert Data((x, np.arange(12) % 2 * 2 - 1), **small).examples.names == ("-1", "1")
    assert Data((x, np.arange(12)), kind="regression", **small).outputs == 1
    assert Data((x, np.ones((12, 4))), **small).outputs == 4
    with pytest.raises(ConfigError, match=r"task\.kind"):
        Data((x, np.arange(12)), **small)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"])
def test_a_loss_by_name_compares_classes_as_one_hot(name: str) -> None:
    task = Data(loss=name)
    found = batch(task, {"row": torch.arange(150)}, "gate")
    prediction = torch.randn(15, 3)
    expected = getattr(functional, name)(prediction, functional.one_hot(found["y"], 3).float(), reduction="none")
    torch.testing.assert_close(task.objective({}, prediction, found), expected.mean(dim=1))


@pytest.mark.parametrize("name", ["cross_entropy", "multi_margin_loss", "nll_loss"])
def test_a_loss_of_classes_takes_them_as_they_are(name: str) -> None:
    task = Data(loss=name)
    found = batch(task, {"row": torch.arange(150)}, "gate")
    prediction = torch.randn(15, 3)
    expected = getattr(functional, name)(prediction, found["y"], reduction="none")
    torch.testing.assert_close(task.objective({}, prediction, found), expected)


def test_no_target_is_stretched_to_fit() -> None:
    task = Data("load_diabetes")
    found = {"y": torch.zeros(5, 1)}
    for wrong in (torch.zeros(5), torch.zeros(5, 5), torch.zeros(1, 1)):
        with pytest.raises(ConfigError, match="stretched"):
            task.objective({}, wrong, found)
    with pytest.raises(ConfigError, match="stretched"):
        Data().objective({}, torch.zeros(5, 7, 3), {"y": torch.zeros(5, dtype=torch.int64)})


def test_examples_of_any_shape_and_token_ids() -> None:
    rng = np.random.default_rng(0)
    small = {"train": 60, "practice": 10, "gate": 10, "audit": 0}
    images = Data((rng.integers(256, size=(100, 3, 4, 4)).astype(np.uint8), np.arange(100) % 2), **small)
    assert images.inputs == (3, 4, 4)
    assert batch(images, drawn(images), "gate")["x"].dtype == torch.float32
    ids = rng.integers(12, size=(100, 7))
    told = Data((ids, np.arange(100) % 2), tokens=True, **small)
    assert told.inputs == (7,)
    assert batch(told, drawn(told), "gate")["x"].dtype == torch.int64
    ids[0, 0] = 11
    each = Data((ids, np.minimum(ids, 8)), tokens=True, labels=Symmetric((0.5,)), **small)  # a target a place
    assert each.outputs == 12
    one = drawn(each)
    found = batch(each, one, "test")
    assert found["y"].shape == (20, 7)
    right = 20 * functional.one_hot(torch.tensor(np.minimum(ids, 8))[found["row"]], 12).float()
    assert each.human(one, right, found).tolist() == [1] * 20
    wrong = (found["y"] != right.argmax(dim=-1)).float().mean(dim=1)
    torch.testing.assert_close(each.objective(one, right, found), 20 * wrong, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("scale", "low", "high"), [("standard", 0.0, 1.0), ("unit", 0.0, 1.0)])
def test_numbers_are_scaled_by_the_rows_that_a_life_trains_on(scale: Any, low: float, high: float) -> None:
    constant = np.concatenate([X * [1, 10, 100, 1000], np.ones((150, 1))], axis=1)
    task = Data((constant, Y), scale=scale, dtype="float64")
    one = drawn(task)
    train = (torch.tensor(constant)[one["row"][:90]] - one["shift"]) / one["width"]
    ends = (train.mean(dim=0), train.std(dim=0)) if scale == "standard" else (train.amin(0), train.amax(0))
    torch.testing.assert_close(ends[0], torch.full((5,), low, dtype=torch.float64))
    torch.testing.assert_close(ends[1][:4], torch.full((4,), high, dtype=torch.float64))
    assert not train[:, 4].any()  # a constant says nothing
    gate = batch(task, one, "gate")
    torch.testing.assert_close(gate["x"], (torch.tensor(constant)[gate["row"]] - one["shift"]) / one["width"])


# ---- refusals -------------------------------------------------------------------------------------------------------

GAPS = X.copy()
GAPS[[3, 70], 1] = np.nan


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "load_iriss"}, "load_iris"),
        ({"source": "mine.load"}, r"task\.source=\{_target_: mine\.load\}"),
        ({"source": "nowhere.csv"}, "not there"),
        ({"source": 3}, "got int"),
        ({"source": (GAPS, Y)}, r"2 missing or infinite, first at \(3, 1\)"),
        ({"source": (X.astype(str), Y)}, "names into numbers"),
        ({"source": (X[:9], Y)}, "9 and 150"),
        ({"source": (X, np.zeros(150, dtype=int))}, "two classes"),
        ({"source": (X, np.where(np.arange(150) < 2, 3, Y))}, r"'3' \(2 rows\)"),
        ({"source": lambda n: (X, Y)}, "no arguments"),
        ({"source": {"x": X}}, "'y'"),
        ({"source": broken}, r"TypeError: no such flower \(test_data"),
        ({"source": Torn()}, "example 0.*KeyError"),
        ({"source": lambda: print}, "returns builtin"),
        ({"train": 0.9}, "Shrink"),
        ({"train": 0}, "train 0"),
        ({"test": 100}, "Shrink"),
        ({"held_out": 20}, "held-out ones"),
        ({"loss": "crossentropy"}, "Did you mean 'cross_entropy'"),
        ({"loss": "triplet_margin_loss"}, "predictions and targets"),
        ({"source": "load_diabetes", "loss": "cross_entropy"}, r"task\.kind=classification"),
        ({"source": "load_diabetes", "labels": Symmetric()}, "amounts"),
        ({"source": (X, X[:, 0]), "kind": "classification"}, "fractions"),
        ({"source": (X, TOLD), "kind": "regression"}, "names such as 'setosa'"),
        ({"tokens": True}, "token ids"),
        ({"source": Flowers(), "memory": 9, "scale": "unit"}, r"task\.memory"),
        ({"digest": "0123456789abcdef"}, r"task\.digest"),
    ],
)
def test_what_can_not_be_learned_from_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Data(**settings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({(2, 1): ""}, "column 'a'.*none in row 2"),
        ({(2, 3): "?", (3, 3): "NA", (4, 3): "nan", (5, 3): " "}, "column 'c'.*row 2, 3, 4 and 1 more"),
        ({(7, 2): "blue"}, "column 'b'.*'blue' in row 7"),
    ],
)
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, change: dict[tuple[int, int], str], said: str) -> None:
    cells = [list(map(str, row)) for row in X]
    for (row, column), value in change.items():
        cells[row - 1][column - 1] = value
    with pytest.raises(ConfigError, match=said):
        Data(table(tmp_path / "flowers.csv", x=cells), target="species")


def test_a_table_without_its_target_or_with_a_torn_line_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "flowers.csv")
    with pytest.raises(ConfigError, match=r"Did you mean 'species'"):
        Data(path, target="specie")
    with pytest.raises(ConfigError, match=r"task\.target"):
        Data(path)
    for header, said in (("a,a,target", "got a"), (",a,target", "without a name")):
        Path(path).write_text(f"{header}\n1,2,0\n3,4,1\n")
        with pytest.raises(ConfigError, match=said):
            Data(path)
    Path(path).write_text("a,target\n1,0\n2\n")
    with pytest.raises(ConfigError, match="line 3 with 1 cells"):
        Data(path)


def test_data_of_the_digest_that_is_asked_for_are_taken() -> None:
    assert Data(digest=Data().found_digest).outputs == 3
    assert Data().found_digest != Data("load_wine").found_digest
