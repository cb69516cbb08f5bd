"""The reflective step that meters share: who is outer and who inner, and that it is run once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, EditError
from sandbox.core.protocols import Level, Needs, Params, Seen, World
from sandbox.core.state import State
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.probe import LoopProbe
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.meta_learner.none import Nothing
from sandbox.meta_learner.reflective import Reflective
from sandbox.meter import behaviours
from sandbox.meter.distance import Distance
from sandbox.meter.merge import Merge
from sandbox.meter.performance import Performance
from sandbox.meter.reflection import reflection, taped
from sandbox.meter.separability import Separability
from sandbox.meter.string import String
from sandbox.model.mlp import MLP
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.rule.self_distillation import SelfDistillation
from sandbox.rule.sgd import SGD
from sandbox.task.noisy_digits import NoisyDigits
from sandbox.task.quadratic import Quadratic
from sandbox.task.sinusoid import Sinusoid
from tests.meter.test_meters import MODEL, TASK

TEACHER = Merge(probes=3, partitions=2, name="teacher", outer=("slots",))
ALL = (Merge(probes=3, partitions=2), TEACHER, Separability(cut=2))
BOWL = World(Quadratic(dtype="float64"), Module(lambda: Vector(4, dtype="float64")), SGD(lr=0.05))


def probed(world: World, *levels: Level, steps: int = 2) -> LoopProbe:
    loop = Loop(world, Functional(), levels)
    records = list(loop.run([0, 1], steps))
    return LoopProbe(loop, records[-1].state, records[0].state, steps)


def own() -> LoopProbe:
    return probed(World(TASK, MODEL, SelfDistillation()), Level(Reflective(mu=1.0), Always(), horizon=2))


def sides(probe: LoopProbe, outer: Sequence[str], inner: Sequence[str] = ("params",)) -> tuple[list[str], int]:
    step = reflection(probe, tuple(outer), tuple(inner))
    assert step is not None
    return list(step.leaves), step.outer


# ---- who is outer ---------------------------------------------------------------------------------------------------


def test_by_default_all_that_decides_how_an_agent_learns_is_outer() -> None:
    paths, outer = sides(own(), Merge().outer)
    assert [path for path in paths if not path.startswith("params/")] == [
        *(f"rule/{name}" for name in ("lr", "q", "scale", "trust")), "slots/age",
        *(f"slots/teacher.layers.{n}.{kind}" for n in (0, 1) for kind in ("bias", "weight")), "meta/1/refusals",
    ]  # fmt: skip
    assert outer == 4 + 1 + 64 * 16 + 16 + 16 * 10 + 10 + 1
    assert sides(own(), ("slots",))[1] == outer - 5


def test_what_has_no_derivative_and_what_levels_above_remember_are_left_out() -> None:
    first = Level(MetaGradient(edits=("rule",), optimizer="sgd"), Always(), horizon=2)
    second = Level(MetaGradient(edits=("meta/1/lr",), optimizer="sgd"), Always(), horizon=2)
    probe = probed(BOWL, first, second)
    assert set(probe.state.meta) == {"1", "2"}
    assert sides(probe, Merge().outer) == (["rule/lr", "meta/1/lr", "params/w"], 2)
    count = torch.zeros(2, dtype=torch.int64)
    aged = replace(probe, state=replace(probe.state, slots={"age": count}), shared={})
    assert sides(aged, Merge().outer) == (["rule/lr", "meta/1/lr", "params/w"], 2)


def test_nothing_is_read_where_a_side_is_empty() -> None:
    probe = probed(BOWL, Level(Nothing(), Always(), horizon=2))
    assert TEACHER.read(probe) == {}  # plain descent has no memory
    assert replace(TEACHER, outer=("rule",)).read(probe)


@pytest.mark.parametrize(("outer", "error", "says"), [
    (("rules",), ConfigError, "Did you mean 'rule'"),
    (("gate",), ConfigError, "a partition of what a reflective step changes"),
    (("rule/lrr",), EditError, "Did you mean 'lr'"),
    (("rule", "params/w"), ConfigError, "on both sides"),
])  # fmt: skip
def test_a_partition_that_cannot_be_is_refused(outer: tuple[str, ...], error: type[Exception], says: str) -> None:
    probe = probed(BOWL, Level(Nothing(), Always(), horizon=2))
    with pytest.raises(error, match=says):
        Merge(outer=outer).read(probe)


def test_an_inner_side_can_be_declared_too() -> None:
    paths, outer = sides(own(), ("rule",), ("slots/teacher.layers.0.bias", "params"))
    assert paths[:4] == ["rule/lr", "rule/q", "rule/scale", "rule/trust"]
    assert outer == 4
    assert "slots/teacher.layers.0.bias" in paths


# ---- what M says of editors -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Halver:
    """Halves the learning rate by the sign of its slope, as `told` or not by the tape; psi counts its edits."""

    told: bool

    @property
    def needs(self) -> Needs:
        return Needs(edits=("rule/lr",), reads=("rule/lr",))

    def init(self, edited) -> Params:
        return {"count": torch.zeros((), dtype=torch.float64)}

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        process = seen.process if self.told else seen.process.detach()
        return Edit({"rule/lr": seen.visible["rule/lr"] - 1e-3 * process.tanh()}), {
            "count": torch.ones_like(psi["count"])
        }


@pytest.mark.parametrize("told", [True, False])
def test_an_editor_without_a_derivative_reads_as_one_that_nothing_feeds(told: bool) -> None:
    found = Merge(probes=8, partitions=2).read(probed(BOWL, Level(Halver(told), Always(), horizon=2)))
    assert (found["merge/m"] > 0).tolist() == [told] * 2
    assert (found["merge/outer_inner"] > 0).tolist() == [told] * 2
    assert (found["merge/outer_outer"] > 0.5).all()  # psi is set to a constant: it erases itself, K = -1


# ---- once for all ---------------------------------------------------------------------------------------------------


def test_the_taped_step_is_run_once_for_all_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    on_tape: list[bool] = []
    plain = LoopProbe.reflect

    def counted(self: LoopProbe, state: State, reached: Sequence[str]) -> State:
        after = plain(self, state, reached)
        on_tape.append(any(leaf.requires_grad for leaf in state.params.values()))
        return after

    monkeypatch.setattr(LoopProbe, "reflect", counted)
    probe = own()
    for meter in ALL:
        assert meter.read(probe)
    assert on_tape.count(True) == 1
    assert on_tape.count(False) == 2  # LCD after two steps: one for both courses, then one of both side by side
    assert taped(probe) is taped(probe)


def test_what_a_meter_reads_does_not_depend_on_who_else_reads() -> None:
    together, alone = own(), own()
    found = [meter.read(together) for meter in ALL]
    for meter, one in zip(ALL, found, strict=True):
        again = meter.read(replace(alone, shared={}))
        assert all(torch.equal(value, again[name]) for name, value in one.items())


def test_lives_side_by_side_are_lived_as_alone() -> None:
    step = reflection(own())
    assert step is not None
    other = step.flat * 1.01
    both = step.step(torch.stack([step.flat, other]))
    torch.testing.assert_close(both, torch.stack([step.step(step.flat), step.step(other)]))
    assert not torch.equal(both[0], both[1])


def test_a_life_on_the_probe_tasks_is_lived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(Sinusoid(shots=5), Module(lambda: MLP(1, 1, (4,))), SGD(lr=0.01), tasks=2)
    probe = probed(world, Level(MetaGradient(), Always(), horizon=2, lifetime="episodic"))
    lived: list[int] = []
    plain = Loop.live

    def counted(self: Loop, *args, **more):
        lived.append(self.world.tasks)
        return plain(self, *args, **more)

    monkeypatch.setattr(Loop, "live", counted)
    first = Performance(tasks=3).read(probe)
    again = Performance(tasks=3).read(probe)
    assert lived == [3]
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    probe.adapted(world)
    assert lived == [3, 2]


def test_agents_are_scored_once_for_distance_and_string(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    plain = behaviours._agents
    monkeypatch.setattr(behaviours, "_agents", lambda *args: counts.append(args[-1]) or plain(*args))
    probe = own()
    Distance(agents=16).read(probe)
    String(agents=16).read(probe)
    assert counts == [16]
    String(agents=20).read(probe)
    assert counts == [16, 20]


def test_agents_side_by_side_are_judged_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for size in (1, 7):
        monkeypatch.setattr(behaviours, "SIDE_BY_SIDE", size)
        found.append(behaviours.distances(own(), 20))
    for pair, value in found[0].items():
        torch.testing.assert_close(value, found[1][pair])


def test_a_network_that_vmap_does_not_know_is_judged_agent_by_agent() -> None:
    probe = own()
    agents = {name: torch.stack([leaf, leaf / 2]) for name, leaf in probe.state.params.items()}
    calls: list[bool] = []

    def score(state: State) -> torch.Tensor:
        calls.append(float(state.params["layers.0.bias"].sum()) > 0)  # vmap can't: this branches on data
        return state.params["layers.0.bias"].sum(dim=1)

    found = behaviours._each(score, probe.state, agents)
    assert len(calls) == 2
    torch.testing.assert_close(found[0], 2 * found[1])


@pytest.mark.slow
def test_a_network_of_300_000_weights_is_read_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its teacher 6e5 numbers: never more than the stated number of them goes through the tape at once."""
    wide = Module(lambda: MLP(64, 10, (4096,)))
    world = World(NoisyDigits(train=64, practice=16, gate=16, batch=8), wide, SelfDistillation(trust=0.5))
    loop = Loop(world, Functional(), (Level(Nothing(), Always(), horizon=2),))
    records = list(loop.run([0], 1))
    probe = LoopProbe(loop, records[-1].state, records[0].state, 1)
    step = reflection(probe)
    assert step is not None
    assert step.n > 6e5
    most: list[int] = []
    plain = type(step).vjp
    monkeypatch.setattr(type(step), "vjp", lambda self, probes: most.append(probes.numel()) or plain(self, probes))
    small = Merge(probes=4, partitions=2, numbers=2 * step.n).read(probe)
    assert max(most) == 2 * step.n
    most.clear()
    whole = Merge(probes=4, partitions=2, numbers=100 * step.n).read(probe)
    assert max(most) == 16 * step.n
    for name, value in small.items():
        torch.testing.assert_close(value, whole[name], rtol=1e-4, atol=1e-5)
