"""What an instrument costs, as a multiple of the system's own step.

A network learns by SGD at per-weight rates that descend its held-out loss (online hypergradient): n numbers, half of
them rates. One step and the instruments take turns, so that a busy machine slows all alike; float64, one thread. Run as
`OMP_NUM_THREADS=1 python scripts/bench_instruments.py [rounds]`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor

from sandbox.measure.coupling import exact_coupling, probed_coupling
from sandbox.measure.cut import loop_cut
from sandbox.measure.derivative import jacobian, vector_jacobian
from sandbox.measure.integrability import integrability
from sandbox.measure.modes import merge_index
from sandbox.measure.system import System, declare

INPUTS, EXAMPLES, BETA = 28, 64, 0.1
SIZES = (60, 600, 6000)


def learner(n: int) -> System:
    """n / 2 weights of a network INPUTS-h-1 and as many log rates."""
    hidden = n // 2 // (INPUTS + 2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, EXAMPLES, INPUTS, generator=generator, dtype=torch.float64)
    y = x[..., 0].sin()
    w = 0.3 * torch.randn(hidden * (INPUTS + 2), generator=generator, dtype=torch.float64)

    def loss(w: Tensor, split: int) -> Tensor:
        first, bias, last = w.split([INPUTS * hidden, hidden, hidden])
        return (torch.tanh(x[split] @ first.reshape(INPUTS, hidden) + bias) @ last - y[split]).square().mean()

    def step(state: dict[str, Tensor]) -> dict[str, Tensor]:
        rate, w = state["rate"], state["w"]
        (slope,) = torch.autograd.grad(loss(w, 0), w, create_graph=True)
        after = w - rate.exp() * slope
        (pull,) = torch.autograd.grad(loss(after, 1), rate, create_graph=True)
        return {"rate": rate - BETA * pull, "w": after}

    state = {"rate": torch.full_like(w, -2).requires_grad_(), "w": w.requires_grad_()}
    return declare(step, state, outer="rate")


def by_probes(system: System) -> None:
    """M from 32 probes a block, without its null."""
    product = vector_jacobian(system)
    assert product is not None
    noise = torch.randn(32, 1, system.n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    probed_coupling(product, system.outer, noise, torch.zeros(0, system.n))


def ways(system: System) -> dict[str, Callable[[], object]]:
    """One step first, then each instrument with all that it needs; what needs the whole Jacobian up to n = 600."""
    found: dict[str, Callable[[], object]] = {
        "one step": lambda: system.lived(system.flat),
        "M, 32 probes": lambda: by_probes(system),
        "LCD_20": lambda: loop_cut(system.lived, system.flat, system.outer, 20),
    }
    if system.n <= 600:
        j = jacobian(system, "tape").numpy()
        found |= {
            "Jacobian": lambda: jacobian(system, "tape"),
            "M with null, of J": lambda: exact_coupling(j, system.outer),
            "MI, of J": lambda: merge_index(j, system.outer),
            "eigenvalues of J": lambda: np.linalg.eig(j),
            "IOG, of J": lambda: integrability(j),
        }
    return found


def main(rounds: int) -> None:
    """Prints milliseconds and multiples of a step: medians over rounds of ratios within a round."""
    torch.set_num_threads(1)
    print(f"{'n':>5}  {'':20}{'ms':>10}{'x step':>10}   medians of {rounds} rounds")
    for n in SIZES:
        each = ways(learner(n))
        seconds: dict[str, list[float]] = {name: [] for name in each}
        for turn in range(rounds + 1):
            for name in [*each][turn % len(each) :] + [*each][: turn % len(each)]:
                began = time.perf_counter()
                each[name]()
                if turn:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
        for name, times in seconds.items():
            ratio = median(mine / step for mine, step in zip(times, seconds["one step"], strict=True))
            print(f"{n:5}  {name:20}{1000 * median(times):10.2f}{ratio:10.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
