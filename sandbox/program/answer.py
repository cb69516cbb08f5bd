"""Reading a program out of an answer in words: a whole program, or a change to one that has a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.core.error import did_you_mean, explain
from sandbox.program.program import Program, ProgramError
from sandbox.program.text import LONGEST, parse, write

FENCE = re.compile(r"^[ \t]*```[^\n]*$", re.MULTILINE)
FORM = """Answer with one program between two lines of ```: a whole one, or a change to a program that you were shown.
A change begins with `change NAME`; each line of it that names a value, `keep m …` or `return …` replaces the line of
that name, and a line with a new name goes in front of the next one that replaces a line (or of the end). As in:
```
change {name}
  x9 = tanh x1
  return x9
```"""


@dataclass(frozen=True)
class Read:
    """A `program`, and the name of the one that it changes (None: it is whole)."""

    program: Program
    parent: str | None


def read(words: str, parents: Mapping[str, Program]) -> Read:
    """The program that an answer says; raises `ProgramError` that tells whoever answered what to mend.

    What counts is the last block between fences, or all of it where there are none.
    """
    text = block(words).strip()
    head, _, rest = text.partition("\n")
    said = head.split()
    if said[:1] != ["change"]:
        return Read(parse(text), None)
    name = " ".join(word.strip("`#") for word in said[1:])
    if name not in parents:
        raise ProgramError(explain(expected="`change` and the name of a program that was shown", got=repr(name[:40]),
                                   do=did_you_mean(name[:40], parents)))  # fmt: skip
    if len(text) > LONGEST:
        raise ProgramError(explain(expected=f"at most {LONGEST} characters", got=f"{len(text)}", do="Shorten it."))
    return Read(parse(changed(write(parents[name]), rest)), name)


def block(words: str) -> str:
    """The last block between fences; one that was never closed counts, for then parsing it says what is missing."""
    parts = FENCE.split(words)
    blocks = [part for part in parts[1::2] if part.strip()]
    return blocks[-1] if blocks else words


def changed(parent: str, change: str) -> str:
    """The text of `parent` with the lines of `change` in the places of those of the same name."""
    head, *lines = parent.splitlines()
    keys = [_key(line) for line in lines]
    waiting: list[str] = []
    placed: dict[str, list[str]] = {}
    for line in (line for line in change.splitlines() if line.partition("#")[0].strip()):
        waiting.append(line)
        if _key(line) in keys:
            placed.setdefault(_key(line), []).extend(waiting)
            waiting = []
    end = next((i for i, key in enumerate(keys) if key.startswith(("keep ", "return"))), len(lines))
    found = [head]
    for i, (key, line) in enumerate(zip(keys, lines, strict=True)):
        found += waiting if i == end else []
        found += placed.get(key, [line])
    return "\n".join(found)


def _key(line: str) -> str:
    """What a line is known by: the value that it names, the slot that it keeps, or that it returns."""
    words = line.partition("#")[0].split()
    return " ".join(words[:2]) if words[:1] == ["keep"] else words[0] if words else ""
