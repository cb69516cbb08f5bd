"""Errors that teach: what was expected, what was got, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SandboxError(Exception):
    """A user's or an author's mistake, told in one message and shown without a traceback."""


class ConfigError(SandboxError):
    """The composed configuration can't be built."""


class ContractError(ConfigError):
    """A member (a task, model, rule, gate, meta-learner) that breaks the contract of its seam."""


class UndefinedError(ContractError):
    """What was asked for doesn't exist in this world, such as the loss of one example where examples are normalised by
    each other; a meter leaves it out."""


class EditError(SandboxError):
    """A malformed edit: wrong path, structure, shape or dtype, or outside the allow-list."""


class SourceError(SandboxError):
    """A source outside the state that can't be asked: an outage, and no answer of its own."""


class LifeError(SandboxError):
    """A life went non-finite with no edit to blame, so there is nothing to roll back to."""


class LineageError(SandboxError):
    """A lineage, checkpoint or run folder that can't be read, or that does not replay."""


class StaleError(SandboxError):
    """A run that was made by other code than there is now."""


def explain(*, expected: str, got: str, do: str) -> str:
    """The one form of every message."""
    return f"expected {expected}; got {got}. {do}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A near miss among `known`, or the list of them."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Known: {', '.join(known) or 'none'}."
