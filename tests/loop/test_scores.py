"""What is scored of a horizon, by gates and hypergradients alike; and a trial as data that any process can live."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Grad, Level, Needs, Params
from sandbox.core.record import Standing
from sandbox.core.score import Over, Score
from sandbox.core.state import join
from sandbox.gate.always import Always
from sandbox.loop.lived import Wanted
from sandbox.loop.trial import Trial
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.rule.sgd import SGD

LR = "rule/lr"
OVERS: tuple[Over, ...] = ("end", "life", "improvement")


def by_hand(made, state, steps: int, split, stream: str) -> dict[str, Tensor]:
    """Each kind of score, from unrolls of one step."""
    with torch.no_grad():
        began, along = state, []
        for _ in range(steps):
            state, _ = made.engine.unroll(made.world, state, 1, stream, None)
            along.append(made.engine.scores(made.world, state, split, stream))
        before = made.engine.scores(made.world, replace(began, t=state.t), split, stream)
    return {"end": along[-1], "life": sum(along) / steps, "improvement": along[-1] - before}


@pytest.mark.parametrize("over", OVERS)
def test_a_horizon_is_scored_at_the_moments_that_are_wanted(over: Over, loop, sines):
    made = loop(sines(tasks=2), horizon=4)
    start = made.start([0, 1])
    wanted = Wanted((Score("process", over),), "gate")
    found = made.live(1, start, 1, "x", None, "trial", wanted=wanted).scores[Score("process", over)]
    torch.testing.assert_close(found, by_hand(made, start.state, 4, "gate", "x")[over], rtol=1e-12, atol=1e-14)


def test_asking_for_more_scores_changes_none(loop, sines):
    made = loop(sines(), horizon=3)
    start = made.start([0])
    every = tuple(Score("process", over) for over in OVERS)
    together = made.live(1, start, 1, "x", None, "trial", wanted=Wanted(every, "gate"))
    for score in every:
        alone = made.live(1, start, 1, "x", None, "trial", wanted=Wanted((score,), "gate"))
        torch.testing.assert_close(alone.scores[score], together.scores[score], rtol=1e-12, atol=0)
        assert all(torch.equal(alone.standing.state.params[name], weight)
                   for name, weight in together.standing.state.params.items())  # fmt: skip


@dataclass(frozen=True)
class Keeps:
    """A gate that keeps what it was shown."""

    score: Score
    trials: int = 2
    shown: list[tuple[Tensor, Tensor]] = field(default_factory=list[tuple[Tensor, Tensor]])

    def init(self) -> Params:
        return {}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        self.shown.append((incumbent, candidate))
        return False, "", memory


@pytest.mark.parametrize("over", OVERS)
def test_a_gate_is_shown_the_score_that_it_names(over: Over, loop, sines, scripted):
    gate = Keeps(Score("process", over))
    doubled = scripted(lambda psi, seen: (Edit({LR: seen.visible[LR] * 2}), psi))
    made = loop(sines(), doubled, gate)
    start = made.start([0, 1])
    incumbent = made.live(1, start, 1, "life", None, "real").standing.state
    made.reflect(1, start, 1, "life")
    for k in range(2):
        hand = by_hand(made, incumbent, 3, "gate", f"life/1/trial/1/{k}")[over]
        for s in range(2):
            torch.testing.assert_close(gate.shown[s][0][k], hand[s], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(gate.shown[0][0], gate.shown[0][1])


@pytest.mark.parametrize("over", OVERS)
def test_a_hypergradient_is_of_the_score_that_it_names(over: Over, loop, sines, watches):
    @dataclass(frozen=True)
    class Watching(watches):
        @property
        def needs(self) -> Needs:
            return Needs(grads=(Grad("process", LR, over=over),), vmapped=False)

    watching = Watching(LR)
    made = loop(sines(), watching, horizon=4)
    start = made.start([3])
    made.reflect(1, start, 1, "life")

    def p(shift: float) -> float:
        state = replace(start.state, rule={"lr": start.state.rule["lr"] + shift})
        return float(by_hand(made, state, 4, "practice", "life")[over].mean())

    assert float(watching.found[0]) == pytest.approx((p(1e-6) - p(-1e-6)) / 2e-6, rel=1e-5)


def test_a_whole_life_can_not_be_truncated(loop, sines):
    with pytest.raises(ConfigError, match="over a whole life"):
        loop(sines(), MetaGradient(edits=(LR,), over="life", adjoint=Adjoint(truncate=2)))
    loop(sines(), MetaGradient(edits=(LR,), over="life", adjoint=FULL))


# ---- trials as data -------------------------------------------------------------------------------------------------


def trial(loop, sines, n: int = 1) -> Trial:
    above = (Level(MetaGradient(edits=("meta/1/lr",)), Always(), 2),) if n == 2 else ()
    made = loop(sines(SGD(lr=0.01), tasks=2), MetaGradient(edits=(LR,), optimizer="sgd"), above=above)
    state = made.start([0, 1]).state
    candidate = replace(state, rule={"lr": state.rule["lr"] * 2})
    return Trial(made, n, join(state, candidate), 1, "life/1/trial/1/0", (Score(), Score(over="life")))


@pytest.mark.parametrize("n", [1, 2])
def test_a_trial_survives_the_way_to_another_process(n: Literal[1, 2], loop, sines, tmp_path):
    mine = trial(loop, sines, n)
    here = mine.outcome()
    (tmp_path / "trial").write_bytes(pickle.dumps(mine))
    code = ("import pickle, sys, pathlib as p, torch; torch.set_num_threads(1); f = p.Path(sys.argv[1]);"
            "(f / 'out').write_bytes(pickle.dumps(pickle.loads((f / 'trial').read_bytes()).outcome()))")  # fmt: skip
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    there = pickle.loads((tmp_path / "out").read_bytes())
    assert there.keys() == here.keys()
    for score, values in here.items():
        assert torch.equal(values, there[score])


def test_incumbent_and_candidate_side_by_side_score_what_each_scores_alone(loop, sines):
    both = trial(loop, sines)
    alone = loop(sines(tasks=2), horizon=3)
    for half, scale in ((slice(0, 4), 1), (slice(4, 8), 2)):
        state = alone.start([0, 1]).state
        state = replace(state, rule={"lr": state.rule["lr"] * scale})
        standing = Standing(state, state, torch.zeros(2, dtype=torch.bool))
        live = partial(alone.live, 1, standing, 1, "life/1/trial/1/0", None, "trial")
        found = live(wanted=Wanted((Score(),), "gate")).scores[Score()]
        torch.testing.assert_close(both.outcome()[Score()][half], found, rtol=1e-12, atol=1e-14)
