"""Whether outer and inner are still two things, beyond M: MI, LSCC, LCD and IOG of the reflective step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sandbox.core.random import normal, uniforms
from sandbox.core.watch import Probe, Reading
from sandbox.measure.cut import loop_cut
from sandbox.measure.graph import belonging, block_norms, components
from sandbox.measure.integrability import integrability
from sandbox.measure.modes import merge_index
from sandbox.meter.reflection import INNER, OUTER, Reflection, reflection

FAR = 1e100  # a course beyond it has no length in float64
WEIGHTS = "inner"  # the module of all inner leaves


@dataclass(frozen=True)
class Separability:
    """Over the partition that `outer` and `inner` declare, by default that of `merge`, read as `name`/lscc and so on.

    LSCC: the share of numbers in the largest part that rewrites itself, its modules the outer leaves (a leaf's name up
    to its first dot) and the inner side, their influences seen by `probes` products a module. LCD: by running `cut`
    reflective steps on one stream, twice, over the outer leaves that the inner ones reach, so that a counter doesn't
    dilute it (0 where they reach none). MI and IOG need the whole Jacobian and are read where outer and inner together
    have at most `largest` numbers. NaN for a seed whose derivatives are not finite, or whose course leaves all bounds.
    """

    taped: ClassVar[bool] = True  # it differentiates through a step

    every: int = 30
    cut: int = 10
    probes: int = 2
    largest: int = 300
    name: str = "separability"
    outer: tuple[str, ...] = OUTER
    inner: tuple[str, ...] = INNER
    numbers: int = 2**20

    @property
    def readings(self) -> tuple[Reading, ...]:
        titles = {
            "lscc": "LSCC, largest part that rewrites itself",
            "lcd": f"LCD after {self.cut} steps, loop cut against intact",
            "mi": "MI, outer and inner in common modes",
            "iog": "IOG, gap to the nearest optimiser",
        }
        return tuple(Reading(f"{self.name}/{key}", title, range=(0.0, 1.0)) for key, title in titles.items())

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        step = reflection(probe, self.outer, self.inner)
        if step is None:
            return {}
        modules = _modules(step)
        noise = normal(uniforms(step.state.seed, "separability/probe", probe.step, (self.probes, step.n)))
        norms = block_norms(step.vjp, noise.transpose(0, 1).to(step.flat.dtype), belonging(modules, step.n),
                            numbers=self.numbers)  # fmt: skip
        readings = {"lscc": _lscc(modules, norms), "lcd": self._lcd(step, modules, norms)}
        if step.n <= self.largest:
            eye = torch.eye(step.n, dtype=step.flat.dtype)[:, None].expand(-1, step.state.seeds, -1)
            each = step.vjp(eye).transpose(0, 1).double().numpy()  # [S, n, n]
            fine = [bool(np.isfinite(jacobian).all()) for jacobian in each]
            outer = range(step.outer)
            readings["mi"] = [merge_index(j, outer).value if ok else np.nan for j, ok in zip(each, fine, strict=True)]
            readings["iog"] = [integrability(j).gap if ok else np.nan for j, ok in zip(each, fine, strict=True)]
        return {f"{self.name}/{name}": torch.as_tensor(np.asarray(value)) for name, value in readings.items()}

    def _lcd(self, step: Reflection, modules: Mapping[str, list[int]], norms: NDArray[np.float64]) -> list[float]:
        """[S]: each seed by itself, so that one that diverges does not cost the others theirs."""
        fed = (norms[:, :, list(modules).index(WEIGHTS)] != 0).any(axis=0)
        compared = [i for name, yes in zip(modules, fed, strict=True) if yes and name != WEIGHTS for i in modules[name]]
        if not compared:
            return [0.0] * step.state.seeds
        near = torch.ones(step.state.seeds, dtype=torch.bool)

        def lived(z: Tensor) -> Tensor:
            after = step.step(z)
            near.logical_and_((after.abs().amax(dim=-1) < FAR).reshape(-1, len(near)).all(dim=0))
            return torch.where(near[:, None], after, z)

        found = loop_cut(lived, step.flat, range(step.outer), self.cut, compared=compared, together=True)
        last = found.divergence[-1].tolist()
        return [value if ok else np.nan for value, ok in zip(last, near.tolist(), strict=True)]


def _modules(step: Reflection) -> dict[str, list[int]]:
    """The coordinates of each module: outer leaves by their names up to the first dot, and the inner side."""
    modules: dict[str, list[int]] = {}
    at = 0
    for path, size in zip(step.leaves, step.sizes, strict=True):
        name = path.partition(".")[0] if at < step.outer else WEIGHTS
        modules.setdefault(name, []).extend(range(at, at + size))
        at += size
    return modules


def _lscc(modules: Mapping[str, list[int]], norms: NDArray[np.float64]) -> list[float]:
    """[S]."""
    sizes = {name: len(coordinates) for name, coordinates in modules.items()}
    return [components(norm, sizes).share if np.isfinite(norm).all() else np.nan for norm in norms]
