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
    log-probabilities w of the actions up to it, ⊥ stopping derivatives (Foerster et al. 2018, section 3.2). A baseline,
    what the other episodes of the batch earned on the mean from the same step on, makes the first of them less noisy
    and shifts none (eq. 8 there; a leave-one-out mean: Kool et al. 2019).
    """
    log_p_t = log_p(prediction[..., : batch["policy"].shape[-1]], batch["action"]) * batch["alive"]
    reward = batch["reward"]
    to_go = reward.flip(-1).cumsum(dim=-1).flip(-1)
    others = (to_go.sum(dim=0) - to_go) / max(1, len(reward) - 1)
    return ((_box(log_p_t) - 1) * others - _box(log_p_t.cumsum(dim=-1)) * reward).sum(dim=-1)


def _box(w: Tensor) -> Tensor:
    """1, with the derivatives of exp(w)."""
    return torch.exp(w - w.detach())


def padded(rows: Tensor) -> Tensor:
    """[n, T, …] with one more row of zeros, for what was seen last."""
    return torch.cat([rows, torch.zeros_like(rows[:, :1])], dim=1)
