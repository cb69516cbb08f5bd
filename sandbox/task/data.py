"""Data of one's own as a family of tasks: every life splits it anew, and labels may lie at a rate drawn for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.core.random import index, uniform
from sandbox.task.examples import Examples, Kind, examples
from sandbox.task.label_noise import LabelNoise
from sandbox.task.loss import INDEXED, loss
from sandbox.task.source import Rows

SPLITS: tuple[Split, ...] = ("train", "practice", "gate", "test", "audit")
Size = int | float


@dataclass(frozen=True, eq=False)
class Data:
    """`source` is the name of a scikit-learn loader (load_wine), "mnist" or "mixture" (see `bundled`), a
    .npz, .csv or .parquet file, arrays (x, y), a data frame, a torch Dataset, or a callable that returns one of these;
    `target` names the column or the array of targets.

    Targets that are names, truth values or few whole numbers are classes; other numbers are amounts, unless `kind` says
    otherwise. P is the `loss` of that name in torch.nn.functional, by default cross_entropy or mse_loss; for losses
    that compare number by number, classes count as one-hot. H is accuracy on clean labels of the `test` rows, or minus
    the loss there.

    One task: a split of the rows into `train`, `practice`, `gate` and `test` (null: the rest), each a number of rows or
    a share of all below 1, and given labels by `labels`. With `stratify` each split has its share of each class, as far
    as whole rows go. The `audit` rows and those for held-out tasks (`held_out`; 0: held-out tasks are new draws of the
    same rows) are the same for all lives, chosen by `rng`. A training batch is `batch` rows of train, drawn with
    replacement; every other split is read whole.

    `scale` shifts and scales each number of an example by the life's training rows: to mean 0 and variance 1
    ("standard"), or into 0 … 1 ("unit"). Datasets of more than `memory` bytes are read by index, batch by batch. Where
    `digest` is given, other data are refused; `found_digest` is theirs. Raises `ConfigError` for whatever can't be
    learned from as it is.
    """

    source: Any | Callable[..., Any] = "load_iris"
    target: str | None = None
    kind: Kind | None = None
    loss: str | None = None
    labels: LabelNoise | None = None
    scale: Literal["none", "standard", "unit"] = "none"
    tokens: bool = False
    train: Size = 0.6
    practice: Size = 0.1
    gate: Size = 0.1
    test: Size | None = None
    audit: Size = 0.1
    held_out: Size = 0
    batch: int = 64
    stratify: bool = True
    memory: int = 2**30
    rng: int = 0
    digest: str | None = None
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        self._check_parts()
        self._check_sizes()
        self._check_classes()
        if self.digest is not None and self.digest != self.found_digest:
            raise ConfigError(explain(expected=f"the data of digest {self.digest}", got=self.found_digest,
                                      do="Bring those data, or set task.digest=null."))  # fmt: skip

    # ---- what there is ----------------------------------------------------------------------------------------------

    @cached_property
    def examples(self) -> Examples:
        """All rows."""
        return examples(self.source, self.target, self.kind, self.tokens, self.memory, self.dtype)

    @property
    def found_digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of targets and, where they are held, examples."""
        held = [leaf for leaf in (self.examples.x, self.examples.y) if isinstance(leaf, Tensor)]
        return sha256(b"".join(leaf.numpy().tobytes() for leaf in held)).hexdigest()[:16]

    @property
    def classes(self) -> int:
        """How many classes; 0 for a regression."""
        return len(self.examples.names)

    @cached_property
    def objective_of(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss [n] of predictions and targets."""
        return loss(self.loss_name)

    @property
    def loss_name(self) -> str:
        return self.loss or ("cross_entropy" if self.classes else "mse_loss")

    @cached_property
    def sizes(self) -> dict[str, int]:
        """{split: rows}."""
        n = len(self.examples.y)
        found = {name: _rows(getattr(self, name), n) for name in (*SPLITS, "held_out") if name != "test"}
        family = n - found["audit"] - found["held_out"]
        pool = min(family, found["held_out"] or family)
        rest = pool - found["train"] - found["practice"] - found["gate"]
        test = rest if self.test is None else _rows(self.test, n)
        return {**found, "test": test, "left": rest - test}

    @cached_property
    def pools(self) -> dict[str, Tensor]:
        """{"audit", "held_out", "family": row numbers}, disjoint."""
        n, sizes = len(self.examples.y), self.sizes
        u = uniform(self.rng, "data/pools", 0, (n + max(1, self.classes),))
        order = self._shuffled(torch.arange(n), u)
        rest = n - sizes["audit"] - sizes["held_out"]
        parts = order.split([sizes["audit"], sizes["held_out"], rest])
        return dict(zip(("audit", "held_out", "family"), parts, strict=True))

    # ---- the seam ---------------------------------------------------------------------------------------------------

    @property
    def noise(self) -> Mapping[str, int]:
        pool = max(len(self.pools["family"]), len(self.pools["held_out"]))
        lies = 0 if self.labels is None else self.labels.uniforms(*self._lying)
        draw = pool + max(1, self.classes) + 1 + lies
        return {"draw": draw, "train": self.batch, "practice": 0, "gate": 0, "test": 0} | (
            {"audit": 0} if self.sizes["audit"] else {}
        )

    @property
    def inputs(self) -> int | tuple[int, ...]:
        shape = tuple(self.examples.x.shape[1:])
        return shape[0] if len(shape) == 1 and not self.tokens else shape

    @property
    def outputs(self) -> int:
        return self.examples.outputs

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"row": [used] rows in the order of the splits}; with `labels` "given" [used, …] and "rate", a scalar; with
        `scale` "shift" and "width", of an example's shape."""
        pool = self.pools["held_out" if held_out and self.sizes["held_out"] else "family"]
        most = max(len(self.pools["family"]), len(self.pools["held_out"]))
        shuffle, offset, rate, lies = noise.split(
            [most, max(1, self.classes), 1, len(noise) - most - max(1, self.classes) - 1]
        )
        own = self._shuffled(pool.to(noise.device), torch.cat([shuffle[: len(pool)], offset]))
        used = sum(self.sizes[name] for name in SPLITS[:-1])
        task = {"row": torch.cat([own[:used], self.pools["audit"].to(noise.device)])}
        if self.labels is not None:
            rates = torch.tensor(self.labels.rates, dtype=noise.dtype, device=noise.device)
            task["rate"] = rates[index(rate[0], len(rates))]
            task["given"] = self._given(self.labels, task["row"], lies, task["rate"])
        return task | self._scaling(task["row"][: self.sizes["train"]])

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, …], "y": [n, …] given classes or amounts, "row": [n] which rows}, in which only `human` can look up
        the truth."""
        part = SPLITS.index(split)
        first, size = sum(self.sizes[name] for name in SPLITS[:part]), self.sizes[split]
        device = task["row"].device
        place = first + (index(noise, size) if split == "train" else torch.arange(size, device=device))
        row = task["row"][place]
        x = self._x(row)
        if "shift" in task:
            x = (x - task["shift"]) / task["width"]
        y = task["given"][place] if "given" in task else self.examples.y.to(device)[row]
        return {"x": x, "y": y, "row": row}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return self._loss(prediction, batch["y"])

    def temper(self, prediction: Tensor, temperature: Tensor) -> Tensor:
        """Of a regression, the prediction as it is: amounts have no temperature."""
        return prediction / temperature if self.classes else prediction

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        truth = self.examples.y.to(prediction.device)[batch["row"]]
        if not self.classes:
            return -self._loss(prediction, truth)
        right = (prediction.argmax(dim=-1) == truth).to(prediction.dtype)
        return right.reshape(len(truth), -1).mean(dim=1)

    # ---- checks -----------------------------------------------------------------------------------------------------

    def _check_parts(self) -> None:
        x, loss_name = self.examples.x, self.loss_name
        if self.scale != "none" and (self.tokens or isinstance(x, Rows)):
            raise ConfigError(explain(expected="task.scale=none for token ids and for examples read by index",
                                      got=self.scale, do="Scale in the Dataset, or raise task.memory."))  # fmt: skip
        if self.labels is not None and not (self.classes and isinstance(self.labels, LabelNoise)):
            raise ConfigError(explain(expected="label noise (sandbox/task/label_noise.py) on classes at task.labels",
                                      got=f"{type(self.labels).__name__} on {'classes' if self.classes else 'amounts'}",
                                      do="Set task.labels=null, or task.kind=classification."))  # fmt: skip
        if not self.classes and loss_name in INDEXED:
            raise ConfigError(explain(expected="a loss of amounts at task.loss", got=loss_name,
                                      do="Set task.kind=classification, or task.loss=mse_loss."))  # fmt: skip
        self.objective_of  # noqa: B018  an unknown name is refused

    def _check_sizes(self) -> None:
        sizes, n = self.sizes, len(self.examples.y)
        none = [name for name in SPLITS[:-1] if sizes[name] < 1]
        if none or sizes["left"] < 0 or self.batch < 1 or min(sizes["audit"], sizes["held_out"]) < 0:
            told = ", ".join(f"{name} {sizes[name]}" for name in (*SPLITS, "held_out"))
            raise ConfigError(explain(
                expected=f"splits of a row or more each, from {n} rows without audit and held_out"
                         f"{', and as many from the held-out ones' if sizes['held_out'] else ''}",
                got=f"{told}, batch {self.batch}", do="Shrink task.train or another, or bring more rows."))  # fmt: skip

    def _check_classes(self) -> None:
        """A class that some split would have to do without is refused."""
        y = self.examples.y
        if not self.classes or y.dim() != 1 or not self.stratify:
            return
        wanted = [size for name, size in self.sizes.items() if size and name != "left"]
        count, least = torch.bincount(y), min(wanted) / len(y)
        rare = [int(c) for c in torch.nonzero(count * least < 1)[:, 0]]
        if rare:
            told = ", ".join(f"'{self.examples.names[c]}' ({int(count[c])} rows)" for c in rare[:3])
            raise ConfigError(explain(
                expected=f"{round(1 / least + 0.5)} rows or more of every class, one for the smallest split",
                got=f"{told}{' and others' if len(rare) > 3 else ''}",
                do="Leave rare classes out, merge them, enlarge that split, or set task.stratify=false."))  # fmt: skip

    # ---- parts ------------------------------------------------------------------------------------------------------

    def _x(self, row: Tensor) -> Tensor:
        x = self.examples.x
        return x[row] if isinstance(x, Rows) else x.to(row.device)[row]

    def _loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        if self.classes and self.loss_name not in INDEXED:
            y = one_hot(y, self.classes).to(prediction.dtype)
        return self.objective_of(prediction, y)

    @property
    def _lying(self) -> tuple[int, int, int]:
        """Labels, numbers in an example and classes of what label noise is handed."""
        y = self.examples.y
        rows = sum(self.sizes[name] for name in SPLITS)
        return rows * y[0].numel(), torch.Size(self.examples.x.shape[1:]).numel(), self.classes

    def _given(self, labels: LabelNoise, row: Tensor, noise: Tensor, rate: Tensor) -> Tensor:
        x = None if self.tokens or isinstance(self.examples.x, Rows) else self._x(row)
        return labels.given(self.examples.y.to(row.device)[row], x, noise, rate, self.classes)

    def _scaling(self, train: Tensor) -> Params:
        if self.scale == "none":
            return {}
        x = self._x(train)
        shift, width = (x.mean(dim=0), x.std(dim=0)) if self.scale == "standard" else (x.amin(0), x.amax(0) - x.amin(0))
        return {"shift": shift, "width": torch.where(width > 0, width, torch.ones_like(width))}

    def _shuffled(self, pool: Tensor, u: Tensor) -> Tensor:
        """The rows of `pool` [n] in an order from uniforms [n + classes]; stratified, every stretch of it has its share
        of every class: the k-th of a class of m stands at (k + a uniform of the class) / m."""
        shuffle, offset = u[: len(pool)], u[len(pool) :]
        y = self.examples.y.to(pool.device)
        if not self.classes or y.dim() != 1 or not self.stratify:
            return pool[shuffle.argsort()]
        of = y[pool]
        count = torch.bincount(y[pool], minlength=self.classes)
        by_class = (of + shuffle).argsort()  # class after class, shuffled within
        k = torch.arange(len(pool), device=pool.device) - (count.cumsum(0) - count)[of[by_class]]
        place = (k + offset[of[by_class]]) / count[of[by_class]]
        return pool[by_class[place.argsort()]]


def _rows(size: Size, n: int) -> int:
    """A share of `n` rows, or a number of them."""
    return int(size * n) if isinstance(size, float) and size < 1 else int(size)
