"""The A/A table counts what it says, and tells a gate that keeps its level from one that does not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sandbox import check
from sandbox.compose import composed
from sandbox.core.error import LifeError
from sandbox.core.protocols import Params, Score
from sandbox.experiment import build_loop
from sandbox.gate.always import Always
from sandbox.gate.better import Better
from sandbox.gate.paired_t import PairedT
from sandbox.loop.trial import Trial

GATES = {path.stem for path in (Path(__file__).parents[1] / "conf" / "gate").glob("*.yaml")}
TINY = ["task=sinusoid", "rule=sgd", "rule.lr=0.001", "horizon=2", "model.hidden=[5]"]


SCORE = Score()


@dataclass(frozen=True)
class Loose:
    """States a level of .05 and accepts a gain of any size."""

    alpha: float = 0.05
    trials: int = 2
    score: Score = SCORE

    def init(self) -> Params:
        return {}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        return bool(candidate.mean() < incumbent.mean()), "", memory


@pytest.fixture(scope="module")
def null() -> tuple[check.Scores, check.Scores]:
    """Independent normal scores [100 edits, 5 trials, 32 runs, 4 examples]: nothing differs but luck."""
    drawn = torch.randn(2, 100, 5, 32, 4, generator=torch.Generator().manual_seed(0))
    return {SCORE: drawn[0]}, {SCORE: drawn[1]}


def said(gate: Any, null: tuple[check.Scores, check.Scores]) -> str:
    return check.verdict(*check.count(check.verdicts(gate, *null), gate))


# ---- counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [PairedT(), PairedT(spending="none"), PairedT(trials=2, alpha=0.1, spending="none")])
def test_a_t_test_on_independent_trials_keeps_its_level(gate, null):
    assert said(gate, null) == "holds"


def test_a_gate_that_accepts_any_gain_fails_the_level_it_states(null):
    assert said(Loose(), null) == "FAILS"


def test_a_t_test_without_spending_would_fail_if_it_meant_a_run(null):
    edits, runs = check.count(check.verdicts(PairedT(spending="none"), *null), PairedT())
    assert runs.accepts > 25
    assert check.verdict(edits, runs) == "FAILS"


def test_a_gate_without_a_level_states_none(null):
    assert said(Always(), null) == "FAILS: states no level, accepts 100%"
    assert said(Better(), null).startswith("FAILS: states no level, accepts ")
    assert 0.45 < check.verdicts(Better(), *null).double().mean() < 0.55


def test_shares_are_counted_by_edit_and_by_run():
    accepted = torch.tensor([[True, False, False], [True, False, True]])
    edits, runs = check.count(accepted, PairedT(alpha=0.01))
    assert (edits.accepts, edits.n, edits.level) == (3, 6, None)
    assert (runs.accepts, runs.n, runs.level) == (2, 3, 0.01)
    edits, runs = check.count(accepted, PairedT(alpha=0.01, spending="none"))
    assert (edits.level, runs.level) == (0.01, None)


def test_the_interval_is_the_exact_one():
    """Clopper & Pearson (1934): for 0 of n it ends at 1 - .025^(1/n)."""
    low, high = check.Share(0, 32, 0.05).interval
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 32))
    assert check.Share(4, 32, 0.05).holds
    assert not check.Share(5, 32, 0.05).holds


def test_the_memory_of_a_gate_goes_from_edit_to_edit(null):
    """Spending makes late accepts rarer: with the first edit's level at each they would be as many."""
    accepted = check.verdicts(PairedT(alpha=0.4, budget=1), *null).double().mean(dim=1)
    assert accepted[0] > 0.2
    assert accepted[50:].mean() < 0.05


# ---- what is compared -----------------------------------------------------------------------------------------------


def test_incumbent_and_candidate_are_one_state_on_different_streams():
    loop = build_loop(composed([*TINY, "meta_learner=none", "meter=[]"]))
    before, after = check.null_scores(loop, range(3), 4, [PairedT(trials=2), Better(), Always()])
    assert before.keys() == after.keys() == {SCORE}
    assert before[SCORE].shape == after[SCORE].shape == (4, 2, 3, 10)
    assert (before[SCORE] != after[SCORE]).all()
    standing = loop.start(range(3))
    standing = replace(standing, state=loop.engine.unroll(loop.world, standing.state, 4, "life", None)[0])
    for side, found in (("incumbent", before), ("candidate", after)):
        state, _ = loop.engine.unroll(loop.world, standing.state, 2, f"check/3/{side}/1", None)
        scores = loop.engine.scores(loop.world, state, "gate", f"check/3/{side}/1")
        assert torch.equal(found[SCORE][2, 1], scores)


def test_a_rule_that_diverges_is_told():
    loop = build_loop(composed(["task=quadratic", "rule=sgd", "rule.lr=1e20", "meta_learner=none", "meter=[]"]))
    with pytest.raises(LifeError, match="finite scores of the fixed rule"):
        check.null_scores(loop, range(2), 2, [Better()])


# ---- the table ------------------------------------------------------------------------------------------------------


def test_the_configured_gate_is_first_and_all_of_conf_follow():
    node = composed(["gate=paired_t", "gate.alpha=0.1"])["gate"]
    gates = check.contenders(node)
    assert next(iter(gates)) == "paired_t, alpha 0.1"
    assert gates["paired_t, alpha 0.1"] == PairedT(alpha=0.1)
    assert {name.partition(",")[0] for name in gates} == GATES
    assert gates["paired_t"] == PairedT()
    assert gates["paired_t, unit example"] == PairedT(unit="example")
    assert gates["paired_t, spending none"] == PairedT(spending="none")


def test_all_judge_by_the_configured_gate_s_objective():
    gates = check.contenders(composed(["gate=better", "gate.score.objective=calibrated"])["gate"])
    assert next(iter(gates)) == "better, objective calibrated"
    assert {gate.score for name, gate in gates.items() if name != "always"} == {Score("calibrated")}
    assert "paired_t, objective calibrated" in gates


@dataclass(frozen=True)
class Foreign(Loose):
    """A stranger's gate that names two variants of itself."""

    rigour: int = field(default=1, metadata={"variants": (2, 3)})


def test_a_stranger_s_gate_is_followed_by_its_variants():
    gates = check.contenders({"_target_": f"{__name__}.Foreign", "rigour": 1}, ["tests"])
    assert [gate.rigour for gate in gates.values() if isinstance(gate, Foreign)] == [1, 2, 3]
    assert [name.partition(", ")[2] for name in list(gates)[:3]] == ["rigour 1", "rigour 2", "rigour 3"]


def test_the_default_gate_has_one_line():
    assert list(check.contenders(composed(["gate=better"])["gate"])).count("better") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("gate", "code"), [("paired_t", 0), ("better", 1), ("always", 1)])
def test_the_command_says_whether_the_configured_gate_holds(gate, code, monkeypatch, capsys):
    monkeypatch.setattr(check, "SEEDS", 4)
    monkeypatch.setattr(check, "EDITS", (3, 6))
    monkeypatch.setenv("COLUMNS", "140")
    assert check.main(composed([*TINY, f"gate={gate}", "seeds=1"])) == code
    printed = capsys.readouterr().out
    assert "4 runs" in printed
    [marked] = [line for line in printed.splitlines() if "▸" in line]
    assert marked.split()[1:3] == [gate, "3"]
    assert ("holds" if code == 0 else "FAILS: states no level") in marked
    [always] = [line for line in printed.splitlines() if " always " in line]
    assert " ".join(always.split()).count("1.000 [.735, 1.000] 1.000 [.398, 1.000]")  # of 12 edits, of 4 runs
    assert "every accept is false" in printed.replace("\n", " ")


@pytest.mark.slow
def test_the_paired_t_test_holds_in_a_life_of_sine_waves():
    assert check.main(composed([*TINY, "gate=paired_t"])) == 0


def test_a_rule_of_programs_is_judged_against_its_own_programs_in_other_words():
    loop = build_loop(composed([*TINY, "rule=program", "meta_learner=none", "preset=[]", "meter=[]"]))
    state = loop.start([0, 1]).state
    other = check.reworded(loop, state, 1)
    assert not torch.equal(other.rule["loss"], state.rule["loss"])
    assert not torch.equal(other.rule["loss"][0], other.rule["loss"][1])
    kinds = (SCORE,)
    one, two = (Trial(loop, 1, found, 1, "same", kinds).outcome()[SCORE] for found in (state, other))
    assert torch.equal(one, two)  # on one stream they are one in every bit
    fixed = build_loop(composed([*TINY, "meta_learner=none", "preset=[]", "meter=[]"]))
    begun = fixed.start([0]).state
    assert check.reworded(fixed, begun, 1) is begun
