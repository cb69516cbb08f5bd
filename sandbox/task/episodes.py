"""What tasks in which one acts share: the splits, and an objective whose derivatives see through the dice."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sandbox.core.policy import log_p
from sandbox.core.protocols import Batch

SPLITS = ("train", "practice", "gate", "test")


def noise_of(drawn: int, each: int) -> Mapping[str, int]:
    """`drawn` uniforms for a task, and `each` for a batch of whatever split."""
    return {"draw": drawn, **dict.fromkeys(SPLITS, each)}


def minus_return(prediction: Tensor, batch: Batch) -> Tensor:
    """[n]: minus what each episode earned, undiscounted, from predictions [n, T + 1, outputs] of the policy that acted.

    The value is the return as it is. Its derivatives of every order are those of the *expected* return, unbiased,
    although no derivative passes the world: each reward is multiplied by the magic box exp(w - ⊥w) of the summed
    log-probabilities w of the actions up to it, ⊥ stopping derivatives (Foerster et al. 2018, section 3.2).
    """
    policy = prediction[..., : batch["policy"].shape[-1]]
    taken = (log_p(policy, batch["action"]) * batch["alive"]).cumsum(dim=-1)
    return -(torch.exp(taken - taken.detach()) * batch["reward"]).sum(dim=-1)


def padded(rows: Tensor) -> Tensor:
    """[n, T, …] with one more row of zeros, for what was seen last."""
    return torch.cat([rows, torch.zeros_like(rows[:, :1])], dim=1)
