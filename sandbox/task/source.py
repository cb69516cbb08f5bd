"""What people have as data, whatever it comes as, as examples x [n, …] and targets y [n, …]."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sandbox.core.contract import told
from sandbox.core.error import ConfigError, SandboxError, did_you_mean, explain
from sandbox.task.bundled import mixture, mnist

Pair = tuple[Any, Any]
EMPTY = {"", "na", "n/a", "nan", "null", "none", "?"}  # what a cell without a value says
USUAL = ("target", "y", "label", "class")  # what a column of targets is called where nobody says
BUNDLED: dict[str, Callable[[], Pair]] = {"mnist": mnist, "mixture": mixture}
SOURCES = ("the name of a scikit-learn loader, mnist, mixture, a .npz, .csv or .parquet file, a pair (x, y), a mapping "
           "with x and y, a table with columns, a torch Dataset, or a callable that returns one of these")  # fmt: skip


def pair(source: Any, target: str | None) -> Pair:
    """(x, y) of whatever `source` is; `(dataset, None)` of a Dataset with examples of its own. Raises `ConfigError`."""
    if isinstance(source, str):
        return _named(source, target)
    if isinstance(source, Mapping):
        return _of_mapping(source, target, "a mapping")
    if hasattr(source, "columns") and hasattr(source, "__getitem__"):
        return _of_columns({name: list(source[name]) for name in source.columns}, target, "a table")
    if isinstance(source, tuple | list) and len(source) == 2:
        return source[0], source[1]
    if callable(source) and not _is_dataset(source):
        return pair(_called(source), target)
    if _is_dataset(source):
        return source, None
    raise ConfigError(explain(expected=f"{SOURCES} at task.source", got=type(source).__name__, do="Bring one of them."))


def _called(source: Callable[..., Any]) -> Any:
    try:
        inspect.signature(source).bind()
    except (TypeError, ValueError) as error:
        raise ConfigError(explain(expected="a callable that needs no arguments at task.source",
                                  got=f"{source!r} ({error})",
                                  do="Set its arguments beside its _target_, or use functools.partial.",
                                  ))  from error  # fmt: skip
    try:
        found = source()
    except SandboxError:
        raise
    except Exception as error:
        raise ConfigError(explain(expected="data from the callable at task.source", got=told(error),
                                  do="Mend it: it is called once, before the first step."))  from error  # fmt: skip
    if callable(found) and not _is_dataset(found):
        raise ConfigError(explain(expected=SOURCES, got=f"a callable that returns {type(found).__name__}",
                                  do="Return (x, y)."))  # fmt: skip
    return found


def _is_dataset(source: Any) -> bool:
    return not isinstance(source, type) and hasattr(source, "__getitem__") and hasattr(source, "__len__")


# ---- names and files ------------------------------------------------------------------------------------------------


def _named(source: str, target: str | None) -> Pair:
    readers: dict[str, Callable[[Path, str | None], Pair]] = {".npz": _npz, ".csv": _csv, ".parquet": _parquet}
    suffix = Path(source).suffix.lower()
    if source in BUNDLED:
        return BUNDLED[source]()
    if suffix not in readers:
        return _loader(source)
    if not Path(source).is_file():
        raise ConfigError(explain(expected="a file at task.source", got=f"'{source}', which is not there",
                                  do="Name it from the working folder on, or in full."))  # fmt: skip
    return readers[suffix](Path(source), target)


def _loader(name: str) -> Pair:
    from sklearn import datasets

    known = [one for one in dir(datasets) if one.startswith(("load_", "fetch_"))
             and "return_X_y" in inspect.signature(getattr(datasets, one)).parameters]  # fmt: skip
    if name not in known:
        mine = f" A function of your own: 'task.source={{_target_: {name}}}' trust=[{name.partition('.')[0]}]."
        near = did_you_mean(name, [*known, *BUNDLED])
        raise ConfigError(explain(expected=SOURCES, got=f"task.source={name}",
                                  do=near + (mine if "." in name else "")))  # fmt: skip
    return getattr(datasets, name)(return_X_y=True)


def _npz(path: Path, target: str | None) -> Pair:
    with np.load(path, allow_pickle=False) as arrays:
        return _of_mapping({name: arrays[name] for name in arrays.files}, target, str(path))


def _of_mapping(arrays: Mapping[str, Any], target: str | None, where: str) -> Pair:
    if {"data", "target"} <= arrays.keys() and "x" not in arrays:  # scikit-learn's own
        arrays = {**arrays, "x": arrays["data"], "y": arrays["target"]}
    target = target or "y"
    for name in ("x", target):
        if name not in arrays:
            raise ConfigError(explain(expected=f"arrays 'x' and '{target}' in {where}", got=f"{sorted(arrays)}",
                                      do="Name them so, or say which are the targets: task.target=…"))  # fmt: skip
    return arrays["x"], arrays[target]


def _csv(path: Path, target: str | None) -> Pair:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    uneven = [number for number, row in enumerate(rows, start=1) if len(row) != len(rows[0])]
    if len(rows) < 2 or uneven:
        got = f"line {uneven[0]} with {len(rows[uneven[0] - 1])} cells, not {len(rows[0])}" if uneven else "no rows"
        raise ConfigError(explain(expected=f"a line of names and lines of as many cells in {path}", got=got,
                                  do="Mend the file; fields are parted by commas."))  # fmt: skip
    unclear = [name or "a column without a name" for name in rows[0] if not name or rows[0].count(name) > 1]
    if unclear:
        raise ConfigError(explain(expected=f"a name of its own for every column of {path}", got=unclear[0],
                                  do="Name it, or leave it out if it only counts the rows."))  # fmt: skip
    return _of_columns(dict(zip(rows[0], map(list, zip(*rows[1:], strict=True)), strict=True)), target, path)


def _parquet(path: Path, target: str | None) -> Pair:
    try:
        table = import_module("pyarrow.parquet").read_table(path)
    except ImportError as error:
        raise ConfigError(explain(expected="pyarrow, which reads .parquet files", got="none installed",
                                  do="pip install 'reflective-sandbox[parquet]', or save the table as .csv.",
                                  ))  from error  # fmt: skip
    return _of_columns({name: table[name].to_pylist() for name in table.column_names}, target, path)


def _of_columns(columns: Mapping[str, Sequence[Any]], target: str | None, path: Path | str) -> Pair:
    named = target or next((name for name in columns for usual in USUAL if name.lower() == usual), None)
    if named is None or named not in columns or len(columns) < 2:
        raise ConfigError(explain(
            expected=f"a column of targets in {path}{f' called {target!r}' if target else ''}, and one more",
            got=f"{', '.join(columns)}",
            do=did_you_mean(target, columns) if target else "Say which: task.target=…"))  # fmt: skip
    for name, cells in columns.items():
        _complete(name, cells, path)
    x = [[_number(name, row, cell, path) for row, cell in enumerate(cells, start=1)]
         for name, cells in columns.items() if name != named]  # fmt: skip
    return np.array(x, dtype=np.float64).T, _targets(columns[named])


def _complete(name: str, cells: Iterable[Any], path: Path | str) -> None:
    gaps = [row for row, cell in enumerate(cells, start=1)
            if cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in EMPTY)]  # fmt: skip
    if gaps:
        more = f" and {len(gaps) - 3} more" if len(gaps) > 3 else ""
        raise ConfigError(explain(expected=f"a value in every row of column '{name}' of {path}",
                                  got=f"none in row {', '.join(map(str, gaps[:3]))}{more}",
                                  do="Fill them in or leave those rows out; nothing is guessed here."))  # fmt: skip


def _number(name: str, row: int, cell: Any, path: Path | str) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError) as error:
        raise ConfigError(explain(expected=f"numbers in column '{name}' of {path}", got=f"'{cell}' in row {row}",
                                  do="Turn names into numbers (one column a name, say), or drop the column, "
                                     "or name it as task.target."))  from error  # fmt: skip


def _targets(cells: Sequence[Any]) -> np.ndarray:
    """Whole numbers, numbers or names, whichever the cells first are all."""
    for kind in (int, float):
        try:
            if all(not isinstance(cell, float) or kind is float for cell in cells):
                return np.array([kind(cell) for cell in cells])
        except (TypeError, ValueError):
            continue
    return np.array([str(cell) for cell in cells])


# ---- arrays and datasets --------------------------------------------------------------------------------------------


def array(value: Any, what: str) -> np.ndarray:
    """The value as an array of numbers, truth values or names; raises `ConfigError` for anything else, and where a
    number is missing or infinite. `what` names it in the message."""
    try:
        found = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError) as error:
        raise ConfigError(explain(expected=f"one array of {what}", got=f"{type(value).__name__} ({error})",
                                  do="Give every example the same shape."))  from error  # fmt: skip
    if found.dtype == object and all(isinstance(one, str) for one in found.flat):
        found = found.astype(str)
    if found.dtype.kind not in "biufUS":
        raise ConfigError(explain(expected=f"numbers or names as {what}", got=f"an array of {found.dtype}",
                                  do="Convert it to numbers."))  # fmt: skip
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        at = [tuple(map(int, place)) for place in np.argwhere(~np.isfinite(found))]
        raise ConfigError(explain(expected=f"finite {what}", got=f"{len(at)} missing or infinite, first at {at[0]}",
                                  do="Fill them in or leave those rows out; nothing is guessed here."))  # fmt: skip
    return found


class Rows:
    """The examples of a Dataset that is too large to hold: each is read when a batch has it."""

    def __init__(self, dataset: Any, dtype: torch.dtype) -> None:
        self.dataset, self.dtype = dataset, dtype
        self.shape = (len(dataset), *_example(dataset, 0)[0].shape)

    def __getitem__(self, index: Tensor) -> Tensor:
        """[…, *example] for row numbers […], which may stand for many lives at once."""
        return _Read.apply(self, index)  # pyright: ignore[reportReturnType]

    def read(self, number: int) -> Tensor:
        x = _example(self.dataset, number)[0]
        if x.shape != self.shape[1:]:
            raise ConfigError(explain(expected=f"examples of one shape, {list(self.shape[1:])}",
                                      got=f"{list(x.shape)} at {number}", do="Crop or pad them."))  # fmt: skip
        return torch.from_numpy(array(x, f"example {number}")).to(self.dtype)


class _Read(torch.autograd.Function):
    """A look-up in Python that vmap can batch: it reads the rows of all lives one after another."""

    @staticmethod
    def forward(rows: Rows, index: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = torch.stack([rows.read(number) for number in index.flatten().tolist()])
        return found.reshape(*index.shape, *rows.shape[1:]).to(index.device)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: Any, rows: Rows, index: Tensor) -> tuple[Tensor, int]:
        return _Read.apply(rows, index.movedim(in_dims[1], 0)), 0  # pyright: ignore[reportReturnType]


def of_dataset(dataset: Any, memory: int, dtype: torch.dtype) -> tuple[np.ndarray | Rows, np.ndarray]:
    """(x, y) of a map-style Dataset: all of x where it takes `memory` bytes or less, else `Rows`. Its targets are its
    attribute `targets` where it has one, as those of torchvision have; else every example is read once for them."""
    if not len(dataset):
        raise ConfigError(explain(expected="a Dataset with examples", got="none", do="Look at its length."))
    first = _example(dataset, 0)[0]
    rows = Rows(dataset, dtype) if first.size * dtype.itemsize * len(dataset) > memory else None
    known = getattr(dataset, "targets", None)
    if rows is not None:
        return rows, array(known if known is not None else [_example(dataset, i)[1] for i in range(len(dataset))], "y")
    xs, ys = zip(*(_example(dataset, number) for number in range(len(dataset))), strict=True)
    return array(list(xs), "x"), array(list(ys), "y")


def _example(dataset: Any, number: int) -> tuple[np.ndarray, Any]:
    try:
        one = dataset[number]
    except Exception as error:
        raise ConfigError(explain(expected=f"example {number} of the Dataset at task.source", got=told(error),
                                  do=f"It says that it has {len(dataset)}, numbered from 0."))  from error  # fmt: skip
    if not isinstance(one, tuple | list) or len(one) != 2:
        raise ConfigError(explain(expected="a Dataset whose examples are pairs (x, y)",
                                  got=f"{type(one).__name__} at {number}", do="Return both."))  # fmt: skip
    x, y = one
    return np.asarray(x), y.item() if isinstance(y, Tensor) and not y.dim() else np.asarray(y)
