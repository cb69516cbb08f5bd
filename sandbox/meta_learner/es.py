"""An evolution strategy on the learning: it tries a population of perturbations and follows the better ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.edit import Edit, only_real
from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Needs, Params, Seen
from sandbox.core.random import normal


@dataclass(frozen=True)
class ES:
    """phi ← phi - lr · Σ_i (s_i+ - s_i-) e_i / (2 sigma m), antithetic estimation over m pairs phi ± sigma e_i, all e_i
    standard normal (Salimans et al. 2017, section 2.1; evolved policy gradients search so: Houthooft et al. 2018).

    s is P on practice data after a horizon lived with the candidate, all candidates on one stream; it may be noisy and
    need no gradient. A pair of which one is dead counts for nothing. `most` numbers may be perturbed.
    """

    edits: tuple[str, ...] = ("rule",)
    pairs: int = 8
    sigma: float = 0.1
    lr: float = 0.1
    most: int = 256

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.sigma <= 0:
            raise ConfigError(explain(expected="meta_learner.pairs of 1 or more and meta_learner.sigma above 0",
                                      got=f"{self.pairs} and {self.sigma}", do="Usual: 8 and .1."))  # fmt: skip

    @property
    def needs(self) -> Needs:
        return Needs(edits=self.edits, reads=self.edits, noise=self.pairs * self.most, population=2 * self.pairs)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        only_real(edited, "meta_learner=es")
        n = sum(leaf.numel() for leaf in edited.values())
        if n > self.most:
            raise ConfigError(explain(expected=f"at most {self.most} numbers to perturb", got=f"{n}",
                                      do=f"Set meta_learner.most={n}, or narrow `edits`."))  # fmt: skip
        return {}

    def vary(self, psi: Params, seen: Seen) -> dict[str, Tensor]:
        """{path: [2 · pairs, ...]}: first phi + sigma e_i, then phi - sigma e_i."""
        steps = self._directions(seen)
        return {path: torch.cat([leaf + self.sigma * steps[path], leaf - self.sigma * steps[path]])
                for path, leaf in seen.visible.items()}  # fmt: skip

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        up, down = seen.scores.split(self.pairs)
        living = seen.alive[: self.pairs] & seen.alive[self.pairs :]
        gain = torch.where(living, up - down, 0) / (2 * self.sigma * living.sum().clamp(min=1))
        values = {
            path: leaf - self.lr * torch.tensordot(gain.to(leaf.dtype), self._directions(seen)[path], dims=1)
            for path, leaf in seen.visible.items()
        }
        return Edit(values, note=f"down the slope of {self.pairs} pairs"), psi

    def _directions(self, seen: Seen) -> dict[str, Tensor]:
        """{path: [pairs, ...]} standard normals, the same in `vary` and `ask`."""
        e, start, found = normal(seen.noise).reshape(self.pairs, self.most), 0, dict[str, Tensor]()
        for path, leaf in seen.visible.items():
            found[path] = e[:, start : start + leaf.numel()].reshape(self.pairs, *leaf.shape).to(leaf.dtype)
            start += leaf.numel()
        return found
