"""Random programs and moves: pure in their uniforms, always valid, and of the signature they began with."""

from __future__ import annotations

import pytest

from sandbox.core.random import uniform
from sandbox.program.draft import drafted
from sandbox.program.draw import Draw
from sandbox.program.language import BY_SIGNATURE
from sandbox.program.library import library
from sandbox.program.moves import MOVES, UNIFORMS, moved, mutated, plainest, random_program
from sandbox.program.program import checked
from sandbox.program.tensor import decode, encode
from sandbox.program.text import parse, write


def noise(name: str, k: int):
    return uniform(0, name, k, (UNIFORMS,))


@pytest.mark.parametrize("signature", BY_SIGNATURE)
def test_random_programs_are_valid_and_seldom_the_fallback(signature):
    found = [random_program(signature, noise("random", k)) for k in range(200)]
    assert found == [random_program(signature, noise("random", k)) for k in range(200)]
    assert all(checked(program).signature == signature for program in found)
    assert sum(program == plainest(BY_SIGNATURE[signature]) for program in found) <= 10
    assert len({write(program) for program in found}) > 130


@pytest.mark.parametrize("signature", BY_SIGNATURE)
def test_every_move_gives_a_valid_program_of_the_signature(signature):
    program = plainest(BY_SIGNATURE[signature])
    met: dict[str, int] = dict.fromkeys(MOVES, 0)
    for k in range(400):
        other = random_program(signature, noise("other", k))
        name, after = mutated(program, other, noise("move", k))
        assert (name, after) == mutated(program, other, noise("move", k))
        assert checked(after).signature == signature
        assert decode(*encode(after)) == after
        assert parse(write(after)) == after or len(after.constants) > 1  # constants may come in another order
        met[name] += after != drafted(program).made()
        program = after if k % 10 else plainest(BY_SIGNATURE[signature])
    assert all(met.values()), met


def text(name: str, program: str, *draws: float, other: str = "squared_error") -> list[str]:
    """The program after a move that draws these uniforms."""
    ready = [*draws, *([0.5] * 50)]
    return write(moved(name, library()[program], library()[other], Draw.of(ready))).splitlines()[1:]


def test_moves_by_hand():
    # The first line of two, of which the first operand is left: |p| never sees y, so the next draw has to be tried.
    assert text("delete", "squared_error", 0.9, 0.0) == ["  x1 = sub p y", "  return x1"]
    assert text("swap", "squared_error", 0.0, 0.0, 0.99) == ["  x1 = sub y p", "  x2 = square x1", "  return x2"]
    # The last line of `other`, at the place that is returned.
    assert text("crossover", "squared_error", 0.99, 0.99, other="absolute_error") == [
        "  x1 = sub p y", "  x2 = abs x1", "  return x2"]  # fmt: skip
    # .9 times e^0, of which the sign stays; then the next draw of z is tried, ndtri(.8413) = 1.
    assert text("constant", "momentum", 0.0, 0.8413447460685429, 0.5)[0] == "  x1 = mul 2.45 m"


def test_uniforms_that_run_out_change_nothing():
    program = library()["squared_error"]
    assert moved("insert", program, program, Draw.of([0.1])) == program


def test_unused_lines_are_dropped():
    program = parse("loss amounts\n  a = sub p y\n  b = square p\n  c = abs a\n  return c")
    assert write(drafted(program).made()) == write(library()["absolute_error"])
