"""The next token of a text, of which given tokens may lie at a rate that differs from life to life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Act, Batch, Params, Split
from sandbox.core.random import index
from sandbox.task.loss import cross_entropy
from sandbox.task.tokens import Corpus, Unit, corpus

SPLITS: tuple[Split, ...] = ("train", "practice", "gate", "test", "audit")


@dataclass(frozen=True)
class Text:
    """Predict each next token of `length` tokens. The text is Python's own help topics, or the UTF-8 `file`; its tokens
    are characters, bytes or words, of which the `vocabulary` - 1 commonest have an id each and all others share one.

    One task: a stretch of the text, cut in this order into train, practice, gate and test, so many tokens each, a noise
    rate drawn from `rates`, and given tokens, each redrawn over the whole vocabulary with probability rate. Inputs and
    targets are of the text as given. The last `audit` tokens are in no life's stretch, but the same for all; before
    them, a share `held_out` of the rest is for held-out tasks alone (0: held-out tasks are new draws of the same).

    Where `digest` is given, another text is refused (`corpus.digest` is this one's).

    A training batch is `batch` windows from anywhere in its stretch; every other split is read whole, window after
    window. P is the mean cross-entropy of a window's given tokens; H is the share of its true tokens that are foretold
    on `test`.
    """

    file: str | None = None
    tokens: Unit = "character"
    vocabulary: int = 64
    length: int = 32
    batch: int = 16
    train: int = 20000
    practice: int = 2000
    gate: int = 2000
    test: int = 4000
    audit: int = 4000
    held_out: float = 0.2
    rates: tuple[float, ...] = (0.0,)
    digest: str | None = None
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if self.length < 1 or self.batch < 1 or self.vocabulary < 2 or not 0 <= self.held_out < 1:
            raise ConfigError(explain(
                expected="task.length and task.batch of 1 or more, task.vocabulary of 2 or more, a share below 1 at "
                         "task.held_out",
                got=f"{self.length}, {self.batch}, {self.vocabulary} and {self.held_out}", do="Mend it."))  # fmt: skip
        short = [f"task.{name}={size}" for name, size in zip(SPLITS, self.sizes, strict=True) if size <= self.length]
        if short:
            raise ConfigError(explain(expected=f"splits longer than a window and its next token ({self.length} + 1)",
                                      got=" ".join(short), do="Lengthen them, or shorten task.length."))  # fmt: skip
        if not self.rates or not all(0 <= rate <= 1 for rate in self.rates):
            raise ConfigError(explain(expected="noise rates between 0 and 1", got=f"{self.rates}",
                                      do="Give task.rates at least one rate."))  # fmt: skip
        if self.digest is not None and self.digest != self.corpus.digest:
            raise ConfigError(explain(expected=f"the text of digest {self.digest}", got=self.corpus.digest,
                                      do="Bring that text (Python's own differs by version), or set "
                                         "task.digest=null."))  # fmt: skip
        for held_out in (False, True):
            first, end = self.family(held_out)
            if end - first < self.stretch:
                raise ConfigError(explain(
                    expected=f"{self.stretch} tokens for train, practice, gate and test, "
                             f"{'held-out' if held_out else 'other'} tasks",
                    got=f"{end - first} of the {len(self.corpus.ids)} of this text",
                    do="Shrink the splits, set task.held_out otherwise, or name a longer text."))  # fmt: skip

    @cached_property
    def corpus(self) -> Corpus:
        """The text as ids, read once."""
        return corpus(self.file, self.tokens, self.vocabulary)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tokens in train, practice, gate, test and audit."""
        return self.train, self.practice, self.gate, self.test, self.audit

    @property
    def stretch(self) -> int:
        """Tokens of a life's own stretch."""
        return sum(self.sizes) - self.audit

    def family(self, held_out: bool) -> tuple[int, int]:
        """Where in the text the stretches of such tasks begin and end."""
        rest = max(0, len(self.corpus.ids) - self.audit)
        edge = rest - int(rest * self.held_out)
        return (edge, rest) if held_out and self.held_out else (0, edge)

    @property
    def found_digest(self) -> str:
        """Of the text; what a run was made with beside its code."""
        return self.corpus.digest

    @property
    def noise(self) -> Mapping[str, int]:
        draw = 2 + 2 * (self.stretch + self.audit)
        return {"draw": draw, "train": self.batch, "practice": 0, "gate": 0, "test": 0, "audit": 0}

    @property
    def inputs(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def outputs(self) -> int:
        return len(self.corpus.words)

    @property
    def deployment(self) -> Split:
        return "test"

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        """{"position": [tokens] of the text, split after split, "given": [tokens] ids, "rate": scalar}."""
        size = self.stretch + self.audit
        start, rate, flip, token = noise.split([1, 1, size, size])
        first, end = self.family(held_out)
        ids = self.corpus.ids.to(noise.device)
        own = first + index(start, end - first - self.stretch + 1) + torch.arange(self.stretch, device=noise.device)
        audit = torch.arange(len(ids) - self.audit, len(ids), device=noise.device)
        rate = torch.tensor(self.rates, dtype=noise.dtype, device=noise.device)[index(rate[0], len(self.rates))]
        position = torch.cat([own, audit])
        given = torch.where(flip < rate, index(token, self.outputs), ids[position])
        return {"position": position, "given": given, "rate": rate}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        """{"x": [n, length] given tokens, "y": [n, length] the next ones, "at": [n] where a window begins}, in which
        only `human` can look up the truth."""
        part = SPLITS.index(split)
        first, size = sum(self.sizes[:part]), self.sizes[part]
        if split == "train":
            start = index(noise, size - self.length)
        else:
            start = torch.arange(0, size - self.length, self.length, device=noise.device)
        window = self._window(first + start)
        return {"x": task["given"][window], "y": task["given"][window + 1], "at": first + start}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(prediction, batch["y"])

    def temper(self, prediction: Tensor, temperature: Tensor) -> Tensor:
        return prediction / temperature

    def human(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        truth = self.corpus.ids.to(prediction.device)[task["position"][self._window(batch["at"]) + 1]]
        return (prediction.argmax(dim=-1) == truth).to(prediction.dtype).mean(dim=-1)

    def _window(self, at: Tensor) -> Tensor:
        """[n, length]: the places of the windows that begin `at` [n]."""
        return at[:, None] + torch.arange(self.length, device=at.device)
