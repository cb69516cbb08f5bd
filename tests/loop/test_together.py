"""What a review found: rows that repeat, lives that are asked, seeds that are refused are each treated as if alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, ContractError
from sandbox.core.journal import Question
from sandbox.core.protocols import Heard, Level, Needs, Params, Seen
from sandbox.core.record import Verdict
from sandbox.gate.always import Always
from sandbox.gate.better import Better
from sandbox.meta_learner.es import ES
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.self_adaptive import SelfAdaptive
from sandbox.meter.merge import Merge

LR = "rule/lr"
BY_LIFE = frozenset({"params", "slots", "task", "rule"})


@dataclass(frozen=True)
class Asks:
    """Is told a rate that depends on its psi, and asks for it; keeps its questions."""

    asked: list[tuple[Question, float]] = field(default_factory=list[tuple[Question, float]])

    @property
    def needs(self) -> Needs:
        return Needs(edits=(LR,), answers=True)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {"k": torch.tensor(0.01, dtype=torch.float64)}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        return Edit({LR: seen.answer["lr"]}), psi

    def consult(self, question: Question, psi: Params, seen: Seen) -> Mapping[str, Tensor]:
        self.asked.append((question, float(psi["k"])))
        return {"lr": psi["k"]}


def test_candidates_that_are_told_things_are_each_told_their_own(loop, sines):
    asks = Asks()
    es = ES(edits=("meta/1/k",), pairs=2, sigma=1e-3, lr=1e-9, most=1)
    made = loop(sines(), asks, horizon=1, above=(Level(es, Better(), 2),))
    list(made.run([0, 1], 1))
    crowd = [(question, k) for question, k in asks.asked if "/vary/" in question.stream]
    assert len({k for _, k in crowd}) == len({(question.seed, question.row) for question, _ in crowd}) == 8
    paired = {(question.seed, question.row): k for question, k in asks.asked if "/trial/" in question.stream}
    assert all(paired[s, 0] != paired[s, 1] for s in (0, 1))


def test_lives_that_edit_themselves_draw_each_their_own_noise(loop, sines):
    world = replace(sines(tasks=3), per_lane=BY_LIFE)
    record = list(loop(world, SelfAdaptive(edits=(LR,), sigma=1e-3, most=1)).run([0, 1], 1))[-1]
    assert len(set(record.state.rule["lr"].tolist())) == 6


def test_psi_and_memory_begin_from_each_seed_s_own(loop, sines):
    @dataclass(frozen=True)
    class Begins:
        needs: Needs = field(default=Needs(edits=("init/layers.0.weight",), reads=("init/layers.0.weight",)))

        def init(self, edited: Mapping[str, Tensor]) -> Params:
            return {"norm": edited["init/layers.0.weight"].norm()}

        def memory(self, psi: Params) -> Params:
            return {"twice": psi["norm"] * 2}

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            return Edit(), psi

    together = loop(sines(), Begins()).start([0, 1]).state
    for s in (0, 1):
        alone = loop(sines(), Begins()).start([s]).state
        assert torch.equal(together.meta["1"]["norm"][s : s + 1], alone.meta["1"]["norm"])
        assert torch.equal(together.memory["1"]["twice"][s : s + 1], alone.memory["1"]["twice"])


def test_a_memory_under_a_name_of_psi_is_refused(loop, sines, monkeypatch):
    monkeypatch.setattr(Asks, "memory", lambda self, psi: {"k": psi["k"] * 0}, raising=False)
    with pytest.raises(ContractError, match=r"names that psi does not use; got \['k'\]"):
        loop(sines(), Asks()).start([0])


@dataclass(frozen=True)
class Listens:
    """Remembers what it heard; asks for what is not finite where its noise is high."""

    vmapped: bool = True
    raises: bool = False

    @property
    def needs(self) -> Needs:
        return Needs(edits=(LR,), reads=(LR,), noise=1, vmapped=self.vmapped)

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return {}

    def memory(self, psi: Params) -> Params:
        return {"heard": torch.zeros((), dtype=torch.float64)}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        if self.raises and seen.noise[0] > 0.5:
            raise ValueError("not today")
        bad = torch.where(seen.noise[0] > 0.5, torch.inf, 1.0).to(seen.visible[LR].dtype)
        return Edit({LR: seen.visible[LR] * bad}), psi

    def tell(self, psi: Params, heard: Heard) -> Params:
        return {"heard": psi["heard"] + heard.incumbent.nan_to_num(-100)}


@pytest.mark.parametrize("vmapped", [True, False])
def test_a_seed_hears_in_a_batch_what_it_hears_alone(vmapped, loop, sines):
    made = loop(sines(), Listens(vmapped), Better(), faults="refuse")
    together = list(made.run(range(6), 2))[-1]
    assert {Verdict.REFUSED, Verdict.REJECTED} <= set(together.verdict)
    for s in range(6):
        alone = list(made.run([s], 2))[-1]
        torch.testing.assert_close(together.state.memory["1"]["heard"][s], alone.state.memory["1"]["heard"][0])


def test_an_exception_of_one_row_refuses_its_seed_alone(loop, sines):
    made = loop(sines(), Listens(vmapped=False, raises=True), faults="refuse")
    together = list(made.run(range(6), 2))[-1]
    assert {Verdict.REFUSED, Verdict.ACCEPTED} == set(together.verdict)
    for s in range(6):
        assert together.verdict[s] == list(made.run([s], 2))[-1].verdict[0]
        assert ("not today" in together.why[s]) == (together.verdict[s] is Verdict.REFUSED)


@pytest.mark.parametrize("path", ["params", "slots", "memory/1", "rule"])
def test_what_is_reborn_can_not_be_edited(path, loop, sines, scripted):
    editor = scripted(lambda psi, seen: (Edit(), psi), Needs(edits=(path,)))
    with pytest.raises(ConfigError, match="edits of what outlives an episodic life"):
        loop(replace(sines(), per_lane=BY_LIFE), editor, lifetime="episodic")


def test_edits_of_seeds_and_of_lives_do_not_mix(loop, sines, scripted):
    editor = scripted(lambda psi, seen: (Edit(), psi), Needs(edits=(LR, "init")))
    with pytest.raises(ConfigError, match="all have a row a seed, or all a row a life"):
        loop(replace(sines(tasks=2), per_lane=BY_LIFE), editor).start([0])


def test_an_allow_list_may_be_relative_too(loop, sines):
    made = loop(sines(), SelfAdaptive(edits=(LR,), sigma=1e-4, most=1), Better(), allow=("rule", "./sigma"))
    assert list(made.run([0], 1))


def test_an_improvement_over_lives_that_end_within_it_is_refused(loop, sines):
    above = (Level(MetaGradient(edits=("meta/1/lr",), over="improvement"), Always(), 2),)
    with pytest.raises(ConfigError, match="episodic lives below level 2"):
        loop(sines(), MetaGradient(), lifetime="episodic", above=above)


def test_m_is_not_read_of_an_editor_that_a_whole_tape_would_change(loop, bowl):
    def read(adjoint: Adjoint) -> Mapping[str, Tensor]:
        editor = MetaGradient(edits=(LR,), optimizer="sgd", adjoint=adjoint)
        return list(loop(bowl(), editor, meters=(Merge(every=1, probes=2, partitions=1),)).run([0], 1))[-1].readings

    assert "merge/m" in read(Adjoint())
    assert not read(Adjoint(first_order=True))
    assert not read(Adjoint(truncate=1))
