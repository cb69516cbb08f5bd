"""What can't teach is seen before a life, and how programs grow with the error is their known power."""

from __future__ import annotations

import pytest

from sandbox.program.descent import cell, fault, growth
from sandbox.program.library import library
from sandbox.program.text import parse


def test_every_shipped_program_can_teach():
    assert {name: why for name, program in library().items() if (why := fault(program))} == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [("update\n  a = mul 1e-9 g\n  b = add w a\n  return b", "alike whatever the gradient"),
     ("update\n  a = neg g\n  return a", "against the gradient"),
     ("loss amounts\n  a = sub p y\n  b = abs a\n  c = neg b\n  return c", "does not fall"),
     ("loss amounts\n  a = sub p y\n  b = where a 1 2\n  c = mul b 1\n  return c", "does not fall")],
)  # fmt: skip
def test_what_can_not_teach_says_why(text, said):
    assert said in fault(parse(text))


@pytest.mark.parametrize(
    ("name", "power"),
    [("squared_error", 1), ("absolute_error", 0), ("sgd", 1), ("momentum", 1), ("sign_sgd", 0)],
)  # fmt: skip
def test_growth_by_hand(name, power):
    assert growth(library()[name]) == pytest.approx(power, abs=1e-6)


def test_what_gives_outliers_up_grows_less_than_the_absolute_error():
    assert growth(library()["cauchy"]) < 0
    assert cell(library()["squared_error"]) != cell(library()["absolute_error"])
