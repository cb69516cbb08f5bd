"""How long one meta-gradient takes: MAML on sinusoids under both engines and in a loop written by hand with `higher`.

25 tasks of 10 + 10 points, 5 inner steps, a network 1-40-40-1, float32, one thread. The three take turns, so that a
busy machine slows all alike. Run as `python scripts/bench_meta_gradient.py [rounds]`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import higher
import torch
from torch import Tensor

from sandbox.core.adjoint import FULL
from sandbox.core.protocols import Engine, Split, World
from sandbox.core.state import State
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.engine.lane import noise_for
from sandbox.loop.reflect import Loop
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.rule.sgd import SGD
from sandbox.task.sinusoid import Sinusoid

TASKS, STEPS, LR = 25, 5, 0.001
MODEL = Module(lambda: MLP(1, 1, (40, 40), "relu", "he"))
WORLD = World(Sinusoid(shots=10), MODEL, SGD(lr=LR), TASKS)


def by_engine(engine: Engine, state: State) -> list[Tensor]:
    """The meta-gradient as the reflective loop takes it: weights born, lived, scored, differentiated."""
    init = {name: weight.detach().clone().requires_grad_() for name, weight in state.init.items()}
    born = engine.born(WORLD, replace(state, init=init))
    lived, _ = engine.unroll(WORLD, born, STEPS, "life", FULL)
    process = engine.scores(WORLD, lived, "practice", "life").mean()
    return [grad[0] for grad in torch.autograd.grad(process, list(init.values()))]


def by_hand(state: State, train: list[dict[str, Tensor]], practice: dict[str, Tensor]) -> list[Tensor]:
    """The loop of the library's own examples, on data drawn beforehand."""
    network = MODEL.template
    network.load_state_dict({name: weight[0] for name, weight in state.init.items()})
    network.zero_grad()
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)
    for n in range(TASKS):
        with higher.innerloop_ctx(network, optimizer, copy_initial_weights=False) as (fast, differentiable):
            for batch in train:
                differentiable.step((fast(batch["x"][n]) - batch["y"][n]).square().mean())
            ((fast(practice["x"][n]) - practice["y"][n]).square().mean() / TASKS).backward()
    return [weight.grad for weight in network.parameters() if weight.grad is not None]


def data(state: State, split: Split, t: int) -> dict[str, Tensor]:
    """{"x", "y"} [tasks, n, 1] of a split at inner step t."""
    sample = torch.func.vmap(lambda task, noise: WORLD.task.sample(task, torch.neg, noise, split))  # asks no policy
    return dict(sample(state.task, noise_for(WORLD, replace(state, t=t), "life", split)))


def main(rounds: int) -> None:
    """Prints milliseconds, how many times faster than by hand (median of the ratios within a round), and the largest
    difference between the meta-gradients."""
    torch.set_num_threads(1)
    state = Loop(WORLD, Functional(), ()).start([0]).state
    train, practice = [data(state, "train", t) for t in range(STEPS)], data(state, "practice", STEPS)
    ways: dict[str, Callable[[], list[Tensor]]] = {
        "functional": lambda: by_engine(Functional(), state),
        "higher": lambda: by_engine(Higher(), state),
        "a loop by hand": lambda: by_hand(state, train, practice),
    }
    found = {name: way() for name, way in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in [*ways][turn % 3 :] + [*ways][: turn % 3]:
            began = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
    print(f"{'':16}{'ms':>8}{'x by hand':>11}{'apart':>10}   medians of {rounds} rounds")
    for name, each in seconds.items():
        ratio = median(hand / mine for hand, mine in zip(seconds["a loop by hand"], each, strict=True))
        pairs = zip(found[name], found["a loop by hand"], strict=True)
        apart = max(float((a - b).abs().max()) for a, b in pairs)
        print(f"{name:16}{1000 * median(each):8.1f}{ratio:11.1f}{apart:10.0e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
