"""The words of a command: flags with their values, settings, run folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def is_setting(word: str) -> bool:
    """Whether a word is KEY=VALUE, and no folder whose name has such a sign."""
    return word.partition("=")[0].isidentifier() and "=" in word and not Path(word).exists()


def runs_of(words: Sequence[str], flags: Mapping[str, str]) -> Path:
    """Where the runs are that a command is about: `--runs DIR`, or `runs=DIR` as it was given to their launch."""
    said = [word.partition("=")[2] for word in words if word.startswith("runs=")]
    return Path(flags.get("--runs") or (said[-1] if said else "runs"))


def with_trust(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Run folders, and the packages named after `--trust`."""
    names, trust, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--trust" and rest:
            trust += rest.pop(0).split(",")
        elif word.startswith(("--trust=", "trust=")):
            trust += word.partition("=")[2].strip("[]").split(",")
        else:
            names.append(word)
    return names, trust


def apart(arguments: Sequence[str], valued: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Words, and flags with their values."""
    words, flags, rest = list[str](), dict[str, str](), list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            words.append(word)
        elif name in valued and not equals:
            flags[name] = rest.pop(0) if rest else ""
        else:
            flags[name] = value
    return words, flags
