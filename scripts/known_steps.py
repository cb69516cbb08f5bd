"""Steps whose M is known, in closed form or from a formula of their own, each read by `read` as a stranger writes it.

`python -m scripts.known_table` writes the table of docs/instruments.md anew. A row's formula is a function of one flat
float64 state; its Jacobian is taken by `torch.autograd.functional.jacobian` and M is written out here, so that nothing
of `sandbox.measure` goes into what is expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sandbox.measure.reading import Reading, read


@dataclass(frozen=True, eq=False)
class Known:
    """A step as it is handed to `read`, and the same as `formula` of a flat state `at` [n] whose first `first`
    coordinates are outer; or M itself. `told`: a word that the reading has to say, since M can't say it."""

    name: str
    sides: str
    step: Callable[[Any], Any]
    state: Any
    outer: Any
    formula: Callable[[Tensor], Tensor] | float
    at: Tensor = field(default_factory=lambda: torch.zeros(0))
    first: int = 0
    told: str = ""

    @property
    def m(self) -> float:
        if isinstance(self.formula, float):
            return self.formula
        jacobian = torch.autograd.functional.jacobian(self.formula, self.at.double())
        return merged(jacobian - torch.eye(len(self.at)), self.first)  # type: ignore[operator]

    def read(self) -> Reading:
        return read(self.step, self.state, outer=self.outer, partitions=2)


def merged(k: Tensor, first: int) -> float:
    """M of K [n, n] whose first coordinates are outer, written out."""
    o, i = slice(0, first), slice(first, len(k))
    a, b, c, e = (float(k[rows, columns].norm()) for rows in (o, i) for columns in (o, i))
    return b * c / (b * c + a * e) if b * c + a * e > 0 else 0.0


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers that are the same in every precision from bfloat16 up."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 97 * len(shape))).bfloat16().double()


X, Y = draw(24, 3), draw(24, seed=1)
HELD, GOAL = draw(24, 3, seed=2), draw(24, seed=3)
W = 0.5 * draw(3, seed=4)


def slope(w: Tensor, x: Tensor = X, y: Tensor = Y) -> Tensor:
    """Of the mean square of x w - y."""
    return 2 * x.T @ (x @ w - y) / len(x)


def cost(w: Tensor, x: Tensor = HELD, y: Tensor = GOAL) -> Tensor:
    """The mean square of x w - y on the held-out examples."""
    return (x @ w - y).square().mean()


# ---- learned rates: one formula, written in many ways --------------------------------------------------------------


def hyper(z: Tensor) -> Tensor:
    """z = (rate, weights): the rate descends the held-out cost of the next weights."""
    after = z[1:] - z[0] * slope(z[1:])
    return torch.cat([(z[0] + 0.1 * slope(after, HELD, GOAL) @ slope(z[1:]))[None], after])


def functional(dtype: torch.dtype) -> Callable[[Any], Any]:
    """The same by autograd, in a dtype."""
    x, y, held, goal = (part.to(dtype) for part in (X, Y, HELD, GOAL))

    def step(s: Any) -> Any:
        rate, w = s["rate"], s["w"]
        (g,) = torch.autograd.grad((x @ w - y).square().mean(), w, create_graph=True)
        after = w - rate * g
        (pull,) = torch.autograd.grad((held @ after - goal).square().mean(), rate, create_graph=True)
        return {"rate": rate - 0.1 * pull, "w": after}

    return step


def in_place(s: Any) -> None:
    """The same in place, with the rate as a number, in the dtype of the weights; a float counter beside it."""
    w = s["w"]
    x, y, held, goal = (part.to(w.dtype) for part in (X, Y, HELD, GOAL))
    with torch.no_grad():
        g = slope(w, x, y)
        w -= float(s["rate"]) * g
        s["rate"] = s["rate"] + 0.1 * (slope(w, held, goal) @ g).item()
        s["count"] += 1


def in_numpy(s: Any) -> Any:
    """The same in NumPy."""
    w, (x, y, held, goal) = s["w"], (part.numpy() for part in (X, Y, HELD, GOAL))
    g = 2 * x.T @ (x @ w - y) / len(x)
    after = w - s["rate"] * g
    return {"rate": s["rate"] + 0.1 * (2 * held.T @ (held @ after - goal) / len(held)) @ g, "w": after}


def cut(s: Any) -> Any:
    """A tape that has neither the rate in the weights nor the cost in the rate."""
    after = s["w"] - s["rate"].detach() * slope(s["w"])
    return {"rate": s["rate"] - 0.1 * cost(after).item(), "w": after, "count": s["count"] + 1}


def cut_formula(z: Tensor) -> Tensor:
    """What that step computes: z = (rate, weights)."""
    after = z[1:] - z[0] * slope(z[1:])
    return torch.cat([(z[0] - 0.1 * cost(after))[None], after])


def start(dtype: torch.dtype, *, grad: bool = False) -> dict[str, Tensor]:
    """A rate and weights in a dtype."""
    return {"rate": torch.tensor(0.05, dtype=dtype).requires_grad_(grad), "w": W.to(dtype).clone().requires_grad_(grad)}


def rounded(dtype: torch.dtype) -> Tensor:
    """[4]: the same numbers in float64."""
    return torch.cat([torch.tensor([0.05], dtype=dtype).double(), W.to(dtype).double()])


COUNT = {"count": torch.tensor(5.0)}
FLAT = rounded(torch.float64)
LEARNED_RATES = [
    Known("learned rate, functional, float64", "rate / weights", functional(torch.float64),
          start(torch.float64, grad=True), "rate", hyper, FLAT, 1),
    Known("learned rate, functional, float32", "rate / weights", functional(torch.float32),
          start(torch.float32, grad=True), "rate", hyper, rounded(torch.float32), 1),
    Known("learned rate, functional, bfloat16", "rate / weights", functional(torch.bfloat16),
          start(torch.bfloat16, grad=True), "rate", hyper, rounded(torch.bfloat16), 1),
    Known("learned rate, in place, float32", "rate / weights", in_place, start(torch.float32) | COUNT,
          ("rate", "count"), lambda z: torch.cat([(z[0] + 1)[None], hyper(z[1:])]),
          torch.cat([torch.tensor([5.0]), rounded(torch.float32)]), 2),
    Known("learned rate as a Python number, float32 weights", "rate / weights", in_place,
          {"rate": 0.05, "w": W.float(), "count": 5}, ("rate", "count"), hyper,
          torch.cat([torch.tensor([0.05]).double(), W.float().double()]), 1),
    Known("learned rate, NumPy", "rate / weights", in_numpy, {"rate": 0.05, "w": W.numpy()}, "rate", hyper, FLAT, 1),
    Known("cut tape, float32 counter", "rate / weights", cut, start(torch.float64) | COUNT, ("rate", "count"),
          lambda z: torch.cat([(z[0] + 1)[None], cut_formula(z[1:])]), torch.cat([torch.tensor([5.0]), FLAT]), 2),
    Known("frozen rule", "rate / weights", lambda s: {**s, "w": s["w"] - s["rate"] * slope(s["w"])},
          start(torch.float64), "rate", 0.0),
    Known("inner reset", "rate / weights",
          lambda s: {"rate": s["rate"] - 0.1 * cost(s["rate"] * W), "w": s["rate"] * W}, start(torch.float64),
          "rate", 0.0),
]  # fmt: skip

# ---- games and linear steps ----------------------------------------------------------------------------------------

G, D = 0.5 * draw(4, seed=5), 0.5 * draw(6, seed=6)
REAL, LATENT = draw(16, 2, seed=7), draw(16, 2, seed=8)


def gan_cost(g: Tensor, d: Tensor) -> Tensor:
    """A linear generator against a quadratic critic, by the logistic loss."""
    critic = lambda x: x @ d[:2] + x.square() @ d[2:4] + x.prod(dim=1) * d[4] + d[5]  # noqa: E731
    fake = LATENT @ g.reshape(2, 2)
    return nn.functional.softplus(-critic(REAL)).mean() + nn.functional.softplus(critic(fake)).mean()


def gan(s: Any) -> Any:
    """Both players' gradients at once, in place."""
    g, d = s["generator"].detach().requires_grad_(), s["critic"].detach().requires_grad_()
    up, down = torch.autograd.grad(gan_cost(g, d), (g, d))
    with torch.no_grad():
        s["generator"] += 0.2 * up
        s["critic"] -= 0.5 * down


def gan_formula(z: Tensor) -> Tensor:
    """z = (generator, critic)."""
    up = torch.func.grad(gan_cost)(z[:4], z[4:])
    down = torch.func.grad(gan_cost, argnums=1)(z[:4], z[4:])
    return torch.cat([z[:4] + 0.2 * up, z[4:] - 0.5 * down])


DENSE = draw(12, 12, seed=9)
GAMES = [
    Known("bilinear game", "x / y", lambda s: {"x": s["x"] - 0.1 * s["y"], "y": s["y"] + 0.1 * s["x"]},
          {"x": W.clone(), "y": W + 1}, "x", 1.0),
    Known("GAN, simultaneous gradients", "generator / critic", gan, {"generator": G, "critic": D}, "generator",
          gan_formula, torch.cat([G, D]), 4),
    Known("swap", "half / half", lambda z: z + z.roll(6), draw(12), slice(0, 6), 1.0),
    Known("dense", "4 / 8", lambda z: z + DENSE @ z, draw(12), slice(0, 4), lambda z: z + DENSE @ z, draw(12), 4),
]  # fmt: skip
