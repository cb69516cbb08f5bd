"""Any `nn.Module` as a pure function of its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Params


@dataclass(frozen=True)
class Module:
    """`make` builds a fresh module with torch's global generator; its parameters are the weights, its buffers
    constants. Raises `ConfigError` for a module that is no pure function of them: one that updates running statistics,
    or draws from the global generator as it runs (dropout)."""

    make: Callable[[], nn.Module]
    template: nn.Module = field(init=False, repr=False, compare=False)  # its code runs; its weights are never used

    def __post_init__(self) -> None:
        module = self._fresh(0)
        running = [name for name, part in module.named_modules() if getattr(part, "track_running_stats", False)]
        if running:
            raise ConfigError(explain(expected="a module without running statistics", got=f"{running}",
                                      do="Build its normalisation with track_running_stats=False."))  # fmt: skip
        drawn = [name for name, part in module.named_modules() if _drops(part)]
        if drawn:
            raise ConfigError(explain(expected="a module that draws nothing as it runs", got=f"dropout in {drawn}",
                                      do="Set its dropout to 0: all random numbers are drawn beforehand."))  # fmt: skip
        object.__setattr__(self, "template", module)

    def init(self, rng: int) -> Params:
        return {name: weight.detach().clone() for name, weight in self._fresh(rng).named_parameters()}

    def apply(self, params: Params, x: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
            return functional_call(self.template, params, (x,))

    def _fresh(self, rng: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng)
            return self.make()


def _drops(part: nn.Module) -> bool:
    rate = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0)
    return isinstance(rate, float) and rate > 0
