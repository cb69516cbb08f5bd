"""What `read` costs for a large network: seconds, calls of the step and memory at its peak.

A network inputs-100-1 in float64 whose rate descends its held-out loss, 32 examples. One thread:
`OMP_NUM_THREADS=1 python scripts/bench_read.py NUMBERS tape|differences`.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

from sandbox.measure.reading import read

HIDDEN, EXAMPLES = 100, 32


def learner(numbers: int) -> tuple[Any, dict[str, Any]]:
    """A step and its state of about so many numbers."""
    torch.manual_seed(0)
    inputs = numbers // HIDDEN - 2
    net = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)).double()
    x, y = torch.randn(2, EXAMPLES, inputs).double(), torch.randn(2, EXAMPLES, 1).double()

    def loss(weights: dict[str, Tensor], split: int) -> Tensor:
        return (torch.func.functional_call(net, weights, (x[split],)) - y[split]).square().mean()

    def step(state: dict[str, Any]) -> dict[str, Any]:
        weights, rate = dict(state["net"].named_parameters()), state["rate"]
        slopes = torch.autograd.grad(loss(weights, 0), list(weights.values()), create_graph=True)
        after = {name: w - rate * g for (name, w), g in zip(weights.items(), slopes, strict=True)}
        (pull,) = torch.autograd.grad(loss(after, 1), rate, create_graph=True)
        return {"net": after, "rate": rate - 0.01 * pull}

    return step, {"net": net, "rate": torch.tensor(0.05).double().requires_grad_()}


def megabytes() -> float:
    """Of memory held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(numbers: int, method: Any) -> None:
    """Measure it."""
    step, state = learner(numbers)
    for _ in range(3):
        step(state)
    begun = time.perf_counter()
    step(state)
    alone, before, begun = time.perf_counter() - begun, megabytes(), time.perf_counter()
    found = read(step, state, outer="rate", method=method)
    print(found)
    print(f"{found.n} numbers: {time.perf_counter() - begun:.1f} s, {found.calls} calls, {megabytes() - before:.0f} MB "
          f"more than before; one step {1e3 * alone:.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main(int(float(sys.argv[1])), sys.argv[2])
