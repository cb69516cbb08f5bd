"""Runs a preset on the CPU and, where there is one, on a CUDA device, and compares: repeatable, and equal to rounding.

python scripts/devices.py [preset=reflective] [KEY=VALUE…]
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not repeatable

import torch

from sandbox.compose import composed
from sandbox.core.record import Record
from sandbox.experiment import build_loop, seeds_of

STEPS = 5


def run(overrides: list[str], device: str) -> tuple[Record, float]:
    """The last record of a short run, and the seconds that it took."""
    config = composed([*overrides, f"device={device}", "meter=[]", f"steps={STEPS}"])
    began = time.perf_counter()
    last = list(build_loop(config).run(seeds_of(config), STEPS))[-1]
    return last, time.perf_counter() - began


def main() -> int:
    """0 if all that could be compared agrees."""
    overrides = sys.argv[1:] or ["preset=reflective"]
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cpu, seconds = run(overrides, "cpu")
    again, _ = run(overrides, "cpu")
    alike = cpu.digest == again.digest
    print(f"cpu: {seconds:.1f} s, {'repeatable in every bit' if alike else 'NOT REPEATABLE'}")
    if not torch.cuda.is_available():
        print("cuda: there is none here, so nothing was compared")
        return int(not alike)
    first, seconds = run(overrides, "cuda")
    second, _ = run(overrides, "cuda")
    same = first.digest == second.digest
    print(f"cuda: {seconds:.1f} s, {'repeatable in every bit' if same else 'NOT REPEATABLE'}")
    worst = float(((first.own - cpu.own).abs() / cpu.own.abs()).max())
    print(f"own losses after {STEPS} reflective steps differ by at most {worst:.1e} of their size (float32)")
    return int(not (alike and same and worst < 1e-2))


if __name__ == "__main__":
    sys.exit(main())
