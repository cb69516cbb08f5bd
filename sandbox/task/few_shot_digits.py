"""Few-shot classification of real handwritten digits, with whole classes kept for meta-test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.task.digits import CLASSES, PIXELS, classes, images
from sandbox.task.loss import cross_entropy

SMALLEST, LARGEST = 174, 183  # images in the smallest and the largest class


@dataclass(frozen=True)
class FewShotDigits:
    """scikit-learn's bundled digits (1,797 images of 8 x 8). One task: `ways` of the classes under new labels, and of
    each class `shots` images to train on and `queries` other images for each of the practice, gate and test splits.

    Ten classes are few: meta-train and meta-test have no class in common, so at most 5 ways are possible (with 5
    classes held out), and the default has 20 sets of 3 classes to learn from and 4 to be tested on.
    P is cross-entropy; H is accuracy on the test split.
    """

    ways: int = 3
    shots: int = 5
    queries: int = 10
    held_out_classes: tuple[int, ...] = (6, 7, 8, 9)
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if not set(self.held_out_classes) <= set(range(CLASSES)):
            raise ConfigError(explain(expected=f"classes from 0 to {CLASSES - 1} in task.held_out_classes",
                                      got=f"{self.held_out_classes}", do="Name digits."))  # fmt: skip
        if not 2 <= self.ways <= min(len(self.family(held_out)) for held_out in (True, False)):
            raise ConfigError(explain(
                expected="task.ways of 2 or more, and as many classes on either side of the split",
                got=f"{self.ways} ways with {len(set(self.held_out_classes))} of {CLASSES} classes held out",
                do="Lower task.ways (5 at most), or hold out half of the classes."))  # fmt: skip
        if min(self.shots, self.queries) < 1 or self.shots + 3 * self.queries > SMALLEST:
            raise ConfigError(explain(
                expected=f"positive task.shots and task.queries with shots + 3 · queries of {SMALLEST} or less",
                got=f"{self.shots} and {self.queries}", do="A class has no more images."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": CLASSES + self.ways * LARGEST, "train": 0, "practice": 0, "gate": 0, "test": 0}

    @property
    def inputs(self) -> int:
        return PIXELS

    @property
    def outputs(self) -> int:
        return self.ways

    @property
    def deployment(self) -> Split:
        return "test"

    def family(self, held_out: bool) -> list[int]:
        """The classes of the meta-test family, or of the meta-train family."""
        return [c for c in range(CLASSES) if (c in self.held_out_classes) == held_out]

    @cached_property
    def by_class(self) -> Tensor:
        """[10, 183] which images belong to a class, with -1 where it has no more."""
        rows = [torch.nonzero(classes() == c)[:, 0] for c in range(CLASSES)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{split: [n] images, class by class}; no image is in two splits."""
        family = torch.tensor(self.family(held_out), device=noise.device)
        choice, order = noise.split([CLASSES, self.ways * LARGEST])
        members = self.by_class.to(noise.device)[family[choice[: len(family)].argsort()[: self.ways]]]
        # Noise is below 1, so what is no image comes last.
        shuffled = members.gather(1, (order.reshape(self.ways, LARGEST) + (members < 0)).argsort(dim=1))
        sizes = [self.shots, self.queries, self.queries, self.queries]
        parts = shuffled[:, : sum(sizes)].split(sizes, dim=1)
        return {name: part.flatten() for name, part in zip(("train", "practice", "gate", "test"), parts, strict=True)}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, 64], "y": [n] labels 0 … ways - 1}: all images of the split."""
        y = torch.arange(self.ways, device=noise.device).repeat_interleave(
            self.shots if split == "train" else self.queries
        )
        return {"x": images(self.dtype, noise.device)[task[split]], "y": y}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(prediction, batch["y"])

    def temper(self, prediction: Tensor, temperature: Tensor) -> Tensor:
        return prediction / temperature

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return (prediction.argmax(dim=-1) == batch["y"]).to(prediction.dtype)
