"""What a prediction says of actions: the agreement between tasks in which one acts and rules that learn from acting.

Such a task calls a batch *episodes*. An example is one episode; after the examples [n] comes time [T + 1]: a row for
each of the T steps that an episode may have, and one more for what was seen last. The fields of a batch:

    x         [n, T + 1, …]    what is seen before the step; after the last step, what is seen at the end
    action    [n, T + 1]       which of the discrete actions, int64; or [n, T + 1, d] of d continuous numbers
    reward    [n, T + 1]       what P pays for the step
    alive     [n, T + 1]       1 where a step was taken, 0 from the end of the episode on: a prefix of ones
    terminal  [n, T + 1]       1 at the step by which the world ended the episode, 0 where only time ran out
    policy    [n, T + 1, p]    what the policy said as it acted, the parameters below; no derivative passes it

A prediction [n, T + 1, outputs] holds the p parameters of the policy first: a logit for each discrete action, or for d
continuous numbers their d means and d logarithms of standard deviations (normal, independent). Where outputs is p + 1
the last number is an estimate of the value: what will be earned from there on.
"""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor

from sandbox.core.random import normal

LOW, HIGH = -5.0, 2.0  # bounds of the logarithm of a standard deviation


def choose(policy: Tensor, noise: Tensor) -> Tensor:
    """Discrete actions [...], int64, from logits [..., p] and uniforms [...]: the softmax's distribution function,
    inverted in float64."""
    below = torch.softmax(policy.double(), dim=-1).cumsum(dim=-1)
    return (below[..., :-1] <= noise[..., None]).sum(dim=-1)


def gauge(policy: Tensor, noise: Tensor) -> Tensor:
    """Continuous actions [..., d] from parameters [..., 2 d] and uniforms [..., d]."""
    mean, spread = _normal(policy)
    return mean + spread.exp() * normal(noise).to(policy.dtype)


def log_p(policy: Tensor, action: Tensor) -> Tensor:
    """[...]: the logarithm of an action's probability (density, where it is continuous)."""
    if not action.is_floating_point():
        return torch.log_softmax(policy, dim=-1).gather(-1, action[..., None])[..., 0]
    mean, spread = _normal(policy)
    return (-0.5 * ((action - mean) / spread.exp()).square() - spread - 0.5 * log(2 * pi)).sum(dim=-1)


def entropy(policy: Tensor, action: Tensor) -> Tensor:
    """[...] in nats, of the kind of policy that `action` is drawn from."""
    if not action.is_floating_point():
        found = torch.log_softmax(policy, dim=-1)
        return -(found.exp() * found).sum(dim=-1)
    return (_normal(policy)[1] + 0.5 * log(2 * pi) + 0.5).sum(dim=-1)


def _normal(policy: Tensor) -> tuple[Tensor, Tensor]:
    mean, spread = policy.chunk(2, dim=-1)
    return mean, spread.clamp(LOW, HIGH)
