"""The text of programs: what is read, and what is refused with the line and in words that help."""

from __future__ import annotations

import pytest

from sandbox.program.program import ProgramError
from sandbox.program.text import parse, write


def test_a_semicolon_ends_a_line() -> None:
    lines = ["loss amounts", "d = sub p y", "s = abs d", "return s"]
    assert parse("; ".join(lines)) == parse("\n".join(lines))


@pytest.mark.parametrize(("text", "said"), [
    ("loss amounts; d = sub p y; e = norm d; return e", r"line 3, 'e = norm d': .* d \(output\)\. It takes weights"),
    ("loss classes; e = abs y; return e", r"line 2, .* got y \(label\)"),
    ("loss amounts; d = sub p y; e = mul d 1e-400; return e", "a number that float64 can hold; got '1e-400'"),
    ("loss amounts; d = sub p y; e = mul d 1e400; return e", "a number that float64 can hold; got '1e400'"),
    ("update; keep m g; keep m w; return g", "'keep m' once; got twice"),
])  # fmt: skip
def test_what_is_no_program_is_told_where_and_why(text: str, said: str) -> None:
    with pytest.raises(ProgramError, match=said):
        parse(text)


def test_zero_is_a_number_however_it_is_written() -> None:
    found = parse("update; a = mul g 0; b = add g a; c = mul w 0e-5; d = add b c; return d")
    assert found.constants == (0.0,)
    assert parse(write(found)) == found
