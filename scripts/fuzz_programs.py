"""What the rule language makes of nonsense: random bytes, mutated texts and tensors, random programs lived.

Parser and validator must answer each of a million cases with a `ProgramError` or with a valid program that survives
being written and read. Then random valid programs are installed in lives, before a gate and without one: no crash, no
state that is not finite, and the seeds beside them live on bit for bit as without them. Prints counts and exits with 1
where anything else was met. Run as `python -m scripts.fuzz_programs [cases] [programs]`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.needs import Needs, Seen
from sandbox.core.protocols import Gate, Level, MetaLearner, Params, World
from sandbox.core.record import Verdict
from sandbox.core.state import State, digest, finite_seeds
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.gate.better import Better
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.none import Nothing
from sandbox.model.linear import Linear
from sandbox.model.module import Module
from sandbox.program.language import BY_SIGNATURE, INSTRUCTIONS, OPERATORS, SIGNATURES, Kind, Signature, kind_of
from sandbox.program.library import library
from sandbox.program.moves import UNIFORMS, random_program
from sandbox.program.program import (
    CONSTANT,
    INPUT,
    RESULT,
    Instruction,
    Program,
    ProgramError,
    checked,
    slot_registers,
)
from sandbox.program.tensor import SHAPE, decode, encode
from sandbox.program.text import parse, write
from sandbox.rule import program as rule
from sandbox.task.noisy_regression import NoisyRegression

NUMBERS = (0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 0.9, 1e-8, 3.0, -7.25)


def random_lines(signature: str, rng: Random, *, longest: int = INSTRUCTIONS) -> Program:
    """A valid program of lines drawn blindly, so with dead and repeated ones; the last values that fit are returned and
    kept. Draws again where nothing valid comes of it."""
    while True:
        try:
            return checked(_lines(BY_SIGNATURE[signature], rng, rng.randint(2, longest)))
        except ProgramError:
            continue


def any_signature(rng: Random) -> str:
    """The name of a kind of program."""
    return rng.choice(SIGNATURES).name


def _lines(form: Signature, rng: Random, count: int) -> Program:
    constants = tuple(rng.sample(NUMBERS, rng.randint(0, 4)))
    kinds: dict[int, Kind] = {INPUT + i: kind for i, kind in enumerate(form.inputs.values())}
    kinds |= {CONSTANT + i: "scalar" for i in range(len(constants))}
    code: list[Instruction] = []
    while len(code) < count:
        operator = rng.choice(OPERATORS)
        registers = sorted(kinds)
        operands = tuple(rng.choice(registers[-6:] if rng.random() < 0.6 else registers) for _ in range(operator.takes))
        kind = kind_of(operator, [kinds[register] for register in operands])
        if kind is not None:
            kinds[RESULT + len(code)] = kind
            code.append(Instruction(operator.name, operands))
    fit = [register for register, kind in kinds.items() if kind in form.returns]
    weights = [register for register, kind in kinds.items() if kind == "parameters"]
    keeps = tuple(slot if rng.random() < 0.4 else rng.choice(weights[-5:]) for slot in slot_registers(form))
    return Program(form.name, tuple(code), constants, rng.choice(fit[-3:]), keeps)


# ---- nonsense --------------------------------------------------------------------------------------------------------

ODD = ["p", "y", "g", "w", "t", "m", "x1", "x2", "x9", "=", "keep", "return", "0", "-1", "1e-8", "1e999", "nan", "inf",
       "0x1", "1_0", "\n", "\t", "#", "\0", "é", "٣", "{}"]  # fmt: skip
WORDS = [*(operator.name for operator in OPERATORS), *BY_SIGNATURE, *ODD]


def random_text(rng: Random) -> str:
    """Bytes of every value, as a file in another encoding would be read."""
    return rng.randbytes(rng.randrange(200)).decode("latin-1")


def mutated_text(rng: Random) -> str:
    """A shipped or random program's text with one of its words replaced, or with characters changed, added and cut."""
    text = write(_any(rng))
    if rng.random() < 0.5:
        words = text.split(" ")
        words[rng.randrange(len(words))] = rng.choice(words if rng.random() < 0.5 else WORDS)
        return " ".join(words)
    for _ in range(rng.randint(1, 3)):
        at, end = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        there = rng.choice(("", chr(rng.randrange(0x250)), rng.choice(WORDS), text[end : end + rng.randrange(60)]))
        text = text[:at] + there + text[at + rng.randrange(9) :]
    return text


def random_tensor(rng: Random) -> tuple[Tensor, Tensor]:
    """Whole numbers of all sizes, and floats that may be anything."""
    most = rng.choice((2, 40, 2**31, 2**62))
    code = [rng.randrange(-1 if most < 50 else -most, most) for _ in range(SHAPE[0] * SHAPE[1])]
    constants = np.frombuffer(rng.randbytes(64), dtype=np.float64).copy()
    return torch.tensor(code).reshape(SHAPE), torch.from_numpy(constants)


def mutated_tensor(rng: Random) -> tuple[Tensor, Tensor]:
    """A program's tensors with some of their numbers changed."""
    one = _any(rng)
    code, constants = encode(one)
    for _ in range(rng.randint(1, 2)):
        row = rng.choice((rng.randrange(SHAPE[0]), rng.randrange(2 + len(one.code))))
        code[row, rng.randrange(SHAPE[1])] = rng.choice((rng.randrange(-1, 42), int(code.flatten()[rng.randrange(24)])))
    if rng.random() < 0.2:
        constants[rng.randrange(8)] = rng.choice((float("nan"), float("inf"), -0.0, 1e300, 5e-324))
    return code, constants


NONSENSE: dict[str, tuple[Callable[[Random], Any], Callable[[Any], Program]]] = {
    "random bytes as text": (random_text, parse),
    "mutated texts": (mutated_text, parse),
    "random tensors": (random_tensor, lambda case: decode(*case)),
    "mutated tensors": (mutated_tensor, lambda case: decode(*case)),
}


def nonsense(name: str, cases: int, seed: int = 0) -> dict[str, Any]:
    """How many cases were refused and how many are valid programs, what else was met, and the longest time for one."""
    rng, (draw, read), met = Random(f"{name} {seed}"), NONSENSE[name], Counter[str]()
    longest, wrong = 0.0, list[str]()
    for _ in range(cases):
        case = draw(rng)
        began = time.perf_counter()
        try:
            found = read(case)
        except ProgramError:
            met["refused"] += 1
        except Exception as error:
            wrong.append(f"{case!r}: {type(error).__name__}: {error}")
        else:
            met["valid"] += 1
            wrong += [] if _sound(found) else [f"{case!r}: not as it is written"]
        longest = max(longest, time.perf_counter() - began)
    return {"cases": cases, **met, "wrong": wrong, "longest_ms": 1000 * longest}


def _any(rng: Random) -> Program:
    shipped = list(library().values())
    return rng.choice(shipped) if rng.random() < 0.7 else random_lines(any_signature(rng), rng, longest=8)


def _sound(program: Program) -> bool:
    """A valid program is valid by every road: as data, as text and as tensors."""
    again = parse(write(program))
    return checked(program) == program and write(again) == write(program) and decode(*encode(again)) == again


# ---- lives -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wild:
    """Installs a random loss, update and learning rate at every step in about two of three seeds, and in the rest
    nothing ever. Half of the programs come of blindly drawn lines, half of those that a search begins with."""

    needs = Needs(edits=("rule",), noise=2 + 2 * UNIFORMS, vmapped=False)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {"touched": torch.zeros(())}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        if not bool(psi["touched"]):  # decided once a life
            psi = {"touched": torch.tensor(1.0 if float(seen.noise[0]) < 0.65 else -1.0)}
        if float(psi["touched"]) < 0:
            return Edit(), psi
        rng, noise = Random(float(seen.noise[1])), seen.noise[2:].reshape(2, UNIFORMS)
        pair = [random_lines(kind, rng) if rng.random() < 0.5 else random_program(kind, noise[place])
                for place, kind in enumerate(("loss amounts", "update"))]  # fmt: skip
        (loss, of_loss), (update, of_update) = (encode(one, torch.float32) for one in pair)
        return Edit(
            {"rule/loss": loss, "rule/update": update, "rule/constants": torch.stack([of_loss, of_update])}
        ), psi


def lives(programs: int, seeds: int = 60, steps: int = 5) -> dict[str, Any]:
    """What became of so many random programs, a loss and an update in a life each, by turns before a gate that accepts
    everything and before one that looks; and what was wrong."""
    task = NoisyRegression(train=16, points=8)
    world = World(task, Module(lambda: Linear(4, 1)), rule.Program(lr=0.01), 1)
    met, wrong, lived, first = Counter[str](), list[str](), 0, 0
    began = time.perf_counter()
    while lived < programs:
        gate = Always() if (first // seeds) % 2 == 0 else Better()
        here = list(range(first, first + seeds))
        with_them, without = _ends(world, Wild(), gate, here, steps, met), _ends(world, Nothing(), gate, here, steps)
        if not bool(finite_seeds(with_them).all()):
            wrong.append(f"seeds {here[0]} to {here[-1]}: a state that is not finite")
        untouched = (with_them.meta["1"]["touched"] < 0).tolist()
        for mine, plain, untold in zip(_lives(with_them), _lives(without), untouched, strict=True):
            wrong += ["an untouched seed lived otherwise"] if untold and mine != plain else []
        lived, first = sum(2 * met[v] for v in ("accepted", "rejected", "refused")), first + seeds
    return {"programs": lived, **met, "wrong": wrong, "seconds": time.perf_counter() - began}


def _ends(world: World, editor: MetaLearner, gate: Gate, seeds: list[int], steps: int,
          met: Counter[str] | None = None) -> State:  # fmt: skip
    loop, state = Loop(world, Functional(), (Level(editor, gate, 4),), check=False), None
    for record in loop.run(seeds, steps):
        state = record.state
        if met is not None:
            met.update(verdict.value for verdict in record.verdict if verdict is not Verdict.NO_EDIT)
    assert state is not None
    return state


def _lives(state: State) -> list[str]:
    """Fingerprints of what lives, without what the editors know."""
    return digest(State(state.init, state.params, state.slots, state.rule, {}, {}, state.task, state.seed, state.t))


def main(cases: int, programs: int) -> int:
    """Prints what became of all cases; the exit status."""
    torch.set_num_threads(1)
    shares = {"random bytes as text": 0.3, "mutated texts": 0.4, "random tensors": 0.1, "mutated tensors": 0.2}
    wrong = 0
    for name in (*shares, "random programs in lives"):
        told = nonsense(name, int(shares[name] * cases)) if name in shares else lives(programs)
        print(f"{name:26}", {key: value if key != "wrong" else len(value) for key, value in told.items()}, flush=True)
        for line in told["wrong"][:5]:
            print("   ", line[:2000], flush=True)
        wrong += len(told["wrong"])
    return int(wrong > 0)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(given + [1_000_000, 20_000][len(given) :])))
