"""Messages say what was expected, what was got and what to do, and suggest the near miss."""

from __future__ import annotations

import pytest

from sandbox.core.error import ConfigError, EditError, LifeError, LineageError, SandboxError, did_you_mean, explain


def test_a_message_has_one_form() -> None:
    assert explain(expected="a leaf", got="a tree", do="Name a leaf.") == "expected a leaf; got a tree. Name a leaf."


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (["trust", "lr"], "Did you mean 'trust'?"),
        (["lr", "decay"], "Known: decay, lr."),
        ([], "Known: none."),
    ],
)
def test_a_near_miss_is_suggested_or_else_all_are_listed(known: list[str], said: str) -> None:
    assert did_you_mean("turst", known) == said


@pytest.mark.parametrize("error", [ConfigError, EditError, LifeError, LineageError])
def test_every_error_can_be_caught_as_one(error: type[Exception]) -> None:
    assert issubclass(error, SandboxError)
