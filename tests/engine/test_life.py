"""Lives: the tape doesn't change them, a batch gives each what it has alone, and their data is common to all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from sandbox.core.adjoint import FULL, Adjoint
from sandbox.core.protocols import Act, Batch, Engine, Objective, Params, Rule, Split, World
from sandbox.core.random import uniform
from sandbox.core.state import State, leaves, put
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher, NeedsOptimizer
from sandbox.model.module import Module
from sandbox.rule.sgd import SGD

FIRST_ORDER = Adjoint(first_order=True)


def lived(state: State) -> dict[str, Tensor]:
    return leaves(state, "params") | leaves(state, "slots")


@pytest.mark.parametrize("adjoint", [FULL, FIRST_ORDER, Adjoint(truncate=2)], ids=str)
def test_the_tape_does_not_change_the_life(pair: tuple[Rule, Engine], adjoint: Adjoint, make, begin) -> None:
    rule, engine = pair
    adjoint = FULL if adjoint.truncate and isinstance(rule, NeedsOptimizer) else adjoint  # that one is refused
    world = make(rule, tasks=2)
    state = begin(world, [0, 1])
    at = leaves(state, "init") | leaves(state, "rule")
    watched = {path: leaf.clone().requires_grad_() for path, leaf in at.items() if leaf.is_floating_point()}
    plain, own = engine.unroll(world, engine.born(world, state), 3, "life", None)
    taped, taped_own = engine.unroll(world, engine.born(world, put(state, watched)), 3, "life", adjoint)
    assert torch.equal(own, taped_own)
    assert plain.t == taped.t == 3
    for path, leaf in lived(plain).items():
        assert torch.equal(leaf, lived(taped)[path]), path


def test_both_engines_live_the_same(rule: Rule, make, begin) -> None:
    world = make(rule, tasks=2)
    state = begin(world, [0, 1])
    (fast, fast_own), (plain, plain_own) = (e.unroll(world, state, 3, "life", None) for e in (Functional(), Higher()))
    torch.testing.assert_close(fast_own, plain_own, rtol=1e-12, atol=1e-12)
    for path, leaf in lived(fast).items():
        torch.testing.assert_close(leaf, lived(plain)[path], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("objective", ["process", "calibrated", "human", "own"])
def test_both_engines_score_the_same(objective: Objective, make, begin) -> None:
    world = make(SGD(), tasks=2)
    state = begin(world, [0, 1])

    def score(engine: Engine) -> Tensor:
        if objective == "own":
            return engine.own_losses(world, state, "gate", "life")
        return engine.scores(world, state, "gate", "life", objective)

    assert score(Functional()).shape == (4, 20)
    torch.testing.assert_close(score(Functional()), score(Higher()), rtol=1e-12, atol=1e-12)


def test_a_score_is_the_task_s_own_number(engine: Engine, make, begin) -> None:
    world = make(SGD())
    state = begin(world, [0])
    task, params = ({name: leaf[0] for name, leaf in tree.items()} for tree in (state.task, state.params))
    batch = world.task.sample(task, params, torch.empty(0), "test")
    prediction = world.model.apply(params, batch["x"])
    process = world.task.objective(task, prediction, batch)
    torch.testing.assert_close(engine.scores(world, state, "test", "life")[0], process)
    human = world.task.human(task, prediction, batch)
    assert torch.equal(engine.scores(world, state, "test", "life", "human")[0], human)


def test_calibration_lowers_the_objective_on_what_it_is_fitted_to(engine: Engine, make, begin) -> None:
    world = make(SGD(lr=1.0), tasks=2)
    state, _ = engine.unroll(world, begin(world, [0]), 10, "life", None)

    def mean(objective: Objective) -> Tensor:
        splits: tuple[Split, ...] = ("practice", "gate")
        found = [engine.scores(world, state, split, "life", objective) for split in splits]
        return torch.cat(found, dim=1).mean(dim=1)

    assert bool((mean("calibrated") < mean("process")).all())


def test_eight_seeds_at_once_live_as_each_alone(rule: Rule, make, begin) -> None:
    # To rounding: a batched product may add in another order.
    world, engine = make(rule), Functional()
    together, own = engine.unroll(world, begin(world, range(8)), 3, "life", None)
    for seed in range(8):
        alone, its_own = engine.unroll(world, begin(world, [seed]), 3, "life", None)
        torch.testing.assert_close(own[:, [seed]], its_own, rtol=1e-12, atol=1e-12)
        for path, leaf in lived(alone).items():
            torch.testing.assert_close(lived(together)[path][[seed]], leaf, rtol=1e-12, atol=1e-12)


def test_tasks_at_once_live_as_each_alone(rule: Rule, make, begin) -> None:
    # `Higher` lives one lane at a time, so what is asked is that a further task leaves those before it as they were.
    engine = Functional()
    three, own = engine.unroll(make(rule, 3), begin(make(rule, 3), [5]), 3, "life", None)
    for tasks in (1, 2):
        fewer, fewer_own = engine.unroll(make(rule, tasks), begin(make(rule, tasks), [5]), 3, "life", None)
        torch.testing.assert_close(own[:, :tasks], fewer_own, rtol=1e-12, atol=1e-12)
        for path, leaf in lived(fewer).items():
            torch.testing.assert_close(lived(three)[path][:tasks], leaf, rtol=1e-12, atol=1e-12)


# ---- common random numbers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Echo:
    """P = w · noise, so that SGD at lr 1 walks against the noise that it is handed."""

    inputs: int = 3
    outputs: int = 1

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": 1, "train": 3}

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        return {"nothing": noise}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        return {"x": noise[None]}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return prediction[:, 0]


ECHO = World(Echo(), Module(lambda: nn.Linear(3, 1, bias=False, dtype=torch.float64)), SGD(lr=1.0), tasks=2)


def walked(engine: Engine, state: State, steps: int, stream: str = "life") -> Tensor:
    """[L, 3]: how far each lane went."""
    after, _ = engine.unroll(ECHO, state, steps, stream, None)
    return (state.params["weight"] - after.params["weight"])[:, 0]


def test_the_data_of_a_step_is_of_seed_stream_and_t_alone(engine: Engine, begin) -> None:
    state = begin(ECHO, [3, 4])
    data = [torch.cat([uniform(seed, "life/train", t, (2, 3)) for seed in (3, 4)]) for t in range(4)]
    torch.testing.assert_close(walked(engine, state, 4), torch.stack(data).sum(dim=0))


def test_incumbent_and_candidate_meet_the_same_data(engine: Engine, begin) -> None:
    state = begin(ECHO, [3])
    candidate = put(state, {"params/weight": state.params["weight"] + 1.0})
    torch.testing.assert_close(walked(engine, candidate, 3), walked(engine, state, 3))


def test_a_life_goes_on_where_it_stopped_and_streams_differ(engine: Engine, begin) -> None:
    state = begin(ECHO, [3])
    midway, _ = engine.unroll(ECHO, state, 2, "life", None)
    assert midway.t == 2
    torch.testing.assert_close(walked(engine, state, 2) + walked(engine, midway, 2), walked(engine, state, 4))
    assert not torch.allclose(walked(engine, state, 2), walked(engine, midway, 2))
    assert not torch.allclose(walked(engine, state, 2), walked(engine, state, 2, "trial"))


def test_batches_of_several_steps_at_once_are_those_of_each_step(make, begin, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(SGD(lr=0.1), tasks=2)
    state = begin(world, [0, 1])
    at_once, own = Functional().unroll(world, state, 7, "life", None)
    for few in (1, 3000):  # bytes that may wait: one step, and some
        monkeypatch.setattr("sandbox.engine.batches.MOST", few)
        again, its = Functional().unroll(world, state, 7, "life", None)
        assert torch.equal(own, its)
        assert all(torch.equal(leaf, lived(again)[path]) for path, leaf in lived(at_once).items())
