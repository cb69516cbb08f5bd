"""Three systems that the instruments were not written for: a plain training loop, a loop with `higher`, a bandit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import higher
import numpy as np
import torch
from torch import nn

STEPS = 3


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def data(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    return x, x.square().sum(dim=1, keepdim=True)


def plain_loop(state: dict[str, Any]) -> None:
    """Full-batch SGD that changes the network in place, at a rate that is part of the state."""
    x, y = data()
    optimizer = torch.optim.SGD(state["network"].parameters(), lr=float(state["lr"]))
    for _ in range(STEPS):
        optimizer.zero_grad()
        (state["network"](x) - y).square().mean().backward()
        optimizer.step()


def higher_loop(beta: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The same inner steps with `higher`, and a rate that descends the loss after them by `beta`."""

    def step(state: dict[str, Any]) -> dict[str, Any]:
        x, y = data()
        held_out, goal = data(1)
        lr, net = state["lr"], state["network"]
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with higher.innerloop_ctx(net, optimizer, copy_initial_weights=False, override={"lr": [lr]}) as (fast, inner):
            for _ in range(STEPS):
                inner.step((fast(x) - y).square().mean())
            loss = (fast(held_out) - goal).square().mean()
            (slope,) = torch.autograd.grad(loss, lr, create_graph=True)
            return {"network": fast, "lr": lr - beta * slope}

    return step


def bandit(state: dict[str, Any]) -> dict[str, Any]:
    """Two arms, REINFORCE in NumPy with a moving baseline; the step size follows how well it has gone lately."""
    rng = np.random.default_rng(0)
    logits, baseline, rate = state["logits"].copy(), float(state["baseline"]), float(state["rate"])
    for _ in range(10):
        chances = np.exp(logits) / np.exp(logits).sum()
        reward = chances @ np.array([0.2, 0.8]) + 0.1 * rng.standard_normal()
        logits += rate * (reward - baseline) * (np.eye(2)[1] - chances)
        baseline += 0.1 * (reward - baseline)
    return {"logits": logits, "baseline": baseline, "rate": rate + 0.05 * (baseline - 0.5)}
