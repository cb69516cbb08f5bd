"""How long a population of 64 different programs takes to live, beside one life of one program.

Linear regression with outliers (task=noisy_regression), 100 inner steps, float32, one thread, through the engine as the
loop lives candidates: seeds repeated, a program in each. Programs of a population are alike in length: six
instructions of random programs that have a fingerprint and pass the sign test. All ways take turns, so that a busy
machine slows all alike. Run as `python scripts/bench_programs.py [rounds]`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from statistics import median

import torch

from sandbox.core.protocols import World
from sandbox.core.state import State, repeat_seeds
from sandbox.engine.functional import Functional
from sandbox.loop.reflect import Loop
from sandbox.model.linear import Linear
from sandbox.model.module import Module
from sandbox.program.canonical import canonical
from sandbox.program.fingerprint import fingerprint, sign_test
from sandbox.program.moves import UNIFORMS, random_program
from sandbox.program.program import Program as Formula
from sandbox.program.tensor import encode
from sandbox.rule.program import Program
from sandbox.task.noisy_regression import NoisyRegression

POPULATION, LENGTH, STEPS = 64, 6, 100
WORLD = World(NoisyRegression(), Module(lambda: Linear(4, 1)), Program(lr=1e-4))


def programs(signature: str) -> list[Formula]:
    """Different programs of one length."""
    rng, found = Random(0), dict[Formula, None]()
    while len(found) < POPULATION:
        one = canonical(random_program(signature, [rng.random() for _ in range(UNIFORMS)]))
        if len(one.code) == LENGTH and fingerprint(one) and sign_test(one):
            found[one] = None
    return list(found)


def crowd(state: State, kinds: Sequence[str], population: dict[str, list[Formula]]) -> State:
    """A seed for each program of the kinds named; the other kind stays as it is."""
    rows = repeat_seeds(state, POPULATION)
    rule = {name: leaf.clone() for name, leaf in rows.rule.items()}
    for kind in kinds:
        for row, one in enumerate(population[kind]):
            code, constants = encode(one, torch.float32)
            rule[kind][row] = code
            rule["constants"][row, ("loss", "update").index(kind)] = constants
    return replace(rows, rule=rule)


def one_of(state: State, row: int) -> State:
    """The seed of one row alone."""
    keep = torch.arange(state.seeds) == row
    trees = {slot: {name: leaf[keep] for name, leaf in getattr(state, slot).items()}
             for slot in ("init", "params", "slots", "rule", "task")}  # fmt: skip
    return replace(state, seed=state.seed[keep], **trees)


def main(rounds: int) -> None:
    """Prints milliseconds a life of 100 steps, and the median over rounds of the ratio to one life of one program."""
    torch.set_num_threads(1)
    state = Loop(WORLD, Functional(), (), check=False).start([0]).state
    population = {"loss": programs("loss amounts"), "update": programs("update")}
    crowds = {"64 losses": crowd(state, ["loss"], population), "64 updates": crowd(state, ["update"], population),
              "64 of both": crowd(state, ["loss", "update"], population),
              "64 times one": crowd(state, [], population)}  # fmt: skip
    rng = Random(1)

    def live(begun: State) -> Callable[[], object]:
        return lambda: Functional().unroll(WORLD, begun, STEPS, "life", None)

    ways = {name: live(begun) for name, begun in crowds.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            alone = live(one_of(crowds[name], rng.randrange(POPULATION)))
            took = [_seconds(each) for each in (alone, way, alone)]
            seconds[name].append(took[1])
            ratios[name].append(2 * took[1] / (took[0] + took[2]))
    print(f"{'':14}{'ms':>8}{'lives of one':>14}   medians of {rounds} rounds")
    for name in ways:
        print(f"{name:14}{1000 * median(seconds[name]):8.1f}{median(ratios[name]):14.1f}")


def _seconds(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
