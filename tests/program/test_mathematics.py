"""Programs in mathematics: parentheses where they are needed and nowhere else, and the value that the program has."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

import pytest
import torch

from sandbox.program.language import BY_NAME, OPERATORS
from sandbox.program.library import library
from sandbox.program.mathematics import ATOM, LATEX, NEGATIVE, POWER, PRODUCT, SUM, UNICODE, latex, rendered, unicode
from sandbox.program.moves import UNIFORMS, random_program
from sandbox.program.operators import EACH
from sandbox.program.run import run
from sandbox.program.tensor import encode
from sandbox.program.text import parse

PYTHON = replace(
    UNICODE,
    templates={
        **{name: (f"{name}({', '.join(['{}'] * BY_NAME[name].takes)})", ATOM, (0,) * BY_NAME[name].takes)
           for name in EACH},
        "add": ("{} + {}", SUM, (SUM, SUM)),
        "sub": ("{} - {}", SUM, (SUM, PRODUCT)),
        "mul": ("{}*{}", PRODUCT, (PRODUCT, PRODUCT)),
        "neg": ("-{}", NEGATIVE, (PRODUCT,)),
        "square": ("{}**2", POWER, (ATOM,)),
        "aq": ("{} / sqrt(1 + {}**2)", PRODUCT, (PRODUCT, ATOM)),
        "where": ("({1} if {0} > 0 else {2})", ATOM, (0, 0, 0)),
    },
    product="*",
    between="; ",
)  # fmt: skip


def value_of(text: str, names: dict[str, float]) -> float:
    """What a formula in Python says, letters first."""
    said, _, letters = text.partition(", where ")
    known = {name: (lambda *a, f=f: float(f(*(torch.tensor([float(x)], dtype=torch.float64) for x in a))))
             for name, f in EACH.items()} | dict(names)  # fmt: skip
    for equation in letters.split("; ") if letters else ():
        name, _, formula = equation.partition(" = ")
        known[name] = eval(formula, {}, known)
    return eval(said, {}, known)


def plain(seed: int):
    """A random program of operators that go entry by entry, on one number."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        program = random_program("loss amounts", torch.rand(UNIFORMS, generator=generator, dtype=torch.float64))
        if all(each.operator in EACH for each in program.code):
            return program


@pytest.mark.parametrize("seed", range(60))
def test_the_formula_has_the_value_of_the_program(seed: int) -> None:
    program = plain(seed)
    p, y = -0.7, 1.3
    inputs = [torch.tensor([[number]], dtype=torch.float64) for number in (p, y)]
    found, *_ = run(*encode(program), inputs)
    said = rendered(program, PYTHON)
    assert isclose(value_of(said, {"p": p, "y": y}), float(found), rel_tol=1e-9), said


@pytest.mark.parametrize(("lines", "formula"), [
    ("x1 = sub p y\n x2 = min 2 x1\n x3 = abs x2\n return x3", "|min(2, p - y)|"),
    ("x1 = sub p y\n x2 = sub p x1\n return x2", "p - (p - y)"),
    ("x1 = add p y\n x2 = mul 2 x1\n x3 = square x2\n return x3", "(2·(p + y))²"),
    ("x1 = neg p\n x2 = add y x1\n return x2", "y - p"),
    ("x1 = abs p\n x2 = sub x1 y\n x3 = abs x2\n return x3", "abs(|p| - y)"),
    ("x1 = div p y\n x2 = div y x1\n return x2", "y / (p / y)"),
    ("x1 = mul -2 p\n x2 = sub y x1\n return x2", "y + 2·p"),
    ("x1 = mul y -2\n x2 = neg x1\n x3 = sub p x2\n return x3", "p + y·(-2)"),
    ("x1 = mul -2 p\n x2 = square x1\n x3 = add y x2\n return x3", "y + (-2·p)²"),
    ("x1 = ema p y 0.9\n x2 = square x1\n return x2", "(0.9·p + 0.1·y)²"),
])  # fmt: skip
def test_parentheses_stand_where_they_are_needed(lines: str, formula: str) -> None:
    assert unicode(parse(f"loss amounts\n {lines}")) == formula


def test_what_is_used_twice_has_a_letter_and_slots_follow() -> None:
    assert unicode(library()["momentum"]) == "a; m ← a, where a = g + 0.9·m"
    assert unicode(library()["cross_entropy"]) == "-ln softmax(p)[y]"
    assert latex(library()["squared_error"]) == r"\left( p - y \right)^2"


def test_every_operator_can_be_written() -> None:
    for style in (UNICODE, LATEX):
        assert {*style.templates, "ema"} == {operator.name for operator in OPERATORS}


def test_every_shipped_program_is_written_in_balanced_latex() -> None:
    for name, program in library().items():
        said = latex(program)
        assert said.count("{") == said.count("}"), name
        assert said.count(r"\left") - said.count(r"\leftarrow") == said.count(r"\right"), name
