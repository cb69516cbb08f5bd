"""What is remembered and what is seen where levels, seeds and roll-backs meet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Grad, Heard, Level, Needs, Params, Score, Seen, World
from sandbox.core.state import put
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.probe import LoopProbe
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.none import Nothing
from sandbox.meter.merge import Merge
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.rule.sgd import SGD
from sandbox.task.few_shot_digits import FewShotDigits


@dataclass(frozen=True)
class Counts:
    """A gate that counts its judgements and takes the first and the fifth."""

    trials: int = 1
    score: Score = field(default=Score())

    def init(self) -> Params:
        return {"asked": torch.zeros((), dtype=torch.float64)}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        asked = memory["asked"] + 1
        return int(asked) in (1, 5), f"judgement {int(asked)}", {"asked": asked}


def test_a_roll_back_does_not_make_a_gate_forget(bowl, scripted, loop, monkeypatch) -> None:
    editor = scripted(lambda psi, seen: (Edit({"rule/lr": seen.visible["rule/lr"] * 1.1}), psi))
    made = loop(bowl(), editor, Counts(), horizon=1)
    unroll = Functional.unroll

    def dies_at_step_4(self, world, state, steps, stream, adjoint):
        after, own = unroll(self, world, state, steps, stream, adjoint)
        return after, (own * torch.inf if stream == "life" and state.t == 3 else own)

    monkeypatch.setattr(Functional, "unroll", dies_at_step_4)
    records = list(made.run([0], 6))
    assert [record.verdict[0] for record in records[1:]] == [
        "accepted", "rejected", "rejected", "rolled back", "rejected", "accepted",
    ]  # fmt: skip
    assert records[5].why == ["judgement 4"]


def test_a_seed_that_asked_for_nothing_hears_nothing(bowl, loop) -> None:
    @dataclass(frozen=True)
    class Sometimes:
        needs: Needs = field(default=Needs(edits=("rule/lr",), reads=("rule/lr",), noise=1, vmapped=False))

        def init(self, edited) -> Params:
            return {"heard": torch.zeros((), dtype=torch.float64)}

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            return (Edit({"rule/lr": seen.visible["rule/lr"]}) if seen.noise[0] < 0.5 else Edit()), psi

        def tell(self, psi: Params, heard: Heard) -> Params:
            return {"heard": psi["heard"] + 1 + 0 * heard.accepted}

    made = loop(bowl(), Sometimes())
    together = list(made.run(range(6), 5))[-1].state.meta["1"]["heard"].tolist()
    alone = [list(made.run([seed], 5))[-1].state.meta["1"]["heard"].item() for seed in range(6)]
    assert together == alone
    assert 0 < sum(together) < 30


def test_a_hypergradient_reaches_through_what_the_level_below_was_shown(sines, scripted, watches, loop) -> None:
    """Level 1 sets lr from P as it saw it; level 2's hypergradient of that coefficient equals central differences."""
    needs = Needs(edits=("rule/lr",), reads=("rule/lr",))
    psi = {"a": torch.tensor(0.002, dtype=torch.float64)}
    editor = scripted(lambda psi, seen: (Edit({"rule/lr": psi["a"] * seen.process}), psi), needs, psi)
    above = watches("meta/1/a")
    made = loop(sines(), editor, above=(Level(above, Always(), 3),))
    start = made.start(range(2))
    made.reflect(2, start, 1, "life")

    def process(a: float) -> Tensor:
        state = put(start.state, {"meta/1/a": torch.full((2,), a, dtype=torch.float64)})
        lived = made.live(2, replace(start, state=state), 1, "life", None, "real").standing.state
        with torch.no_grad():
            return made.engine.scores(made.world, lived, "practice", "life").mean(dim=1)

    central = (process(0.002 + 1e-6) - process(0.002 - 1e-6)) / 2e-6
    torch.testing.assert_close(torch.stack(above.found), central, rtol=1e-5, atol=1e-8)


def few_shot(levels: tuple[Level, ...], *meters) -> Loop:
    model = Module(partial(MLP, 64, 3))
    return Loop(World(FewShotDigits(), model, SGD(lr=0.1), 2), Functional(), levels, meters)


def test_a_tower_is_probed_on_held_out_classes_too() -> None:
    levels = (Level(Nothing(), Always(), 1, "episodic"), Level(Nothing(), Always(), 2))
    made = few_shot(levels)
    state = list(made.run([0], 1))[-1].state
    task = made.world.task
    held_out = {int(image) for c in task.held_out_classes for image in task.by_class[c]}
    for lived in LoopProbe(made, state, state, 1).adapted(made.world):
        assert set(lived.task["train"].flatten().tolist()) <= held_out


def test_probes_of_a_tower_count_the_steps_of_level_1(bowl, scripted, loop) -> None:
    steps: list[int] = []

    def script(psi: Params, seen: Seen) -> tuple[Edit, Params]:
        steps.append(int(seen.step))
        return Edit({"rule/lr": seen.visible["rule/lr"] + 0}), psi

    editor = scripted(script, Needs(edits=("rule/lr",), reads=("rule/lr",), vmapped=False))
    made = loop(bowl(), editor, above=(Level(Nothing(), Always(), 5),))
    record = list(made.run([0], 2))[-1]
    assert steps[-1] == 9
    LoopProbe(made, record.state, record.state, 2).reflect(record.state, ("rule",))
    assert steps[-1] == 10


def test_merge_sees_an_edit_of_the_weights_themselves(bowl, loop) -> None:
    @dataclass(frozen=True)
    class Halves:
        needs: Needs = field(default=Needs(edits=("params/w",), reads=("params/w",)))

        def init(self, edited) -> Params:
            return {}

        def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
            return Edit({"params/w": seen.visible["params/w"] / 2}), psi

    made = loop(bowl(), Halves())
    state = list(made.run([0], 1))[-1].state
    probe = LoopProbe(made, state, state, 1)
    plain = replace(probe, loop=loop(bowl(), Nothing()))
    torch.testing.assert_close(
        probe.reflect(state, ("params",)).params["w"], plain.reflect(state, ("params",)).params["w"] / 2
    )


def test_merge_of_a_yoked_life_is_read_to_the_end(bowl, plays, loop) -> None:
    course = {"rule/lr": torch.full((3, 2), 0.05, dtype=torch.float64)}
    made = loop(bowl(), plays(course), meters=(Merge(every=1, probes=2, partitions=1),))
    assert "merge/m" in list(made.run([0, 1], 3))[-1].readings


def test_a_new_episode_offers_no_way_back_into_the_last(sines, scripted, loop) -> None:
    editor = scripted(lambda psi, seen: (Edit({"rule/lr": seen.visible["rule/lr"] + 0}), psi))
    made = loop(sines(), editor, lifetime="episodic")
    first, second = (record.standing for record in list(made.run([0], 2))[1:])
    assert not first.state.task["amplitude"].equal(second.state.task["amplitude"])
    lived = made.live(1, first, 3, "life", None, "real").standing
    assert lived.before.task["amplitude"].equal(lived.state.task["amplitude"])
    assert all(lived.before.params[name].equal(weight) for name, weight in lived.before.init.items())


def test_an_editor_asked_by_seed_sees_the_weights_of_all_its_tasks(sines, scripted, loop) -> None:
    shapes: list[torch.Size] = []

    def script(psi: Params, seen: Seen) -> tuple[Edit, Params]:
        shapes.append(seen.visible["params/layers.0.bias"].shape)
        return Edit({"rule/lr": seen.visible["rule/lr"] + 0}), psi

    editor = scripted(script, Needs(edits=("rule/lr",), reads=("rule/lr", "params")))
    list(loop(sines(tasks=3), editor).run([0, 1], 1))
    assert shapes == [torch.Size([3, 8])]


@pytest.mark.parametrize(
    "grads", [(Grad("own", "rule/lr", 1), Grad("own", "rule/lr", 2)), (Grad("own", "rule/lr", 0),)]
)
def test_a_hypergradient_is_named_once_and_over_a_step_at_least(bowl, scripted, loop, grads) -> None:
    editor = scripted(lambda psi, seen: (Edit(), psi), Needs(edits=("rule/lr",), grads=grads))
    with pytest.raises(ConfigError, match="one hypergradient"):
        loop(bowl(), editor)


def test_a_dead_seed_is_not_asked(bowl, scripted, loop) -> None:
    def script(psi: Params, seen: Seen) -> tuple[Edit, Params]:
        int(seen.own[-1])  # of inf, this raises
        return Edit({"rule/lr": torch.full_like(seen.visible["rule/lr"], 1e30)}), psi

    editor = scripted(script, Needs(edits=("rule/lr",), reads=("rule/lr",), vmapped=False))
    records = list(loop(bowl(dtype="float32"), editor, horizon=8).run([0], 2))
    assert records[-1].verdict == ["rolled back"]
