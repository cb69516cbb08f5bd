"""The contract suite for members of one's own: `prove("rule=mine")`, or one test a law in a test file of one's own.

import pytest
from sandbox.proof import laws, stage

@pytest.mark.parametrize("law", laws("rule"))
def test_mine_keeps_the_law(law):
    law(stage("rule=mine"))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.compose import SEVERAL, SINGLE
from sandbox.core.error import ConfigError, SandboxError, did_you_mean, explain
from sandbox.laws import LAWS as LAWS
from sandbox.laws import Law as Law
from sandbox.stage import Stage as Stage
from sandbox.stage import stage as stage


@dataclass(frozen=True)
class Finding:
    """What became of one law: `said` is empty where it is kept."""

    law: Law
    said: str = ""


def laws(group: str) -> tuple[Law, ...]:
    """The laws of a group's seam: each is called with a stage, and raises a `SandboxError` where it is broken."""
    if group not in (*SINGLE, *SEVERAL):
        raise ConfigError(explain(expected="a group", got=f"'{group}'", do=did_you_mean(group, (*SINGLE, *SEVERAL))))
    return tuple(law for law in LAWS if group in law.groups)


def findings(on: Stage) -> Iterator[Finding]:
    """Law by law; what isn't the member's own words is told as it was raised."""
    for law in laws(on.group):
        try:
            law(on)
        except SandboxError as error:
            yield Finding(law, str(error))
        except Exception as error:
            yield Finding(law, f"{type(error).__name__}: {error}")
        else:
            yield Finding(law)


def prove(*words: str) -> None:
    """All laws, for the member that the first word names (`rule=mine`), with the other words set around it; raises a
    `ConfigError` that tells every law which is broken."""
    broken = [f"{one.law.name}: {one.said}" for one in findings(stage(*words)) if one.said]
    if broken:
        raise ConfigError("\n".join(broken))
