"""An editor that misbehaves gets no edit accepted and leaves no mark."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from sandbox.core.edit import Edit
from sandbox.core.error import EditError
from sandbox.core.protocols import Needs
from sandbox.core.record import Verdict
from sandbox.gate.better import Better
from sandbox.gate.paired_t import PairedT

LR = "rule/lr"


def lower(psi, seen):
    return Edit({LR: seen.visible[LR] / 2}), psi


def writes_what_it_sees(psi, seen):
    seen.visible[LR].mul_(2)
    return Edit({LR: seen.visible[LR]}), psi


def writes_its_memory(psi, seen):
    psi["count"].add_(1)
    return Edit({LR: seen.visible[LR] / 2}), psi


def is_not_finite(psi, seen):
    return Edit({LR: seen.visible[LR] * torch.nan}), psi


def has_another_shape(psi, seen):
    return Edit({LR: seen.visible[LR].repeat(3)}), psi


def has_another_dtype(psi, seen):
    return Edit({LR: seen.visible[LR].half()}), psi


def is_no_tensor(psi, seen):
    return Edit({LR: 0.5}), psi  # type: ignore[dict-item]


def reaches_the_gate(psi, seen):
    return Edit({"gate/1/asked": torch.zeros((), dtype=torch.float64)}), psi


def reaches_the_task(psi, seen):
    return Edit({"task/phase": torch.zeros((), dtype=torch.float64)}), psi


def names_what_is_not_there(psi, seen):
    return Edit({"rule/lrr": seen.visible[LR]}), psi


def names_a_tree(psi, seen):
    return Edit({"rule": seen.visible[LR]}), psi


def names_no_path(psi, seen):
    return Edit({7: seen.visible[LR]}), psi  # type: ignore[dict-item]


def raises(psi, seen):
    raise RuntimeError("mischief")


def answers_nothing(psi, seen):
    return None


def loses_its_memory(psi, seen):
    return Edit({LR: seen.visible[LR] / 2}), {}


MALFORMED = [
    writes_what_it_sees, writes_its_memory, has_another_shape, has_another_dtype, is_no_tensor, reaches_the_gate,
    reaches_the_task, names_what_is_not_there, names_a_tree, names_no_path, raises, answers_nothing,
    loses_its_memory,
]  # fmt: skip


def memory():
    return {"count": torch.zeros((), dtype=torch.float64)}


@pytest.fixture(params=[True, False], ids=["vmapped", "seed by seed"])
def hostile(request, scripted):
    needs = Needs(edits=(LR,), reads=(LR,), vmapped=request.param)
    return lambda attack: scripted(attack, needs, memory())


def test_an_honest_edit_of_the_same_editor_is_accepted(hostile, loop, sines, lived):
    records = lived(loop(sines(), hostile(lower)))
    assert all(record.verdict == [Verdict.ACCEPTED] * 4 for record in records[1:])


@pytest.mark.parametrize("attack", [*MALFORMED, is_not_finite])
def test_no_edit_is_accepted_and_the_weights_are_those_of_no_editor(attack, hostile, loop, sines, lived, same):
    attacked = lived(loop(sines(), hostile(attack), faults="refuse"))
    fixed = lived(loop(sines()))
    assert all(record.verdict == [Verdict.REFUSED] * 4 and all(record.why) for record in attacked[1:])
    assert same(attacked[-1].state, fixed[-1].state, "init", "params", "slots", "rule", "task")


@pytest.mark.parametrize("attack", MALFORMED)
def test_a_malformed_edit_stops_a_run_that_trusts_its_editor(attack, hostile, loop, sines, lived):
    with pytest.raises(EditError, match=r"^expected .*; got .*\. "):
        lived(loop(sines(), hostile(attack)))


def meddles(psi, seen):
    torch.set_grad_enabled(not torch.is_grad_enabled())
    torch.set_default_dtype(torch.float16)
    torch.set_num_threads(torch.get_num_threads() + 1)
    return lower(psi, seen)


def test_nothing_global_is_touched(hostile, loop, sines, lived, same, outside):
    before = outside()
    meddled = lived(loop(sines(), hostile(meddles)))
    assert outside() == before
    assert same(meddled[-1].state, lived(loop(sines(), hostile(lower)))[-1].state, "params", "rule")


@pytest.mark.parametrize("draws", [random.random, np.random.rand, lambda: torch.manual_seed(0)])
def test_a_draw_that_no_replay_would_repeat_is_refused(draws, hostile, loop, sines, lived, outside):
    def drawn(psi, seen):
        draws()
        return lower(psi, seen)

    before = outside()
    with pytest.raises(EditError, match=r"a draw from a global generator.*`seen.noise`"):
        lived(loop(sines(), hostile(drawn)))
    assert outside() == before


def test_what_comes_after_asking_finds_nothing_touched(hostile, loop, sines, lived, outside, monkeypatch):
    found = []
    decide = Better.decide
    monkeypatch.setattr(Better, "decide", lambda *given: found.append(outside()) or decide(*given))
    before = outside()
    lived(loop(sines(), hostile(meddles), Better()), steps=1)
    assert found == [before] * 4


def test_an_edit_brings_no_graph_of_its_own(hostile, loop, sines, lived):
    def smuggles(psi, seen):
        with torch.enable_grad():
            weight = torch.ones((), dtype=torch.float64, requires_grad=True)
            return Edit({LR: seen.visible[LR] * weight}), {"count": psi["count"] * weight}

    state = lived(loop(sines(), hostile(smuggles)), steps=1)[-1].state
    assert not state.rule["lr"].requires_grad
    assert not state.meta["1"]["count"].requires_grad


@pytest.mark.parametrize("note", [None, torch.ones(3), {"a": 1}])
def test_a_note_is_told_in_words(note, hostile, loop, sines, lived):
    records = lived(loop(sines(), hostile(lambda psi, seen: (Edit({LR: seen.visible[LR]}, note=note), psi))), steps=1)
    assert isinstance(records[-1].note, str)


# ---- finite, but too large to live ----------------------------------------------------------------------------------


def huge(psi, seen):
    return Edit({LR: torch.full_like(seen.visible[LR], 1e30)}), psi


@pytest.mark.parametrize("gate", [Better(), PairedT(trials=2)])
def test_a_gate_with_trials_never_lets_a_deadly_edit_in(gate, scripted, loop, sines, lived, same):
    attacked = lived(loop(sines(dtype="float32"), scripted(huge), gate))
    assert all(set(record.verdict) <= {Verdict.REFUSED, Verdict.REJECTED} for record in attacked[1:])
    assert {Verdict.REFUSED} == {verdict for record in attacked[1:] for verdict in record.verdict}
    assert attacked[-1].why == ["its trial was not finite"] * 4
    assert same(attacked[-1].state, lived(loop(sines(dtype="float32")))[-1].state, "params", "rule")


def test_without_trials_a_deadly_edit_costs_the_horizon_after_it(scripted, loop, sines, lived, same):
    """`always` can't know: the edit is committed, the life after it dies, and the seed goes back to before the edit.
    Steps count on, so what is left is a life that missed every second horizon's data."""
    plain = loop(sines(dtype="float32"))
    attacked = lived(loop(sines(dtype="float32"), scripted(huge)), steps=4)
    assert [record.verdict[0] for record in attacked[1:]] == [
        Verdict.ACCEPTED,
        Verdict.ROLLED_BACK,
        Verdict.ACCEPTED,
        Verdict.ROLLED_BACK,
    ]
    state = plain.start(range(4)).state
    for t in (0, 6):
        state, _ = plain.engine.unroll(plain.world, replace(state, t=t), 3, "life", None)
    assert same(attacked[-1].state, state, "params", "rule")


# ---- hearing the verdict --------------------------------------------------------------------------------------------


@pytest.fixture
def hears(scripted):
    """An honest editor with a given way to hear the verdict."""

    def make(tell):
        class Hearing:
            needs = Needs(edits=(LR,), reads=(LR,))

            def init(self, edited):
                return memory()

            def ask(self, psi, seen):
                return lower(psi, seen)

            def tell(self, psi, accepted):
                return tell(psi, accepted)

        return Hearing()

    return make


def tells_badly(psi, accepted):
    raise RuntimeError("deaf")


def tells_another_structure(psi, accepted):
    return {}


def tells_in_place(psi, accepted):
    psi["count"].add_(1)
    return psi


@pytest.mark.parametrize("tell", [tells_badly, tells_another_structure, tells_in_place])
def test_a_bad_ear_stops_a_run_or_is_passed_over(tell, hears, loop, sines, lived):
    with pytest.raises(EditError, match="tell"):
        lived(loop(sines(), hears(tell)))
    records = lived(loop(sines(), hears(tell), faults="refuse"))
    assert torch.equal(records[-1].state.meta["1"]["count"], torch.zeros(4, dtype=torch.float64))


def test_a_memory_that_is_not_finite_stays_as_it_was(hears, loop, sines, lived):
    records = lived(loop(sines(), hears(lambda psi, accepted: {"count": psi["count"] + torch.nan})))
    assert torch.equal(records[-1].state.meta["1"]["count"], torch.zeros(4, dtype=torch.float64))
