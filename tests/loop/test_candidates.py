"""Candidates: lived side by side on one stream, scored on practice data, and dead where they diverge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, EditError
from sandbox.core.protocols import Level, Needs, Params, Seen
from sandbox.core.random import uniforms
from sandbox.core.record import Standing, Verdict
from sandbox.core.state import put
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.gate.better import Better
from sandbox.gate.paired_t import PairedT
from sandbox.meta_learner.es import ES
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.rule.sgd import SGD

LR = "rule/lr"
RATES = (0.001, 0.02, 0.004)


@dataclass(frozen=True)
class Tries:
    """Tries the learning rates `rates` and asks for the one that scores best; keeps what it was shown in `seen`."""

    rates: tuple[float, ...] = RATES
    seen: list[Seen] = field(default_factory=list[Seen])
    vmapped: bool = False

    @property
    def needs(self) -> Needs:
        return Needs(edits=(LR,), reads=(LR,), population=len(self.rates), vmapped=self.vmapped)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def vary(self, psi: Params, seen: Seen) -> Mapping[str, Tensor]:
        return {LR: torch.tensor(self.rates, dtype=seen.visible[LR].dtype)}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        self.seen.append(seen)
        best = seen.scores.argmin()
        return Edit({LR: seen.candidates[LR].gather(0, best[None])[0]}), psi


def test_each_candidate_scores_what_its_life_alone_scores(loop, sines, same):
    tries = Tries()
    made = loop(sines(tasks=2), tries)
    start = made.start([5, 6])
    after = made.reflect(1, start, 1, "life").standing
    lived = made.live(1, start, 1, "life", None, "real").standing.state
    for s in range(2):
        for k, rate in enumerate(RATES):
            with_it = put(lived, {LR: torch.full((2,), rate, dtype=torch.float64)})
            end = made.live(1, replace(after, state=with_it), 1, "life/1/vary/1", None, "trial").standing.state
            with torch.no_grad():
                score = made.engine.scores(made.world, end, "practice", "life/1/vary/1").reshape(2, -1)[s].mean()
            assert float(tries.seen[s].scores[k]) == pytest.approx(float(score), rel=1e-12)
            assert bool(tries.seen[s].alive[k])
    best = [RATES[int(seen.scores.argmin())] for seen in tries.seen]
    assert after.state.rule["lr"].tolist() == pytest.approx(best)
    assert same(after.state, lived, "params", "slots", "task")  # a candidate's life leaves no mark


def test_a_candidate_that_dies_is_told_as_dead_and_is_never_the_best(loop, sines, lived):
    tries = Tries(rates=(1e30, 0.01, float("nan")))
    records = lived(loop(sines(dtype="float32"), tries), seeds=2, steps=2)
    for seen in tries.seen:
        assert seen.alive.tolist() == [False, True, False]
        assert seen.scores.tolist()[0] == seen.scores.tolist()[2] == float("inf")
        assert seen.scores[1].isfinite()
    assert records[-1].state.rule["lr"].tolist() == pytest.approx([0.01] * 2)
    assert all(record.verdict == [Verdict.ACCEPTED] * 2 for record in records[1:])


def test_candidates_of_a_batch_of_seeds_are_those_of_each_alone(loop, sines, lived):
    together, alone = Tries(), Tries()
    lived(loop(sines(), together), seeds=[3, 4], steps=1)
    for seed in (3, 4):
        lived(loop(sines(), alone), seeds=[seed], steps=1)
    for a, b in zip(together.seen, alone.seen, strict=True):
        torch.testing.assert_close(a.scores, b.scores, rtol=1e-12, atol=0)


def test_lives_that_edit_themselves_vary_each_for_itself(loop, sines):
    tries = Tries()
    world = replace(sines(tasks=3), per_lane=frozenset({"params", "slots", "task", "rule"}))
    made = loop(world, tries)
    after = made.reflect(1, made.start([1, 2]), 1, "life").standing.state
    assert len(tries.seen) == 6
    assert after.rule["lr"].tolist() == pytest.approx([RATES[int(seen.scores.argmin())] for seen in tries.seen])
    assert len({tuple(seen.scores.tolist()) for seen in tries.seen}) == 6


def test_candidates_that_change_nothing_differ_by_luck_where_lives_are_unpaired(loop, sines, lived):
    paired, apart = Tries(rates=(0.01,) * 3), Tries(rates=(0.01,) * 3)
    made = loop(sines(), paired, Better())
    same = lived(made, seeds=1, steps=1)[-1]
    assert len(set(paired.seen[0].scores.tolist())) == 1
    after, before = (word.split()[0] for word in same.why[0].split(" after, "))
    assert after == before
    alone = lived(replace(loop(sines(), apart, Better()), unpaired=True), seeds=1, steps=1)[-1]
    assert len(set(apart.seen[0].scores.tolist())) == 3
    after, before = (float(word.split()[0]) for word in alone.why[0].split(" after, "))
    assert after != before


def test_a_population_of_another_size_is_malformed(loop, sines, lived, monkeypatch):
    monkeypatch.setattr(Tries, "vary", lambda self, psi, seen: {LR: torch.ones(2, dtype=torch.float64)})
    with pytest.raises(EditError, match="3 candidates at 'rule/lr'"):
        lived(loop(sines(), Tries()))


def test_a_population_without_vary_is_refused(loop, sines, scripted, lived):
    editor = scripted(lambda psi, seen: (Edit(), psi), Needs(edits=(LR,), population=2))
    with pytest.raises(ConfigError, match="a meta-learner with `vary`"):
        lived(loop(sines(), editor))


def test_tell_hears_what_the_gate_measured(loop, sines, lived):
    @dataclass(frozen=True)
    class Listens:
        needs: Needs = field(default=Needs(edits=(LR,), reads=(LR,)))

        def init(self, edited: Mapping[str, Tensor]) -> Params:
            return {name: torch.zeros((), dtype=torch.float64) for name in ("accepted", "incumbent", "candidate")}

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            return Edit({LR: seen.visible[LR] * 2}), psi

        def tell(self, psi: Params, heard) -> Params:
            return {name: value.double().nan_to_num(-1) for name, value in vars(heard).items()}

    record = lived(loop(sines(), Listens(), Better()), seeds=3, steps=1)[-1]
    psi = record.state.meta["1"]
    for s, why in enumerate(record.why):
        after, before = (float(word.split()[0]) for word in why.split(" after, "))
        assert float(psi["candidate"][s]) == pytest.approx(after, rel=1e-3)
        assert float(psi["incumbent"][s]) == pytest.approx(before, rel=1e-3)
        assert float(psi["accepted"][s]) == (record.verdict[s] is Verdict.ACCEPTED)
    unjudged = lived(loop(sines(), Listens(), Always()), seeds=1, steps=1)[-1].state.meta["1"]
    assert unjudged["candidate"].tolist() == [-1]  # it was judged without a trial
    assert unjudged["accepted"].tolist() == [1]


# ---- the proving member ---------------------------------------------------------------------------------------------


def test_es_follows_the_slope_that_its_pairs_measure(loop, bowl):
    """On a bowl without noise, the estimate over many pairs is the derivative of P in lr one horizon on."""
    es = ES(edits=(LR,), pairs=400, sigma=1e-4, lr=1e-6, most=1)
    made = loop(bowl(SGD(lr=0.05)), es, horizon=2)
    start = made.start([0])
    state = made.live(1, start, 1, "life", None, "real").standing.state

    def p(lr: float) -> float:
        at = put(state, {LR: torch.tensor([lr], dtype=torch.float64)})
        end = made.live(1, Standing(at, at, torch.zeros(1, dtype=torch.bool)), 1, "x", None, "trial").standing.state
        return float(made.engine.scores(made.world, end, "practice", "x").mean())

    slope = (p(0.05 + 1e-5) - p(0.05 - 1e-5)) / 2e-5
    moved = float(made.reflect(1, start, 1, "life").standing.state.rule["lr"]) - 0.05
    assert -moved / 1e-6 == pytest.approx(slope, rel=0.2)  # sampling error of 400 pairs


def test_es_lowers_p_on_a_bowl(loop, bowl):
    made = loop(bowl(SGD(lr=0.01)), ES(edits=(LR,), pairs=4, sigma=0.01, lr=1e-3, most=1), lifetime="episodic")
    last = list(made.run([0, 1], 20))[-1].state.rule["lr"]
    assert bool((last > 0.05).all())


def test_es_ignores_a_pair_of_which_one_is_dead() -> None:
    es = ES(edits=("rule/x",), pairs=2, sigma=0.5, lr=1.0, most=1)
    seen = Seen(
        own=torch.zeros(1), process=torch.zeros(()), grad={}, visible={"rule/x": torch.zeros(())},
        noise=torch.tensor([0.8413447460685429, 0.9], dtype=torch.float64), step=torch.tensor(0),
        scores=torch.tensor([3.0, torch.inf, 1.0, 5.0]), alive=torch.tensor([True, False, True, True]),
    )  # fmt: skip
    edit, _ = es.ask({}, seen)
    assert float(edit.set["rule/x"]) == pytest.approx(-(3 - 1) / (2 * 0.5), rel=1e-6)  # e = 1


def test_a_population_at_level_two_lives_reflective_steps(loop, sines):
    es = ES(edits=("meta/1/lr",), pairs=2, sigma=1e-4, lr=1e-6, most=1)

    made = loop(
        sines(), MetaGradient(edits=(LR,), optimizer="sgd", lr=1e-3), horizon=1, above=(Level(es, Always(), 2),)
    )
    records = [record for record in made.run([0, 1], 2) if record.level == 2]
    assert records[-1].verdict == [Verdict.ACCEPTED] * 2
    assert bool((records[-1].state.meta["1"]["lr"] != 1e-3).all())


def test_what_screens_candidates_and_what_confirms_them_share_no_stream(loop, sines):
    """A stream of its own for the life, for each step's candidates and for each trial of the gate."""
    heard: list[str] = []

    class Overheard(Functional):
        def unroll(self, world, state, steps, stream, adjoint):
            heard.append(stream)
            return super().unroll(world, state, steps, stream, adjoint)

    made = replace(loop(sines(), Tries(), PairedT(trials=3)), engine=Overheard(), check=False)
    list(made.run([0], 2))
    screened, confirmed = ({name for name in heard if word in name} for word in ("/vary/", "/trial/"))
    assert (len(screened), len(confirmed)) == (2, 6)
    assert not screened & confirmed
    assert "life" in heard
    drawn = [uniforms(torch.tensor([0]), f"{name}/practice", 0, (4,)) for name in (*screened, *confirmed)]
    assert len({tuple(row.flatten().tolist()) for row in drawn}) == 8
