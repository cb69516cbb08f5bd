"""Every preset goes with every member, or says with which it doesn't and what would do, before anything is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from sandbox.compose import SINGLE, composed
from sandbox.core.error import ConfigError, ContractError
from sandbox.experiment import build_loop, perform
from sandbox.fit import fit
from sandbox.rule.sgd import SGD

CONF = Path(__file__).parents[1] / "conf"
HERE = __name__.partition(".")[0]
compose = cache(composed)


def members(group: str) -> list[str]:
    return [path.stem for path in sorted((CONF / group).glob("*.yaml"))]


def fits(*words: str) -> None:
    config = compose(words)
    fit(config, build_loop(config), build_loop)


PAIRS = [(preset, f"{group}={member}") for preset in members("preset") for group in SINGLE for member in members(group)
         if member != "module"]  # fmt: skip


def not_built(*words: str) -> str:
    """Why these can't be built; empty where they can."""
    try:
        build_loop(compose(words))
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "member"), PAIRS, ids=" ".join)
def test_a_preset_goes_with_a_member_or_says_what_does(preset, member):
    """And what it says does. One that can't even be built beside the others names what it can be built beside."""
    refused = not_built(f"preset={preset}", member)
    if refused:
        choose = re.search(r"Choose (\w+=\w+)", refused)
        assert choose, refused
        assert not not_built(f"preset={preset}", member, choose[1])
        return
    try:
        fits(f"preset={preset}", member)
        return
    except ConfigError as error:
        told = str(error)
    said = re.match(r"expected members that fit together; got (.+?): .* These do: (.+)\.$", told, re.DOTALL)
    assert said, told
    assert " and " in said[1]
    given = [word for word in (f"preset={preset}", member) if word.split("=")[0] not in said[2]]
    fits(*given, *said[2].split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=sinusoid"], r"task=sinusoid and rule=self_distillation.*These do: task=sinusoid rule=sgd"),
        (["preset=maml", "rule=self_distillation"], r"rule=self_distillation and task=sinusoid: .*task=noisy_digits"),
        (["preset=maml", "rule=optimizer"], r"rule=optimizer and engine=functional: .*engine=higher"),
        pytest.param(
            ["preset=maml", "meta_learner=reflective"],
            r"meta_learner=reflective and rule=sgd.*rule/trust",
            marks=pytest.mark.slow,
        ),
    ],
    ids=" ".join,
)
def test_both_members_are_named_and_a_pair_that_does(words, said):
    with pytest.raises(ConfigError, match=said):
        fits(*words)


def test_nothing_is_written_for_what_does_not_fit(tmp_path):
    with pytest.raises(ConfigError, match="members that fit together"):
        perform(compose(("preset=maml", "rule=self_distillation")) | {"runs": str(tmp_path / "runs")})
    assert not (tmp_path / "runs").exists()


@dataclass(frozen=True)
class Torn(SGD):
    """Fails in any company."""

    def loss(self, *given):
        raise NameError("of its author's")


def test_the_mistake_of_one_member_stays_its_own():
    words = ["preset=maml", f"rule._target_={__name__}.Torn", f"trust=[{HERE}]"]
    with pytest.raises(ContractError, match=r"Torn.loss: a scalar; got NameError: of its author's"):
        fits(*words)


@pytest.mark.slow
def test_a_path_that_no_member_has_is_told_as_it_is():
    with pytest.raises(Exception, match=r"expected a path inside 'rule'; got 'rule/nope'") as told:
        fits("preset=maml", "meta_learner.edits=[rule/nope]")
    assert "fit together" not in str(told.value)


@pytest.mark.parametrize("words", [["rule.lr=1e9", "task=quadratic", "rule=sgd", "meta_learner=none"]])
def test_a_life_that_diverges_fits(words):
    fits(*words)
