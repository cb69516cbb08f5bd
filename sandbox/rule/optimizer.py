"""An optimizer of torch.optim as it is, on the task's own objective; lived through `engine=higher`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.core.protocols import Batch, Params, Reach


@dataclass(frozen=True)
class Optimizer:
    """One step of torch.optim.<`optimizer`> at its defaults on A = mean P on the batch. phi is {"lr"}, raw; the slots
    are {"age"}: inner steps lived, since the optimizer's own memory lasts a single unroll.

    Displacements are torch's to rounding (1e-12 in float64; of ASGD, whose rate torch keeps in float32, 2e-8) however
    quiet the loss. An optimizer that can't be differentiated is refused by the engine. Raises `ConfigError` for a name
    that torch.optim lacks.
    """

    optimizer: str = "Adam"
    lr: float = 0.001

    def __post_init__(self) -> None:
        known = [name for name, found in vars(torch.optim).items()
                 if isinstance(found, type) and issubclass(found, torch.optim.Optimizer)]  # fmt: skip
        if self.optimizer not in known:
            raise ConfigError(explain(expected="the name of an optimizer of torch.optim", got=f"'{self.optimizer}'",
                                      do=did_you_mean(self.optimizer, known)))  # fmt: skip
        if self.lr < 0:
            raise ConfigError(explain(expected="rule.lr of 0 or more", got=f"{self.lr:g}", do="Set rule.lr=.001."))

    def torch_optimizer(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The optimizer of these weights, as an engine that can differentiate it asks for it."""
        return getattr(torch.optim, self.optimizer)(weights, lr=self.lr)

    def init(self, params: Params) -> Params:
        return {"lr": torch.tensor(self.lr, dtype=next(iter(params.values())).dtype)}

    def readable(self, phi: Params) -> Params:
        return phi

    def slots(self, params: Params) -> Params:
        return {"age": torch.zeros((), dtype=torch.int64)}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        return reach.objective(reach.predict(params, batch["x"]), batch).mean()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        raise ConfigError(explain(expected="an engine that runs optimizers of torch.optim",
                                  got=f"one that asks for the update of {self.optimizer} as a function",
                                  do="Set engine=higher."))  # fmt: skip
