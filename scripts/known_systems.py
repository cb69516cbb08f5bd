"""Small systems of known structure, from a frozen rule to each side rewriting the other, read by every instrument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sandbox.measure.closed_loop import ClosedLoop, closed_loop
from sandbox.measure.oracle import LinearQuadraticString
from sandbox.measure.reading import Reading, read


def string(reflectivity: float, *, outer_rate: float = 0.05, inner_rate: float = 0.5, d: int = 1) -> Any:
    """A linear-quadratic string with h = 0 and a bias of length 1."""
    return LinearQuadraticString(np.zeros(d), np.full(d, d**-0.5), outer_rate, inner_rate, reflectivity)


def regression(rule: str, seed: int, *, beta: float = 0.01) -> Reading:
    """Six weights (inner) learn a regression by seven log rates (outer), which are "frozen", descend the loss that
    five steps from 0 reach ("reset"), or that of the next weights ("online")."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    x, held_out, truth = draw(20, 6), draw(20, 6), draw(6)
    y, goal = x @ truth + 0.5 * draw(20), held_out @ truth + 0.5 * draw(20)

    def learn(rates: Tensor, weights: Tensor) -> Tensor:
        return weights - rates[:6].exp() * (x.T @ (x @ weights - y) / 20 + rates[6].exp() * weights)

    def reached(rates: Tensor, weights: Tensor) -> Tensor:
        weights = torch.zeros_like(weights) if rule == "reset" else weights
        for _ in range(5 if rule == "reset" else 1):
            weights = learn(rates, weights)
        return weights

    def step(state: Any) -> Any:
        rates, weights = state["outer"], state["inner"]
        loss = torch.func.grad(lambda r: (held_out @ reached(r, weights) - goal).square().mean() / 2)
        pace = 0.0 if rule == "frozen" else beta
        return {"outer": rates - pace * loss(rates), "inner": reached(rates, weights)}

    rates = torch.cat([-2 + 0.3 * draw(6), torch.full((1,), -2.0, dtype=torch.float64)])
    return read(step, {"outer": rates, "inner": draw(6)}, outer="outer", cut_steps=1)


def srwm(steps: int, seed: int) -> Reading:
    """A self-referential weight matrix (Irie et al. 2022) with one beta, its rows k, q and beta being the rule; after
    the first step its input is tanh of its last answer y."""
    generator = torch.Generator().manual_seed(seed)
    rows = {"k": 3, "q": 3, "beta": 1, "y": 3}
    state = {name: torch.randn(n, 3, generator=generator, dtype=torch.float64) for name, n in rows.items()}
    given = torch.randn(3, generator=generator, dtype=torch.float64)

    def step(state: Any) -> Any:
        w, x = torch.cat(list(state.values())), given
        for _ in range(steps):
            k, q, beta, y = (w @ x).split(list(rows.values()))
            k, q = k.softmax(0), q.softmax(0)
            w, x = w + beta.sigmoid() * torch.outer(w @ (q - k), k), y.tanh()
        return dict(zip(rows, w.split(list(rows.values())), strict=True))

    return read(step, state, outer=("k", "q", "beta"), cut_steps=1)


def linear(kind: str, seed: int) -> Reading:
    """An update K z: "dense", independent normal entries, or "swap", each side's update being the other side."""
    k = torch.randn(20, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    k = k if kind == "dense" else torch.eye(20, dtype=torch.float64).roll(10, 0)
    size = 5 if kind == "dense" else 10
    return read(lambda z: z + k @ z, torch.zeros(20).double(), outer=slice(0, size), cut_steps=1)


SYSTEMS: dict[str, Callable[[int], Reading]] = {
    "frozen rule": lambda seed: regression("frozen", seed),
    "inner reset": lambda seed: regression("reset", seed),
    "online, β = .0001": lambda seed: regression("online", seed, beta=1e-4),
    "online, β = .1": lambda seed: regression("online", seed, beta=0.1),
    "self-referential, 1 step": lambda seed: srwm(1, seed),
    "self-referential, 4 steps": lambda seed: srwm(4, seed),
    "dense": lambda seed: linear("dense", seed),
    "swap": lambda seed: linear("swap", seed),
}


def editor(reads: str, seeds: int) -> ClosedLoop:
    """Agents that start at 0 and should reach a goal of eight numbers, each its own, in 50 edits by what they read
    ("its error", "noise" or "nothing") and a whim; beside them those that are given another's edits."""
    rng = np.random.default_rng(0)
    goal, (noise, whim) = rng.standard_normal((seeds, 8)), rng.standard_normal((2, 50, seeds, 8))
    own, other, agent, yoked = [], [], np.zeros_like(goal), np.zeros_like(goal)
    for t in range(50):
        trace = {"its error": goal - agent, "noise": noise[t], "nothing": np.zeros_like(goal)}[reads]
        own.append(0.1 * (trace + whim[t]))
        other.append(0.1 * (np.roll(trace, 1, axis=0) + whim[t]))
        agent, yoked = agent + own[t], yoked + np.roll(own[t], 1, axis=0)
    worth = [-np.square(goal - end).mean(axis=1) for end in (agent, yoked)]
    return closed_loop(np.stack(own, axis=1), np.stack(other, axis=1), *worth)
