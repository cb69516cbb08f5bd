"""Claims as data, their verdicts and their evidence: what is refused, what decides, what goes on again."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandbox.claims.claim import Comparison, parse
from sandbox.claims.command import claims, known
from sandbox.claims.exhibits import measured
from sandbox.claims.verdict import Row, corrected, holm, rows, together
from sandbox.core.error import ConfigError, ContractError, LineageError

LETTERS = known()


@dataclass(frozen=True)
class Coin:
    """An exhibit for tests: heads weigh more by `bias`."""

    bias: float = 1.0
    fails_at: int = -1

    def measure(self, seed: int):
        if seed == self.fails_at:
            return {"heads": {"weight": nan}, "tails": {"weight": 0.0}}
        noise = np.random.default_rng(seed).standard_normal() / 10
        return {"heads": {"weight": self.bias + noise}, "tails": {"weight": noise / 2}}


HEAVY = {"say": "heads weigh more", "reading": "weight", "arm": "coin/heads", "than": "coin/tails", "above": 0.5}
NODE = {
    "says": "Coins are not fair.",
    "done": "They were weighed.",
    "refuted": "Equal weights.",
    "title": "Coins",
    "seeds": 8,
    "exhibits": {"coin": {"_target_": f"{Coin.__module__}.Coin"}},
    "comparisons": {"heavy": HEAVY},
    "ablations": {"fair": {"kind": "mechanism", "say": "no bias", "of": ["heavy"], "exhibits": {"coin": {"bias": 0.0}}},
                  "heavier": {"kind": "sham", "say": "more bias", "of": ["heavy"],
                              "exhibits": {"coin": {"bias": 2.0}}}},
    "figure": {"title": "Weights", "reading": "weight", "points": {"heads": "coin/heads", "tails": "coin/tails"}},
    "fast": {"seeds": 4},
}  # fmt: skip


def changed(**parts):
    return parse("z", {**NODE, **parts})


def comparison(**criterion) -> Comparison:
    return Comparison("one", "it is so", "x", "arm", "control", **criterion)


def row(values, **criterion) -> Row:
    evidence = {"arm": {"x": dict(enumerate(values))}, "control": {"x": dict.fromkeys(range(len(values)), 0.0)}}
    return rows(replace(changed(), comparisons=(comparison(**criterion),)), evidence)[0]


# ---- files ----------------------------------------------------------------------------------------------------------


def test_every_letter_of_the_essay_is_there_and_says_what_would_refute_it() -> None:
    assert list(LETTERS) == list("abcdefghijk")
    for claim in LETTERS.values():
        assert all(len(text) > 40 for text in (claim.says, claim.done, claim.refuted))
        assert claim.seeds >= 8
        assert {ablation.kind for ablation in claim.ablations} == {"mechanism", "sham"}
        assert claim.quick().digest != claim.digest


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"sayz": 1}, "a key of claim/z.yaml; got 'sayz'. Did you mean 'says'"),
        ({"comparisons": {}}, "comparisons in claim/z.yaml that stand for the claim; got none"),
        ({"comparisons": {"heavy": {**HEAVY, "stands": "against"}}}, "that stand for the claim; got none"),
        ({"comparisons": {"heavy": {**HEAVY, "stands": "fore"}}}, "Did you mean 'for'"),
        ({"comparisons": {"a": {"say": "x", "reading": "x", "arm": "coin/a", "than": 0.0}}}, "above, below or within"),
        ({"comparisons": {"a": {"say": "x", "reading": "x", "arm": "cain/a", "than": 0.0, "above": 1}}},
         "an arm in comparison 'a' of claim/z.yaml; got 'cain'. Did you mean 'coin'"),
        ({"ablations": {"a": {"kind": "shame", "say": "x", "of": ["heavy"]}}}, "Did you mean 'sham'"),
        ({"ablations": {"a": {"kind": "sham", "say": "x", "of": ["heavier"]}}}, "Did you mean 'heavy'"),
        ({"fast": {"seed": 3}}, "a key of fast of claim/z.yaml"),
        ({"fast": {"exhibits": {"coin": {"bias": 2.0}}}}, "an ablation 'heavier' of claim/z.yaml that takes something"),
        ({"ablations": {"a": {"kind": "sham", "say": "x", "of": ["heavy"]}}}, "Name arms with words"),
    ],
)  # fmt: skip
def test_a_file_that_names_what_is_not_there_is_refused(node, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        changed(**node)
    assert said in str(raised.value)


def test_another_rule_is_another_experiment_and_other_words_are_not() -> None:
    criterion = {"heavy": {**NODE["comparisons"]["heavy"], "above": 0.4}}
    others = [
        changed(comparisons=criterion),
        changed(seeds=9),
        changed(exhibits={"coin": {"_target_": "x", "bias": 3.0}}),
    ]
    assert len({changed().digest, *(one.digest for one in others)}) == 4
    assert changed(says="Coins lie.", title="C").digest == changed().digest
    assert changed(says="Coins lie.").words_digest != changed().words_digest
    of_arms = [parse("z", NODE, {"z_arm": {"seeds": seeds}}).digest for seeds in (1, 2)]
    assert len({changed().digest, *of_arms}) == 3


# ---- verdicts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "criterion", "verdict"),
    [
        ([1.0, 1.1, 0.9, 1.0], {"above": 0.5}, "supported"),
        ([1.0, 1.1, 0.9, 1.0], {"above": 1.0}, "undecided"),
        ([1.0, 1.1, 0.9, 1.0], {"above": 1.5}, "not supported"),
        ([1.0, 1.1, 0.9, 1.0], {"below": 1.5}, "supported"),
        ([1.0, 1.1, 0.9, 1.0], {"below": 0.5}, "not supported"),
        ([0.01, -0.01, 0.02, -0.02], {"within": 0.1}, "supported"),
        ([1.0, 1.1, 0.9, 1.0], {"within": 0.1}, "not supported"),
        ([0.2, -0.2, 0.3, -0.3], {"within": 0.1}, "undecided"),
        ([0.0, 0.0, 0.0], {"within": 0.1}, "supported"),
        ([0.5, 0.5, 0.5], {"above": 0.5}, "not supported"),  # at the edge is not beyond it
        ([1.0], {"above": 0.5}, "undecided"),
        ([1.0, nan, 1.0], {"above": 0.5}, "undecided"),
    ],
)
def test_a_verdict_is_where_the_interval_lies(values, criterion, verdict: str) -> None:
    assert row(values, **criterion).verdict == verdict


def test_support_that_does_not_stand_up_to_the_number_of_comparisons_is_undecided() -> None:
    weak = row([0.6, 1.6, 0.4, 1.0, 0.9, 0.7], above=0.4)
    assert (weak.raw, weak.verdict) == ("supported", "supported")
    many = corrected([weak, *[row([0.1, -0.2, 0.3, -0.1], above=0.0)] * 20])
    assert (many[0].raw, many[0].verdict) == ("supported", "undecided")
    assert together([weak]) == "supported"
    assert together(many) == "undecided"
    assert together([weak, row([1.0, 1.1, 0.9], above=2)]) == "not supported"


def test_what_stands_against_a_claim_does_not_decide_it() -> None:
    good, bad = row([1.0, 1.1, 0.9], above=0.5), row([1.0, 1.1, 0.9], above=2, stands="against")
    assert (bad.verdict, together([good, bad])) == ("not supported", "supported")
    assert together([row([1.0, 1.1, 0.9], above=2), row([1.0, 1.1, 0.9], above=0.5, stands="derived")]) == (
        "not supported"
    )
    assert (good.comparison.said, bad.comparison.said) == ("it is so", "(against) it is so")


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    found = holm(p)
    for raw, one in zip(p, found, strict=True):
        assert raw <= one <= min(1.0, raw * len(p)) + 1e-12
    assert all(found[i] <= found[j] for i in range(len(p)) for j in range(len(p)) if p[i] < p[j])


def test_false_support_is_as_rare_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    found = [row(values, above=0.0).raw for values in rng.standard_normal((2000, 8))]
    assert found.count("supported") / len(found) == pytest.approx(0.025, abs=0.01)


def test_what_was_not_measured_is_told_with_a_near_miss() -> None:
    with pytest.raises(LineageError, match=r"a reading of arm, measured; got none called 'x'. Did you mean 'xx'"):
        rows(replace(changed(), comparisons=(comparison(above=0.0),)), {"arm": {"xx": {0: 1.0}}, "control": {}})


def test_arms_are_paired_by_seed() -> None:
    claim = replace(changed(), comparisons=(comparison(above=0.0),))
    evidence = {"arm": {"x": {3: 5.0, 1: 2.0}}, "control": {"x": {1: 1.0, 3: 4.0}}}
    found = rows(claim, evidence)[0]
    assert (found.difference.n, found.difference.mean, found.measured.mean) == (2, 1.0, 3.5)
    with pytest.raises(LineageError, match="the same seeds of arm and control"):
        rows(claim, {**evidence, "arm": {"x": {3: 5.0, 1: 2.0, 9: 7.0}}})
    assert comparison(above=2).region == (2, inf)


# ---- evidence -------------------------------------------------------------------------------------------------------


def test_an_exhibit_goes_on_where_it_was(tmp_path: Path) -> None:
    node = NODE["exhibits"]["coin"]
    first = measured("coin", node, 3, tmp_path, jobs=1, trust=[Coin.__module__])
    (file,) = tmp_path.glob("coin-*.jsonl")
    lines = file.read_text().splitlines()
    kept = json.loads(lines[0])
    kept["arms"]["heads"]["weight"] = 77.0
    file.write_text("\n".join([json.dumps(kept), *lines[1:]])[:-9])  # as a kill leaves it: the last line is torn
    again = measured("coin", node, 4, tmp_path, jobs=1, trust=[Coin.__module__])
    assert again["heads"]["weight"][0] == 77.0  # was not measured again
    assert {seed: again["heads"]["weight"][seed] for seed in (1, 2)} == {s: first["heads"]["weight"][s] for s in (1, 2)}
    assert list(again["tails"]["weight"]) == [0, 1, 2, 3]
    measured("coin", {**node, "bias": 3.0}, 1, tmp_path, jobs=1, trust=[Coin.__module__])
    assert len(list(tmp_path.glob("coin-*.jsonl"))) == 2  # another configuration is another exhibit


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    node = {**NODE["exhibits"]["coin"], "fails_at": 1}
    with pytest.raises(ContractError, match="finite numbers from coin under seed 1; got heads/weight"):
        measured("coin", node, 3, tmp_path, jobs=1, trust=[Coin.__module__])


def test_a_table_a_page_and_lines_of_json(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sandbox.claims.command.known", lambda here: {"e": LETTERS["e"], "z": small})
    exhibits = {"incentive": {"_target_": "sandbox.exhibit.incentive.Incentive", "steps": 2000}}
    node = yaml.safe_load(Path("conf/claim/e.yaml").read_text())
    kept = {name: node["comparisons"][name] for name in ("revealed", "hidden")}
    ablations = {name: node["ablations"][name] | {"of": ["revealed"]} for name in ("no_gain", "fewer_learners")}
    points = {"alone": "incentive/alone", "selected": "incentive/selected"}
    small = parse("z", {**NODE, "exhibits": exhibits, "comparisons": kept, "ablations": ablations,
                        "figure": {"reading": "cooperation", "points": points}})  # fmt: skip
    path = tmp_path / "rows.json"
    code = claims(["z"], fast=True, ablations=True, runs=tmp_path / "runs", page=tmp_path / "docs", as_json=path,
                  command="sandbox claims z", jobs=1)  # fmt: skip
    found = json.loads(path.read_text())
    assert code == 0
    assert {"claim", "measured", "control", "n", "interval", "verdict"} <= found[0].keys()
    assert [one["ablation"] for one in found] == ["", "", "no_gain", "fewer_learners"]
    assert [one["raw"] for one in found] == ["supported", "supported", "not supported", "supported"]
    page = (tmp_path / "docs" / "claims.md").read_text()
    for text in ("**What would have refuted it:** Equal weights.", "| **supported** |", "## What breaks them",
                 "2 comparisons"):  # fmt: skip
        assert text in page
    assert (tmp_path / "docs" / "claims" / "z.png").stat().st_size > 10_000
    assert "z: supported" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="the letter of a claim; got 'y'"):
        claims(["y"], fast=True, ablations=False, runs=tmp_path, page=None, as_json=None, command="")


# ---- registered, and on the loop ------------------------------------------------------------------------------------


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's working folder, under git, with a claim about two runs of the loop."""
    node = {key: value for key, value in NODE.items() if key not in ("exhibits", "ablations", "figure")}
    rates = {"z_slow": 0.01, "z_fast": 0.2}
    conf = tmp_path / "conf"
    (conf / "claim").mkdir(parents=True)
    (conf / "experiment" / "claim").mkdir(parents=True)
    for name, rate in rates.items():
        (conf / "experiment" / "claim" / f"{name}.yaml").write_text(
            "# @package _global_\ndefaults:\n  - override /preset: null\n  - override /task: quadratic\n"
            "  - override /rule: sgd\n  - override /meta_learner: none\n  - override /meter: [performance]\n"
            f"label: {name}\nsteps: 2\nrule:\n  lr: {rate}\n")  # fmt: skip
    comparison = {"say": "haste lowers P", "reading": "performance/process", "arm": "z_fast", "than": "z_slow",
                  "below": -0.1}  # fmt: skip
    ablation = {"kind": "mechanism", "say": "no haste", "of": ["haste"], "arms": ["z_fast"],
                "words": ["rule.lr=0.01"]}  # fmt: skip
    points = {"slow": "z_slow", "fast": "z_fast"}
    claim = {**node, "arms": list(rates), "comparisons": {"haste": comparison}, "ablations": {"none": ablation},
             "seeds": 4, "fast": {"seeds": 3},
             "figure": {"reading": "performance/process", "points": points}}  # fmt: skip
    (conf / "claim" / "z.yaml").write_text(yaml.safe_dump(claim))
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    return tmp_path


def tried(folder: Path, **how) -> tuple[list[dict], str]:
    """The rows and the page of `sandbox claims z`."""
    given = {"fast": False, "ablations": False, "page": None, "command": "sandbox claims z", "jobs": 1, **how}
    claims(["z"], runs=folder / "claims", as_json=folder / "rows.json", **given)
    return json.loads((folder / "rows.json").read_text()), (folder / "claims" / "claims.md").read_text()


def test_a_claim_about_runs_says_whether_its_criteria_are_older(folder: Path) -> None:
    found, page = tried(folder, fast=True, ablations=True)
    assert [(one["n"], one["raw"]) for one in found] == [(3, "supported"), (3, "not supported")]
    assert "Its criteria are in no commit" in page
    git("add", "conf")
    git("commit", "-qm", "criteria")
    _, page = tried(folder)
    assert "those of commit" in page
    assert "mended since" not in page
    text = folder / "conf" / "claim" / "z.yaml"
    text.write_text(text.read_text().replace("Coins are not fair.", "Haste makes waste."))
    assert "Its words were mended since" in tried(folder)[1]
    text.write_text(text.read_text().replace("below: -0.1", "below: -0.2"))
    assert "differed from their last commit" in tried(folder)[1]  # another criterion: measured anew
