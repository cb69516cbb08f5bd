"""Evolution of the learning, in which the size of a mutation is itself inherited and mutated."""

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
class SelfAdaptive:
    """A (1+1) evolution strategy with log-normal self-adaptation (Beyer & Schwefel 2002): sigma' = sigma · exp(tau · z)
    and then x' = x + sigma' · z_x, all z standard normal; the gate is the selection. It sees no gradient and no trace.

    The proposal carries its own sigma' (`./sigma`), so a refused proposal leaves sigma as it was. `tau` is 1/√n if
    None, for n mutated numbers, of which there may be `most`.
    """

    edits: tuple[str, ...] = ("rule",)
    sigma: float = 0.1
    tau: float | None = None
    most: int = 4096

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ConfigError(explain(expected="meta_learner.sigma above 0", got=f"{self.sigma}",
                                      do="A mutation needs a size."))  # fmt: skip

    @property
    def needs(self) -> Needs:
        return Needs(edits=(*self.edits, "./sigma"), reads=self.edits, noise=1 + self.most)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        only_real(edited, "meta_learner=self_adaptive")
        n = sum(leaf.numel() for leaf in edited.values())
        if n > self.most:
            raise ConfigError(explain(expected=f"at most {self.most} numbers to mutate", got=f"{n}",
                                      do=f"Set meta_learner.most={n}, or narrow `edits`."))  # fmt: skip
        return {"sigma": torch.tensor(self.sigma, dtype=torch.float64)}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        sizes = [leaf.numel() for leaf in seen.visible.values()]
        z = normal(seen.noise[: 1 + sum(sizes)])
        tau = sum(sizes) ** -0.5 if self.tau is None else self.tau
        sigma = psi["sigma"] * torch.exp(tau * z[0])
        mutated = {
            path: leaf + (sigma * z_x).reshape(leaf.shape).to(leaf.dtype)
            for (path, leaf), z_x in zip(seen.visible.items(), z[1:].split(sizes), strict=True)
        }
        return Edit({**mutated, "./sigma": sigma}, note="a mutation"), psi
