"""The judge: each gate sees the trials that it asked for, and nothing that a gate does reaches the run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ContractError
from sandbox.core.protocols import Params, Score
from sandbox.core.record import Verdict
from sandbox.engine.functional import Functional

LR = "rule/lr"


@dataclass(frozen=True)
class Sees:
    """A gate that keeps the shapes that it is shown; it accepts where `accepts`."""

    trials: int
    accepts: bool = True
    score: Score = field(default=Score())
    shown: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])

    def init(self) -> Params:
        return {"asked": torch.zeros((), dtype=torch.float64)}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        self.shown.append(tuple(incumbent.shape))
        assert incumbent.shape == candidate.shape
        return self.accepts, f"{len(incumbent)} trials", {"asked": memory["asked"] + 1}


@pytest.fixture
def doubles(scripted):
    return scripted(lambda psi, seen: (Edit({LR: seen.visible[LR] * 1.1}), psi))


@pytest.mark.parametrize(("own", "anchor"), [(1, 3), (3, 1), (0, 2), (2, 0), (2, 2)])
def test_gate_and_anchor_see_the_trials_that_each_asked_for(own, anchor, loop, sines, doubles, lived):
    gate, frozen = Sees(own), Sees(anchor, accepts=False)
    record = lived(loop(sines(tasks=2), doubles, gate, anchor=frozen), seeds=2, steps=1)[-1]
    assert [shape[0] for shape in gate.shown] == [own] * 2
    assert [shape[0] for shape in frozen.shown] == [anchor] * 2
    assert record.verdict == [Verdict.ACCEPTED] * 2
    assert record.why == [f"{own} trials"] * 2
    assert record.anchor == [f"rejected: {anchor} trials"] * 2


@pytest.mark.parametrize("anchor", [1, 4])
def test_an_anchor_moves_no_verdict_and_no_weight(anchor, loop, sines, doubles, lived, same):
    with_it, without = (lived(loop(sines(), doubles, Sees(2), anchor=other)) for other in (Sees(anchor, False), None))
    assert [record.verdict for record in with_it] == [record.verdict for record in without]
    assert same(with_it[-1].state, without[-1].state, "params", "rule", "meta")


def test_what_a_gate_does_to_the_generators_is_undone(loop, sines, doubles, lived, outside, monkeypatch):
    def meddles(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float64)
        return True, "", memory

    monkeypatch.setattr(Sees, "decide", meddles)
    made = loop(sines(), doubles, Sees(1))
    start = made.start([0])
    before = outside()
    made.reflect(1, start, 1, "life")  # outside `run`, which has a guard of its own
    assert outside() == before


def test_a_gate_that_writes_in_place_is_noticed(loop, sines, doubles, lived, monkeypatch):
    def writes(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        memory["asked"].add_(1)
        return True, "", memory

    monkeypatch.setattr(Sees, "decide", writes)
    with pytest.raises(ContractError, match=r"Sees.decide.*a write in place"):
        lived(loop(sines(), doubles, Sees(1)))


def test_non_finite_weights_under_finite_losses_are_rolled_back(loop, sines, scripted, lived, monkeypatch):
    """A loss can stay finite where a weight that it does not reach has gone: the weights themselves are looked at."""

    unroll = Functional.unroll

    def spoils(self, world, state, steps, stream, adjoint):
        after, own = unroll(self, world, state, steps, stream, adjoint)
        if stream == "life" and state.t == 6:
            bias = after.params["layers.0.bias"].clone()
            bias[1] = torch.inf
            after.params["layers.0.bias"] = bias
        return after, own

    monkeypatch.setattr(Functional, "unroll", spoils)

    editor = scripted(lambda psi, seen: (Edit({LR: seen.visible[LR]}), psi))
    records = lived(loop(sines(), editor), seeds=3, steps=3)
    assert records[3].verdict == [Verdict.ACCEPTED, Verdict.ROLLED_BACK, Verdict.ACCEPTED]
    assert bool(torch.isfinite(records[3].own).all())
    assert bool(torch.isfinite(records[3].state.params["layers.0.bias"]).all())
