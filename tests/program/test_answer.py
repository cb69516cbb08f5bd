"""Answers in words: the last block counts, a change is made line by line, and the guide tells what can be used."""

from __future__ import annotations

import pytest

from sandbox.program.answer import block, changed, read
from sandbox.program.guide import applicable, grammar
from sandbox.program.language import BY_SIGNATURE, OPERATORS, SIGNATURES
from sandbox.program.library import library
from sandbox.program.program import ProgramError
from sandbox.program.text import write

MOMENTUM = library()["momentum"]


def test_the_last_block_counts_and_without_fences_all_of_it():
    assert block("a\n```\nb\n```\nc\n```python\nd\n```\ne").strip() == "d"
    assert block("a\n```\nb").strip() == "b"  # never closed: what is missing will be told
    assert block("a").strip() == "a"
    assert read("```\nupdate\n  return g\n```", {}).program == library()["sgd"]


def test_a_change_replaces_lines_of_the_same_name_and_puts_new_ones_before_them():
    lines = changed(write(MOMENTUM), "  x9 = tanh g\n  x2 = add x1 x9\n  x8 = neg x2  # it is flipped\n  x7 = neg x8\n")
    assert lines.splitlines() == ["update", "  x1 = mul 0.9 m", "  x9 = tanh g", "  x2 = add x1 x9",
                                  "  x8 = neg x2  # it is flipped", "  x7 = neg x8", "  keep m x2",
                                  "  return x2"]  # fmt: skip
    found = read("change 7\n  keep m g\n  return x1", {"7": MOMENTUM})
    assert (found.parent, write(found.program).splitlines()[-2:]) == ("7", ["  keep m g", "  return x1"])


@pytest.mark.parametrize(("words", "why"), [
    ("change 8\n  return x1", "the name of a program that was shown"), ("", "the kind of program"),
    ("change 7\n" + "  x9 = tanh g\n" * 400, "at most 4000 characters"),
    ("change 7\n  return nothing", "line 5, 'return nothing'"), ("hello ```", "the kind of program"),
])  # fmt: skip
def test_what_is_no_program_says_so(words, why):
    with pytest.raises(ProgramError, match=why):
        read(words, {"7": MOMENTUM})


def test_the_guide_tells_of_every_operator_that_a_kind_can_use_and_of_no_other():
    known = {operator for signature in SIGNATURES for operator in applicable(signature)}
    assert known == set(OPERATORS)
    names = {operator.name for operator in applicable(BY_SIGNATURE["update"])}
    assert "norm" in names
    assert "softmax" not in names
    assert "softmax a:" not in grammar([BY_SIGNATURE["update"]])
    assert "Kind `loss classes`: inputs p (output), y (label)" in grammar([BY_SIGNATURE["loss classes"]])
