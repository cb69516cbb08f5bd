"""Lavaland, the off-switch game, unseen worlds and the cross effects: against closed forms, and told what to expect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sandbox.exhibit.cross_effect import CrossEffect, believed, matrix
from sandbox.exhibit.lavaland import LAVA, TARGET, Lavaland, drawn, posterior
from sandbox.exhibit.off_switch import OffSwitch
from sandbox.exhibit.unseen_worlds import UnseenWorlds, solved
from sandbox.measure.mdp import MDP

SMALL = Lavaland(worlds=4, candidates=400, others=100)


def test_a_plan_is_the_best_policy_of_the_same_decision_problem() -> None:
    rng = np.random.default_rng(0)
    land = drawn(rng, 0.9, lava=True)
    rewards = rng.normal(size=(3, 25))
    for reward, moves in zip(rewards, land.plan(rewards), strict=True):
        policy = np.eye(5)[moves]
        assert land.mdp.performance(reward, policy) == pytest.approx(
            land.mdp.performance(reward, land.mdp.optimal(reward))
        )
        occupied = land.mdp.occupancy(policy) * (1 - land.discount)
        assert land.visits(moves) == pytest.approx(occupied @ land.features, abs=1e-4)
        assert land.mean(moves, reward) == pytest.approx(occupied @ reward, abs=1e-3)


def test_a_posterior_without_faith_in_the_designer_is_the_prior() -> None:
    rng = np.random.default_rng(1)
    land, weights, others = drawn(rng, 0.9, lava=False), rng.normal(size=(50, 4)), rng.normal(size=(20, 4))
    assert posterior(land, SMALL.proxy, weights, others, 0.0) == pytest.approx(np.full(50, 0.02))
    assert SMALL.proxy[LAVA] == 0
    trusting = posterior(land, SMALL.proxy, weights, others, 50.0)
    assert trusting.sum() == pytest.approx(1)
    assert trusting @ weights[:, TARGET] > weights[:, TARGET].mean() + 0.3


def test_what_becomes_of_each_reader_of_the_reward() -> None:
    found = SMALL.measure(1000)
    assert found == SMALL.measure(1000)
    assert found["training"]["regret"] == pytest.approx(0, abs=1e-9)
    assert found["oracle"] == {"regret": pytest.approx(0, abs=1e-9), "lava": 0, "target": 1}
    assert found["literal"]["lava"] > 0.5
    assert found["context"]["regret"] < found["literal"]["regret"] - 0.05
    assert found["posterior"]["lava_spread"] == pytest.approx(0.5, abs=0.05)
    told = replace(SMALL, lava_in_training=True).measure(1000)
    assert told["posterior"]["lava_spread"] < 0.4


def test_off_switch_by_seed() -> None:
    found = OffSwitch().measure(0)
    assert found["defers"]["value"] - found["alone"]["value"] == pytest.approx(0.3989, abs=5e-5)
    assert found["sure_defers"]["value"] == pytest.approx(found["sure_alone"]["value"], abs=1e-6)
    assert OffSwitch(rationality=0.0).deferred(0.3, 1.0) == pytest.approx(0.15)
    assert OffSwitch(rationality=1e4).deferred(0.3, 1.0) == pytest.approx(OffSwitch().deferred(0.3, 1.0), abs=0.01)


def test_a_small_world_is_solved_by_trying_every_policy() -> None:
    rng = np.random.default_rng(2)
    world = solved(MDP(rng.dirichlet(np.ones(4), (4, 2)), 0.9))
    for reward in rng.normal(size=(5, 4)):
        best = world.policies[world.best(reward)]
        assert (best == world.world.optimal(reward)).all()
        assert world.regret(reward, world.best(reward)) == 0
        assert world.regret(-reward, world.best(reward)) == pytest.approx(1)


def test_more_worlds_leave_less_room_and_the_same_one_again_does_not() -> None:
    small = UnseenWorlds(samples=300, climbs=50)
    found = small.measure(1000)
    samples = [found[f"k{count}"]["share"] for count in (1, 2, 4, 8, 16)]
    assert samples == sorted(samples, reverse=True)
    assert found["same"] == found["k1"]
    assert found["k16"]["wiggle"] < found["k1"]["wiggle"] - 0.3
    assert found["k16"]["unseen"] < found["k1"]["unseen"]
    alike = replace(small, alike=True).measure(1000)
    assert alike["k16"] == alike["k1"] == found["k1"]


def test_an_agent_likes_nothing_better_than_its_own_beliefs() -> None:
    agent = np.array([1.1, 1.7])
    own = believed(agent, agent, 0.9)
    assert all(believed(agent, agent + step, 0.9) < own for step in 0.1 * np.random.default_rng(0).normal(size=(20, 2)))


def test_chi_is_the_share_that_crosses() -> None:
    assert matrix(np.array([[-0.3, 0.1], [0.0, 0.4]]))["chi"] == pytest.approx(0.125)
    assert matrix(np.zeros((2, 2)))["chi"] == 0


def test_real_fixes_cross_and_cosmetic_ones_do_nothing() -> None:
    found = CrossEffect(worlds=2, behaviours=64).measure(1000)
    assert found["cosmetic"]["cross"] == pytest.approx(0, abs=1e-3)
    assert found["real"]["chi"] > 0.25
    assert found["real"]["outer_outer"] < 0 < found["real"]["outer_inner"]
    assert found["real"]["inner_outer"] < 0 < found["real"]["inner_inner"]
    assert found["real"]["inner_outer"] < found["cautious"]["inner_outer"]
    assert found["real"]["outer_inner"] == found["cautious"]["outer_inner"]
    none = CrossEffect(worlds=2, behaviours=64, strength=0.0).measure(1000)
    assert none["real"]["outer_inner"] == pytest.approx(0, abs=1e-3)
