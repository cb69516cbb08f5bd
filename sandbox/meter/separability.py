"""Whether outer and inner are still two things, beyond M: MI, LSCC, LCD and IOG of the reflective step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sandbox.core.random import normal, uniforms
from sandbox.core.watch import Probe
from sandbox.measure.cut import loop_cut
from sandbox.measure.graph import components
from sandbox.measure.integrability import integrability
from sandbox.measure.modes import merge_index
from sandbox.meter.reflection import Reflection, reflection

FAR = 1e100  # a course beyond it has no length in float64


@dataclass(frozen=True)
class Separability:
    """Over the partition of `merge`. LSCC: the share of numbers in the largest part that rewrites itself, its modules
    the outer leaves (a leaf's name up to its first dot) and the weights, their influences seen by `probes` products a
    module. LCD: by running `cut` reflective steps on one stream, twice, over the outer leaves that the weights reach,
    so that a counter doesn't dilute it (0 where they reach none). MI and IOG need the whole Jacobian and are read where
    outer and inner together have at most `largest` numbers. NaN for a seed whose derivatives are not finite, or whose
    course leaves all bounds."""

    every: int = 30
    cut: int = 10
    probes: int = 4
    largest: int = 300

    def read(self, probe: Probe) -> Mapping[str, Tensor]:
        step = reflection(probe)
        if step is None:
            return {}
        modules, norms = self._influences(step, probe.step)
        readings = {"lscc": _lscc(step, modules, norms), "lcd": self._lcd(step, modules, norms)}
        if step.n <= self.largest:
            eye = torch.eye(step.n, dtype=step.flat.dtype)[:, None].expand(-1, step.state.seeds, -1)
            each = step.vjp(eye).transpose(0, 1).double().numpy()  # [S, n, n]
            fine = [bool(np.isfinite(jacobian).all()) for jacobian in each]
            outer = range(step.outer)
            readings["mi"] = [merge_index(j, outer).value if ok else np.nan for j, ok in zip(each, fine, strict=True)]
            readings["iog"] = [integrability(j).gap if ok else np.nan for j, ok in zip(each, fine, strict=True)]
        return {f"separability/{name}": torch.as_tensor(np.asarray(value)) for name, value in readings.items()}

    def _influences(self, step: Reflection, t: int) -> tuple[list[str], NDArray[np.float64]]:
        """The module of each coordinate [n], and the block norms |K_to,from| between modules [S, modules, modules]."""
        modules = [_module(path) for path, size in zip(step.leaves, step.sizes, strict=True) for _ in range(size)]
        belongs = torch.tensor([[m == name for m in modules] for name in dict.fromkeys(modules)]).to(step.flat.dtype)
        noise = normal(uniforms(step.state.seed, "separability/probe", t, (self.probes, step.n))).transpose(0, 1)
        probes = noise.to(step.flat.dtype) * belongs[:, None, None]  # [modules, probes, S, n]
        rows = step.vjp(probes.flatten(0, 1)).reshape(probes.shape) - probes
        return modules, torch.einsum("ipsn,jn->sij", rows.square() / self.probes, belongs).sqrt().double().numpy()

    def _lcd(self, step: Reflection, modules: list[str], norms: NDArray[np.float64]) -> list[float]:
        """[S]: each seed by itself, so that one that diverges does not cost the others theirs."""
        names = list(dict.fromkeys(modules))
        reached = {
            name for name, fed in zip(names, (norms[:, :, names.index("params")] != 0).any(axis=0), strict=True) if fed
        }
        compared = [i for i, name in enumerate(modules[: step.outer]) if name in reached]
        if not compared:
            return [0.0] * step.state.seeds
        near = torch.ones(step.state.seeds, dtype=torch.bool)

        def lived(z: Tensor) -> Tensor:
            after = step.step(z)
            near.logical_and_(after.abs().amax(dim=1) < FAR)
            return torch.where(near[:, None], after, z)

        found = loop_cut(lived, step.flat, range(step.outer), self.cut, compared=compared).divergence[-1]
        return [value if ok else np.nan for value, ok in zip(found.tolist(), near.tolist(), strict=True)]


def _lscc(step: Reflection, modules: list[str], norms: NDArray[np.float64]) -> list[float]:
    """[S]."""
    sizes = {name: modules.count(name) for name in dict.fromkeys(modules)}
    return [components(norm, sizes).share if np.isfinite(norm).all() else np.nan for norm in norms]


def _module(path: str) -> str:
    return "params" if path.startswith("params/") else path.partition(".")[0]
