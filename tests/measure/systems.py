"""Small systems with known structure, as steps on a flat float64 state: a toy at every degree of reflection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WEIGHTS = 6  # the inner state of the regression toy
RATES = 7  # its outer state: a log learning rate per weight, and a log weight decay


@dataclass(frozen=True, eq=False)
class Toy:
    """A step, the state at which it is looked at, how many of its first coordinates are outer, and its modules."""

    step: Callable[[Tensor], Tensor]
    state: Tensor
    outer: int
    modules: dict[str, list[int]]

    @property
    def jacobian(self) -> NDArray[np.float64]:
        return torch.func.jacrev(self.step)(self.state).numpy()

    @property
    def indices(self) -> list[int]:
        return list(range(self.outer))


def coupling(jacobian: NDArray[np.float64], outer: list[int]) -> float:
    """M, written out."""
    n = len(jacobian)
    o, i = outer, [index for index in range(n) if index not in outer]
    k = jacobian - np.eye(n)
    a, b, c, e = (np.linalg.norm(k[np.ix_(rows, columns)]) for rows in (o, i) for columns in (o, i))
    return float(b * c / (b * c + a * e)) if b * c + a * e > 0 else 0.0


def _regression(seed: int) -> tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor], Tensor]:
    """One inner step (theta, phi) -> phi', the validation loss of phi, and a state (theta, phi)."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    x, held_out, truth = draw(20, WEIGHTS), draw(20, WEIGHTS), draw(WEIGHTS)
    y, goal = x @ truth + 0.5 * draw(20), held_out @ truth + 0.5 * draw(20)

    def learn(theta: Tensor, phi: Tensor) -> Tensor:
        gradient = x.T @ (x @ phi - y) / len(x) + theta[-1].exp() * phi
        return phi - theta[:-1].exp() * gradient

    def loss(phi: Tensor) -> Tensor:
        return (held_out @ phi - goal).square().mean() / 2

    theta = torch.cat([-2 + 0.3 * draw(WEIGHTS), torch.full((1,), -2.0, dtype=torch.float64)])
    return learn, loss, torch.cat([theta, draw(WEIGHTS)])


def _split(state: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
    return torch.split(state, list(sizes))


def _toy(step: Callable[[Tensor], Tensor], state: Tensor, outer: int) -> Toy:
    return Toy(step, state, outer, {"outer": list(range(outer)), "inner": list(range(outer, len(state)))})


def plain_training(seed: int = 0) -> Toy:
    """The rule is frozen; the weights learn by it."""
    learn, _, state = _regression(seed)

    def step(z: Tensor) -> Tensor:
        theta, phi = _split(z, (RATES, WEIGHTS))
        return torch.cat([theta, learn(theta, phi)])

    return _toy(step, state, RATES)


def meta_learning(seed: int = 0, inner_steps: int = 5, beta: float = 0.1) -> Toy:
    """The weights start afresh at each outer step, and the rule descends what they reach."""
    learn, loss, state = _regression(seed)

    def run(theta: Tensor) -> Tensor:
        phi = torch.zeros(WEIGHTS, dtype=torch.float64)
        for _ in range(inner_steps):
            phi = learn(theta, phi)
        return phi

    def step(z: Tensor) -> Tensor:
        theta, _ = _split(z, (RATES, WEIGHTS))
        return torch.cat([theta - beta * torch.func.grad(lambda t: loss(run(t)))(theta), run(theta)])

    return _toy(step, state, RATES)


def online_hypergradient(seed: int = 0, beta: float = 0.01) -> Toy:
    """The weights are carried, and at each step the rule descends the loss that the next weights will have."""
    learn, loss, state = _regression(seed)

    def step(z: Tensor) -> Tensor:
        theta, phi = _split(z, (RATES, WEIGHTS))
        gradient = torch.func.grad(lambda t: loss(learn(t, phi)))(theta)
        return torch.cat([theta - beta * gradient, learn(theta, phi)])

    return _toy(step, state, RATES)


def self_updating_network(seed: int = 0, outer: int = 18, rate: float = 0.1) -> Toy:
    """A 4-6-1 network of 36 weights that says how each of its own weights changes, from its value and a fixed code."""
    generator = torch.Generator().manual_seed(seed)
    code = torch.randn(36, 3, generator=generator, dtype=torch.float64)
    state = torch.randn(36, generator=generator, dtype=torch.float64)

    def step(z: Tensor) -> Tensor:
        first, bias, last = _split(z, (24, 6, 6))
        hidden = torch.tanh(torch.cat([z[:, None], code], dim=1) @ first.reshape(4, 6) + bias)
        return z + rate * hidden @ last

    return _toy(step, state, outer)


def srwm(seed: int = 0, steps: int = 1, size: int = 3) -> Toy:
    """A self-referential weight matrix (Irie et al. 2022), with one beta: W x = (k, q, beta, y), and W is rewritten by
    sigmoid(beta) (W softmax(q) - W softmax(k)) softmax(k)ᵀ. After the first step its input is tanh of its last y.

    The rule rows k, q and beta come first, the answer rows y last."""
    generator = torch.Generator().manual_seed(seed)
    rows = 3 * size + 1
    state = torch.randn(rows * size, generator=generator, dtype=torch.float64)
    given = torch.randn(size, generator=generator, dtype=torch.float64)

    def step(z: Tensor) -> Tensor:
        w, x = z.reshape(rows, size), given
        for _ in range(steps):
            k, q, beta, y = _split(w @ x, (size, size, 1, size))
            k, q = k.softmax(0), q.softmax(0)
            w, x = w + torch.sigmoid(beta) * torch.outer(w @ q - w @ k, k), torch.tanh(y)
        return w.reshape(-1)

    ends = np.cumsum([0, size, size, 1, size]) * size
    names = ("k", "q", "beta", "y")
    modules = {name: list(range(a, b)) for name, (a, b) in zip(names, pairwise(ends.tolist()), strict=True)}
    return Toy(step, state, (2 * size + 1) * size, modules)


def dense(seed: int = 0, outer: int = 5, inner: int = 15) -> Toy:
    """A linear step without any structure."""
    generator = torch.Generator().manual_seed(seed)
    n = outer + inner
    k = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return _toy(lambda z: z + k @ z, torch.zeros(n, dtype=torch.float64), outer)


def swap(size: int = 4) -> Toy:
    """Each side's update is the other side."""
    state = torch.linspace(-1, 1, 2 * size, dtype=torch.float64)
    return _toy(lambda z: z + z.roll(size), state, size)
