"""A program in other words is another text, the same formula, and the same numbers in every bit."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.random import uniform
from sandbox.program.canonical import identity
from sandbox.program.language import INSTRUCTIONS, SIGNATURES
from sandbox.program.library import library
from sandbox.program.moves import UNIFORMS as DRAWN
from sandbox.program.moves import random_program
from sandbox.program.rewrite import UNIFORMS, rewritten
from sandbox.program.run import run
from sandbox.program.tensor import encode
from sandbox.program.text import parse, write

SHAPES = {"scalar": (), "example": (5,), "output": (5, 3), "label": (5,), "parameters": (7,)}


def handed(signature):
    drawn = [torch.randn(SHAPES[kind], generator=torch.Generator().manual_seed(n), dtype=torch.float64)
             for n, kind in enumerate(signature.inputs.values())]  # fmt: skip
    return [value.abs().long() if kind == "label" else value
            for value, kind in zip(drawn, signature.inputs.values(), strict=True)]  # fmt: skip


def drawn():
    programs = list(library().values())
    for signature in SIGNATURES:
        programs += [
            random_program(signature.name, uniform(n, signature.name, 0, (DRAWN,)).tolist()) for n in range(20)
        ]
    return programs


def test_other_words_say_the_same_in_every_bit():
    moved = 0
    for n, program in enumerate(drawn()):
        other = rewritten(program, uniform(n, "words", 0, (UNIFORMS,)).tolist())
        assert identity(other) == identity(program)
        moved += write(other) != write(program)
        for one, two in zip(run(*encode(program), handed(program.form)), run(*encode(other), handed(program.form)),
                            strict=True):  # fmt: skip
            assert torch.equal(one.nan_to_num(7), two.nan_to_num(7))
    assert moved > 0.9 * (n + 1)


@pytest.mark.parametrize("toss", [0.0, 0.999])
def test_a_full_program_grows_no_longer(toss):
    text = "loss amounts\n" + "\n".join(f"  x{i} = add p y" for i in range(1, INSTRUCTIONS + 1)) + "\n  return x1"
    assert len(rewritten(parse(text), [toss] * UNIFORMS).code) == INSTRUCTIONS
