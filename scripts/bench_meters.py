"""What a reading of all meters costs, shared and unshared, as multiples of a reflective step of the demo's arms.

Shared: all meters of a step are handed one probe, as in a run. Unshared: each is handed a probe of its own, so that it
takes the step, lives the life and scores the agents by itself. The two take turns, so that a busy machine slows both
alike; processor seconds, 16 seeds, one thread. Run as `python scripts/bench_meters.py [rounds] [arm …]`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch

from sandbox.compose import composed
from sandbox.core.random import untouched
from sandbox.core.watch import Meter
from sandbox.experiment import build_loop, seeds_of
from sandbox.loop.probe import LoopProbe

ALL = "[performance,drift,gap,alignment,merge,teacher,separability,distance,string]"
ARMS = ("own", "process", "fixed")
STEPS = 4  # lived before the readings


def seconds(call: Callable[[], object]) -> float:
    """Of the processor."""
    began = time.process_time()
    with untouched():
        call()
    return time.process_time() - began


def measure(arm: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of a step, of a reading of all meters both ways, and of each meter alone, a round each."""
    config = composed([f"experiment=first_light/{arm}", "seeds=16", "tracker=[]", f"meter={ALL}"])
    watched = build_loop(config)
    loop = replace(watched, meters=())
    first, *_, last = loop.run(seeds_of(config), STEPS)

    def probe() -> LoopProbe:
        return LoopProbe(loop, last.state, first.state, STEPS)

    def read(meters: tuple[Meter, ...]) -> None:
        shared = probe()
        for meter in meters:
            meter.read(shared)

    read(watched.meters)  # the first call of anything is slow
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        found.setdefault("step", []).append(seconds(lambda: loop.reflect(1, last.standing, STEPS + 1, "life")))
        found.setdefault("shared", []).append(seconds(lambda: read(watched.meters)))
        alone = {meter.readings[0].name: seconds(lambda meter=meter: read((meter,))) for meter in watched.meters}
        found.setdefault("unshared", []).append(sum(alone.values()))
        for name, each in alone.items():
            found.setdefault(name, []).append(each)
    return found


def main(rounds: int, arms: tuple[str, ...]) -> None:
    """Prints medians over rounds: seconds, and multiples of a step taken within the round."""
    torch.set_num_threads(1)
    for arm in arms:
        found = measure(arm, rounds)
        print(f"{arm}, medians of {rounds} rounds{'':8}{'s':>8}{'x step':>9}{'x unshared':>12}")
        for name, each in found.items():
            by_step, by_all = (
                median(a / b for a, b in zip(each, found[key], strict=True)) for key in ("step", "unshared")
            )
            print(f"  {name:32}{median(each):8.3f}{by_step:9.1f}{by_all:12.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, tuple(sys.argv[2:]) or ARMS)
