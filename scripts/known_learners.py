"""More steps of known M: torch's optimizers with their own state, networks with statistics and teachers, agents that
draw or choose, and steps with jumps."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scripts.known_steps import FLAT, GOAL, HELD, Known, W, X, Y, cost, draw, hyper, slope, start

# ---- torch.optim, with state_dict() in the state -------------------------------------------------------------------


def optimized(make: Callable[[Any], torch.optim.Optimizer], dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """A linear network under one of torch's optimizers, whose rate shrinks by its held-out cost."""
    x, y, held, goal = (part.to(dtype) for part in (X, Y, HELD, GOAL))

    def step(s: Any) -> Any:
        net, optimizer = s["net"], make(s["net"].parameters())
        optimizer.load_state_dict(s["optimizer"])
        optimizer.zero_grad()
        (net(x).squeeze(1) - y).square().mean().backward()
        optimizer.step()
        after = optimizer.state_dict()
        with torch.no_grad():
            after["param_groups"][0]["lr"] *= 1 - 0.05 * (net(held).squeeze(1) - goal).square().mean().item()
        return {"net": net, "optimizer": after}

    net = nn.Linear(3, 1, bias=False).to(dtype)
    with torch.no_grad():
        net.weight.copy_(W)
    optimizer = make(net.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        (net(x).squeeze(1) - y).square().mean().backward()
        optimizer.step()
    return step, {"net": net, "optimizer": deepcopy(optimizer.state_dict())}


def numbers(state: Any, kept: tuple[str, ...], options: tuple[str, ...]) -> Tensor:
    """[n]: rate, weights, what the optimizer keeps, and its options that are no whole numbers."""
    group, memory = state["optimizer"]["param_groups"][0], state["optimizer"]["state"][0]
    parts = [group["lr"], state["net"].weight, *(memory[key] for key in kept), *(group[key] for key in options)]
    return torch.cat([torch.as_tensor(part, dtype=torch.float64).detach().reshape(-1) for part in parts])


def slowed(rate: Tensor, w: Tensor) -> Tensor:
    """[1]: the rate after a step that ends at weights w."""
    return (rate * (1 - 0.05 * cost(w)))[None]


def adam(z: Tensor) -> Tensor:
    """z = (rate, w, t, m, v, beta_1, beta_2, epsilon[, decay]), Kingma and Ba 2015; decoupled decay as in AdamW."""
    rate, w, t, m, v = z[0], z[1:4], z[4] + 1, z[5:8], z[8:11]
    (one, two), epsilon = z[11:13], z[13]
    g = slope(w)
    w = w - rate * z[14] * w if len(z) > 14 else w
    m, v = one * m + (1 - one) * g, two * v + (1 - two) * g**2
    w = w - rate * (m / (1 - one**t)) / ((v / (1 - two**t)).sqrt() + epsilon)
    return torch.cat([slowed(rate, w), w, t[None], m, v, z[11:]])


def rmsprop(z: Tensor) -> Tensor:
    """z = (rate, w, t, v, alpha, epsilon)."""
    rate, w, t, v, alpha, epsilon = z[0], z[1:4], z[4] + 1, z[5:8], z[8], z[9]
    v = alpha * v + (1 - alpha) * slope(w) ** 2
    w = w - rate * slope(w) / (v.sqrt() + epsilon)
    return torch.cat([slowed(rate, w), w, t[None], v, z[8:]])


def momentum(z: Tensor) -> Tensor:
    """z = (rate, w, velocity, momentum)."""
    velocity = z[7] * z[4:7] + slope(z[1:4])
    w = z[1:4] - z[0] * velocity
    return torch.cat([slowed(z[0], w), w, velocity, z[7:]])


def torch_optimizers() -> list[Known]:
    """Each in float64 and float32."""
    rate, adams = "optimizer/param_groups/0/lr", ("step", "exp_avg", "exp_avg_sq")
    made = {
        "Adam": (lambda p: torch.optim.Adam(p, lr=0.05), adam, adams, ("betas", "eps")),
        "AdamW": (lambda p: torch.optim.AdamW(p, lr=0.05), adam, adams, ("betas", "eps", "weight_decay")),
        "RMSprop": (lambda p: torch.optim.RMSprop(p, lr=0.05), rmsprop, ("step", "square_avg"), ("alpha", "eps")),
        "SGD, momentum": (lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), momentum, ("momentum_buffer",),
                          ("momentum",)),
    }  # fmt: skip
    known: list[Known] = []
    for name, (make, formula, kept, options) in made.items():
        for dtype, word in ((torch.float64, "float64"), (torch.float32, "float32")):
            step, state = optimized(make, dtype)
            known.append(Known(f"torch.optim {name}, {word}", "its rate / the rest", step, state, rate, formula,
                               numbers(state, kept, options), 1))  # fmt: skip
    return known


# ---- networks ------------------------------------------------------------------------------------------------------


def normalised(s: Any) -> None:
    """Weights learn by the running statistics, which follow what the first layer gives."""
    net = s["net"].eval()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.is_floating_point()], lr=0.1)
    (net(X.to(net[0].weight.dtype)).squeeze(1) - Y.to(net[0].weight.dtype)).square().mean().backward()
    optimizer.step()
    with torch.no_grad():
        net.train()(X.to(net[0].weight.dtype))


def normalised_formula(z: Tensor) -> Tensor:
    """z = (mean, variance, A [2, 3], a [2], scale [2], shift [2], c [2], d)."""

    def loss(weights: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        hidden = X @ weights[:6].reshape(2, 3).T + weights[6:8]
        hidden = (hidden - mean) / (variance + 1e-5).sqrt() * weights[8:10] + weights[10:12]
        return (hidden @ weights[12:14] + weights[14] - Y).square().mean()

    mean, variance, weights = z[:2], z[2:4], z[4:]
    weights = weights - 0.1 * torch.func.grad(loss)(weights, mean, variance)
    hidden = X @ weights[:6].reshape(2, 3).T + weights[6:8]
    return torch.cat([0.9 * mean + 0.1 * hidden.mean(0), 0.9 * variance + 0.1 * hidden.var(0), weights])


def network(dtype: torch.dtype) -> nn.Sequential:
    """Two layers with a batch normalisation between them."""
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)).to(dtype)
    with torch.no_grad():
        for seed, parameter in enumerate(net.parameters()):
            parameter.copy_(0.5 + 0.3 * draw(parameter.numel(), seed=seed).reshape(parameter.shape))
    return net


def network_numbers(net: nn.Sequential) -> Tensor:
    """[19]: its statistics, then its weights."""
    parts = [net[1].running_mean, net[1].running_var, *net.parameters()]
    return torch.cat([part.detach().double().reshape(-1) for part in parts])


def taught(s: Any) -> None:
    """A student of its data and of its own moving mean, in place."""
    student, teacher = s["student"], s["teacher"]
    x, y = X.to(student.weight.dtype), Y.to(student.weight.dtype)
    out = student(x).squeeze(1)
    ((out - y).square().mean() + 0.5 * (out - teacher(x).squeeze(1).detach()).square().mean()).backward()
    with torch.no_grad():
        student.weight -= 0.1 * student.weight.grad
        teacher.weight.lerp_(student.weight, 0.1)


def taught_formula(z: Tensor) -> Tensor:
    """z = (teacher, student)."""
    teacher, w = z[:3], z[3:]
    w = w - 0.1 * (slope(w) + 0.5 * slope(w, X, X @ teacher))
    return torch.cat([0.9 * teacher + 0.1 * w, w])


def linear(w: Tensor, dtype: torch.dtype) -> nn.Linear:
    """A network of given weights and nothing else."""
    net = nn.Linear(3, 1, bias=False).to(dtype)
    with torch.no_grad():
        net.weight.copy_(w)
    return net


def networks() -> list[Known]:
    """Each in float64 and float32."""
    known: list[Known] = []
    for dtype, word in ((torch.float64, "float64"), (torch.float32, "float32")):
        net, pair = network(dtype), (linear(W + 1, dtype), linear(W, dtype))
        known.append(Known(f"BatchNorm, {word}", "statistics / weights", normalised, {"net": net},
                           ("net/1.running_mean", "net/1.running_var"), normalised_formula,
                           network_numbers(net), 4))  # fmt: skip
        known.append(Known(f"moving-mean teacher, {word}", "teacher / student", taught,
                           {"teacher": pair[0], "student": pair[1]}, "teacher", taught_formula,
                           torch.cat([net.weight.detach().double().reshape(-1) for net in pair]), 3))  # fmt: skip
    return known


# ---- agents and jumps ----------------------------------------------------------------------------------------------

REWARDS = torch.tensor([0.2, 0.8, 0.5]).double()
LOGITS, VALUES = torch.tensor([0.1, 0.2, 0.15]).double(), torch.tensor([0.3, 0.4, 0.6]).double()


def expected_actor_critic(z: Tensor) -> Tensor:
    """z = (values, logits): both move by their expectation over arms."""
    values, chances = z[:3], z[3:].softmax(0)
    after = values + 0.3 * chances * (REWARDS - values)
    return torch.cat([after, z[3:] + 0.5 * chances * (values - chances @ values)])


def drawn_arm(logits: Tensor) -> Tensor:
    """As torch.distributions draws."""
    return torch.distributions.Categorical(logits=logits).sample()


def actor_critic(values: Tensor, logits: Tensor, arm: Tensor) -> tuple[Tensor, Tensor]:
    """By the one arm that was drawn."""
    one = torch.nn.functional.one_hot(arm, 3).double()
    after = values + 0.3 * one * (REWARDS - values)
    return after, logits + 0.5 * (values[arm] - logits.softmax(0) @ values) * (one - logits.softmax(0))


def sampled(s: Any) -> Any:
    """One arm is drawn from the logits."""
    values, logits = actor_critic(s["values"], s["logits"], drawn_arm(s["logits"]))
    return {"values": values, "logits": logits}


def sampled_formula(z: Tensor) -> Tensor:
    """z = (values, logits), by the arm that seed 0 draws at the state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arm = drawn_arm(LOGITS)
    return torch.cat(actor_critic(z[:3], z[3:], arm))


def bandit(s: Any) -> Any:
    """NumPy, with noise of its own; the rate follows how it goes."""
    noise = np.random.default_rng(0).standard_normal()
    chances = np.exp(s["logits"]) / np.exp(s["logits"]).sum()
    reward = chances @ REWARDS.numpy() + 0.1 * noise
    logits = s["logits"] + s["rate"] * reward * chances * (REWARDS.numpy() - chances @ REWARDS.numpy())
    return {"logits": logits, "rate": s["rate"] + 0.05 * (reward - 0.5)}


def bandit_formula(z: Tensor) -> Tensor:
    """z = (rate, logits)."""
    chances, noise = z[1:].softmax(0), float(np.random.default_rng(0).standard_normal())
    reward = chances @ REWARDS + 0.1 * noise
    logits = z[1:] + z[0] * reward * chances * (REWARDS - chances @ REWARDS)
    return torch.cat([(z[0] + 0.05 * (reward - 0.5))[None], logits])


def greedy(s: Any) -> Any:
    """The arm of the largest value is pulled, and the rate follows what came."""
    arm = int(s["values"].argmax())
    values = s["values"].clone()
    values[arm] += s["rate"] * (REWARDS[arm] - values[arm])
    return {"values": values, "rate": s["rate"] * (1 + 0.1 * (REWARDS[arm] - 0.5))}


def minibatch(s: Any) -> Any:
    """Eight examples, drawn anew at each step."""
    rows = torch.randint(24, (8,))
    after = s["w"] - s["rate"] * slope(s["w"], X[rows], Y[rows])
    return {"rate": s["rate"] - 0.1 * cost(after), "w": after}


def minibatch_formula(z: Tensor) -> Tensor:
    """z = (rate, weights), by the examples that seed 0 draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rows = torch.randint(24, (8,))
    after = z[1:] - z[0] * slope(z[1:], X[rows], Y[rows])
    return torch.cat([(z[0] - 0.1 * cost(after))[None], after])


def rounded_rate(s: Any) -> Any:
    """The weights go by the rate on a grid of hundredths."""
    after = hyper(torch.cat([s["rate"][None], s["w"]]))[0]
    return {"rate": after, "w": s["w"] - (100 * s["rate"]).round() / 100 * slope(s["w"])}


def signs(s: Any) -> Any:
    """The weights go by the signs of their slopes alone."""
    after = s["w"] - s["rate"] * slope(s["w"]).sign()
    return {"rate": s["rate"] - 0.1 * cost(after), "w": after}


def walker(s: Any) -> Any:
    """The rate follows where a position on a ring takes it, and the position goes by the rate."""
    push = (0.0, 1.0, -3.0)[s["position"]]
    return {"rate": s["rate"] + 0.1 * push, "w": 0.9 * s["w"], "position": (s["position"] + 1) % 3}


AGENTS = [
    Known("actor-critic, expected", "values / logits",
          lambda s: dict(zip(s, expected_actor_critic(torch.cat([*s.values()])).split(3), strict=True)),
          {"values": VALUES, "logits": LOGITS}, "values", expected_actor_critic, torch.cat([VALUES, LOGITS]), 3),
    Known("actor-critic, sampled", "values / logits", sampled, {"values": VALUES, "logits": LOGITS}, "values",
          sampled_formula, torch.cat([VALUES, LOGITS]), 3, told="jumps"),
    Known("bandit, NumPy", "rate / logits", bandit, {"rate": 0.3, "logits": LOGITS.numpy()}, "rate", bandit_formula,
          torch.cat([torch.tensor([0.3]).double(), LOGITS]), 1),
    Known("minibatch from the global generator", "rate / weights", minibatch, start(torch.float64), "rate",
          minibatch_formula, FLAT, 1, told="draws random numbers"),
    Known("argmax of its own values", "rate / values", greedy, {"rate": torch.tensor(0.3).double(), "values": LOGITS},
          "rate", 0.0, told="jumps"),
    Known("rounded rate", "rate / weights", rounded_rate, start(torch.float64), "rate", 0.0, told="M is blind"),
    Known("signs of slopes", "rate / weights", signs, start(torch.float64), "rate", 1.0, told="jumps"),
    Known("position on a ring", "rate / weights, position", walker,
          {"rate": torch.tensor(0.0).double(), "w": W, "position": 0}, "rate", 0.0, told="whole numbers"),
]  # fmt: skip
LEARNERS = [*torch_optimizers(), *networks(), *AGENTS]
