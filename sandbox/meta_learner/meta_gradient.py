"""An optimizer of the learning itself: it follows the hypergradient of the process's objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Grad, Needs, Params, Seen
from sandbox.core.score import Over

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class MetaGradient:
    """Adam (Kingma & Ba 2015, algorithm 1) or plain SGD on everything at `edits`, down the hypergradient of P on
    practice data through the horizon just lived: MAML edits `init`, Meta-SGD also `rule`.

    `adjoint` says how the hypergradient is taken (`adjoint.first_order=true`: first-order MAML), `over` whether P is
    that of the horizon's end, of its whole life or its improvement. `clip` bounds the norm of the whole hypergradient
    of a seed. psi holds the learning rate, so that a higher level may edit `meta/<level>/lr`, and Adam's moments
    "m.<path>" and "v.<path>", with ":" in place of "/".
    """

    edits: tuple[str, ...] = ("init",)
    lr: float = 1e-3
    optimizer: Literal["adam", "sgd"] = "adam"
    adjoint: Adjoint = FULL
    clip: float | None = None
    over: Over = "end"

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip <= 0:
            raise ConfigError(explain(expected="meta_learner.clip above 0", got=f"{self.clip}",
                                      do="Leave it out (null) for no bound."))  # fmt: skip

    @property
    def needs(self) -> Needs:
        grads = tuple(Grad("process", path, over=self.over) for path in self.edits)
        return Needs(edits=self.edits, reads=self.edits, grads=grads, adjoint=self.adjoint)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        psi = {"lr": torch.tensor(self.lr, dtype=torch.float64)}
        if self.optimizer == "sgd":
            return psi
        moments = {
            f"{moment}.{_name(path)}": torch.zeros_like(leaf) for path, leaf in edited.items() for moment in "mv"
        }
        return {**psi, "count": torch.zeros((), dtype=torch.float64), **moments}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        grads = _clipped(seen.grad["process"], self.clip)
        steps, psi = (grads, psi) if self.optimizer == "sgd" else _adam(psi, grads)
        values = {
            path: torch.addcmul(leaf, steps[path], -psi["lr"].to(leaf.dtype)) for path, leaf in seen.visible.items()
        }
        return Edit(values, note=f"{self.optimizer} down the hypergradient"), psi


def _adam(psi: Params, grads: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Params]:
    """What Adam multiplies by the learning rate, and psi with new moments."""
    count = psi["count"] + 1
    psi, steps = {**psi, "count": count}, dict[str, Tensor]()
    for path, grad in grads.items():
        m = BETA_1 * psi[f"m.{_name(path)}"] + (1 - BETA_1) * grad
        v = BETA_2 * psi[f"v.{_name(path)}"] + (1 - BETA_2) * grad.square()
        m_hat, v_hat = m / (1 - BETA_1**count).to(grad.dtype), v / (1 - BETA_2**count).to(grad.dtype)
        steps[path] = m_hat / (_root(v_hat) + EPSILON)
        psi |= {f"m.{_name(path)}": m, f"v.{_name(path)}": v}
    return steps, psi


def _clipped(grads: Mapping[str, Tensor], clip: float | None) -> Mapping[str, Tensor]:
    if clip is None:
        return grads
    norm = _root(torch.stack([grad.double().square().sum() for grad in grads.values()]).sum())
    scale = clip / norm.clamp(min=clip)
    return {path: grad * scale.to(grad.dtype) for path, grad in grads.items()}


def _root(x: Tensor) -> Tensor:
    """√x with derivative 0 at 0, where autograd's is infinite and makes NaN of any level that looks through."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1).sqrt(), 0)


def _name(path: str) -> str:
    return path.replace("/", ":")
