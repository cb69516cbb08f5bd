"""The programs that ship, read from one file (`library.txt`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

from sandbox.core.error import did_you_mean, explain
from sandbox.program.program import Program, ProgramError
from sandbox.program.text import parse


@cache
def library() -> Mapping[str, Program]:
    """Every shipped program by its name."""
    text = files("sandbox.program").joinpath("library.txt").read_text()
    paragraphs = [part for part in text.split("\n\n") if not part.startswith("#")]
    parts = [part.strip().partition("\n") for part in paragraphs]
    return {head.partition(":")[0]: parse(body) for head, _, body in parts}


@lru_cache(maxsize=4096)
def named(words: str) -> Program:
    """A shipped program by its name, or the program that a text says; raises `ProgramError`. On one line, as on the
    command line, ';' stands for its line breaks."""
    lines = words.strip()
    if "\n" in lines or ";" in lines:
        return parse(words if "\n" in lines else words.replace(";", "\n"))
    if words not in library():
        raise ProgramError(explain(expected="the name of a shipped program, or its text", got=repr(words),
                                   do=did_you_mean(words, library())))  # fmt: skip
    return library()[words]
