"""What a study may say, and what a formula may be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sandbox.core.error import ConfigError
from sandbox.report.formula import evaluate, variables
from sandbox.report.study import Claim, ClosedForm, Study, keep, kept, parse, together

CLAIM = {"reading": "a/b", "arm": "one", "than": "two", "sign": 1, "say": "it rains"}


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"arm": ["one"]}, "a key of x.yaml; got 'arm'. Did you mean 'arms'"),
        ({"arms": ["one", "too"], "claims": [CLAIM]}, "one of the arms of x.yaml; got 'two'. Did you mean 'too'"),
        ({"arms": ["one"], "reference": "onn"}, "got 'onn'. Did you mean 'one'"),
        (
            {"arms": ["one", "two"], "claims": [CLAIM | {"sign": "up"}]},
            r"-1, 0 or 1 in claims\[0\] of x.yaml",
        ),
        ({"arms": ["one", "two"], "claims": [CLAIM | {"head": True}]}, r"a key of claims\[0\] of x.yaml; got 'head'"),
        (
            {"closed_forms": [{"reading": "a", "over": "b", "formula": "b +"}]},
            "arithmetic on .* in 'b [+]'",
        ),
        ({"closed_forms": [{"reading": "a", "over": "b", "formula": "open('x')"}]}, "arithmetic .*got 'open"),
    ],
)
def test_a_study_that_says_what_is_not_there_is_told(node, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(node, "x.yaml")


def test_a_study_is_kept_as_it_is(tmp_path: Path) -> None:
    form = {"reading": "a/c", "over": "x.y", "formula": "x.y * k", "let": {"k": "2"}, "where": {"z": 1}}
    study = parse({"question": "?", "arms": ["one", "two"], "claims": [CLAIM], "closed_forms": [form]}, "x")
    assert study.claims == (Claim("a/b", "one", "two", 1, "it rains"),)
    assert study.readings == ["a/b", "a/c"]
    manifest = tmp_path / "1.jsonl"
    manifest.touch()
    other = Study(question="!", arms=("three",), closed_forms=(ClosedForm("d", "e", "e"),))
    keep([study, other], manifest)
    assert kept([manifest], []) == together([study, other])
    assert kept([manifest], []).question == "?"
    assert len(kept([manifest], []).closed_forms) == 2


def test_a_formula_is_arithmetic() -> None:
    names = {"a.b": np.array([1.0, 2.0]), "r": 0}
    assert evaluate("-a.b ** 2 + 3 * (a.b - 1) / 2", names).tolist() == [-1, -2.5]
    assert evaluate("(1 - r) / r if r else exp(0) + abs(-2)", names) == 3
    assert evaluate("a.b if a.b - 1 else 7", names).tolist() == [7, 2]
    assert sorted(variables("a.b * c + sqrt(d)")) == ["a.b", "c", "d"]


@pytest.mark.parametrize("formula", ["__import__('os')", "a.__class__()", "[1]", "'text'", "(lambda: 1)()", "a and b",
                                     "exp(1, 2)", "1 < 2", "a[0]", "True", "f'{a}'", "a := 1"])  # fmt: skip
def test_a_formula_is_nothing_else(formula: str) -> None:
    with pytest.raises(ConfigError, match="arithmetic on names and numbers"):
        evaluate(formula, {"a": 1.0, "b": 1.0})


def test_a_name_that_is_not_there_names_the_near_miss() -> None:
    with pytest.raises(ConfigError, match=r"got 'rule.trst'. Did you mean 'rule.trust'"):
        evaluate("rule.trst", {"rule.trust": 1.0})
