"""Real handwritten digits whose labels lie at a rate that differs from life to life, so that H, P and A differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.core.random import index
from sandbox.task.digits import CLASSES, IMAGES, PIXELS, classes, images
from sandbox.task.loss import cross_entropy


@dataclass(frozen=True)
class NoisyDigits:
    """scikit-learn's bundled digits (1,797 images of 8 x 8). One task: a split of the images, a noise rate drawn from
    `rates`, and given labels, each redrawn over all ten classes with probability rate.

    P is cross-entropy on given labels; H is accuracy on the clean labels of the `test` images, the ones left over.
    """

    rates: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6)
    train: int = 600
    practice: int = 150
    gate: int = 150
    batch: int = 64
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        used = self.train + self.practice + self.gate
        if used >= IMAGES or min(self.train, self.practice, self.gate, self.batch) < 1:
            raise ConfigError(explain(expected=f"positive sizes, with train + practice + gate below {IMAGES}",
                                      got=f"{self.train} + {self.practice} + {self.gate}, batch {self.batch}",
                                      do="Leave some images for the test split."))  # fmt: skip
        if not self.rates or not all(0 <= rate <= 1 for rate in self.rates):
            raise ConfigError(explain(expected="noise rates between 0 and 1", got=f"{self.rates}",
                                      do="Give task.rates at least one rate."))  # fmt: skip

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": 3 * IMAGES + 1, "train": self.batch, "practice": 0, "gate": 0, "test": 0}

    @property
    def inputs(self) -> int:
        return PIXELS

    @property
    def outputs(self) -> int:
        return CLASSES

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"order": [1797] images in split order, "given": [1797] labels by image, "rate": scalar}."""
        split, flip, label, rate = noise.split([IMAGES, IMAGES, IMAGES, 1])
        rate = torch.tensor(self.rates, dtype=noise.dtype, device=noise.device)[index(rate[0], len(self.rates))]
        given = torch.where(flip < rate, index(label, CLASSES), classes(noise.device))
        return {"order": split.argsort(), "given": given, "rate": rate}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, 64], "y": [n] given labels, "image": [n] which images}, in which
        only `human` can look up the truth."""
        bounds = [0, self.train, self.train + self.practice, self.train + self.practice + self.gate, IMAGES]
        part = ("train", "practice", "gate", "test").index(split)
        image = task["order"][bounds[part] : bounds[part + 1]]
        if split == "train":
            image = image[index(noise, self.train)]
        return {"x": images(self.dtype, image.device)[image], "y": task["given"][image], "image": image}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(prediction, batch["y"])

    def temper(self, prediction: Tensor, temperature: Tensor) -> Tensor:
        return prediction / temperature

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return (prediction.argmax(dim=-1) == classes(prediction.device)[batch["image"]]).to(prediction.dtype)
