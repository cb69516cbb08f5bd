"""The string: slack by hand, the wiggle of what can be counted out, and the laws that both keep."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sandbox.exhibit.wiggle import remembered_regret
from sandbox.measure.distance import chord, starc, starc_basis, starc_canonical
from sandbox.measure.error import MeasureError
from sandbox.measure.interval import interval
from sandbox.measure.mdp import MDP
from sandbox.measure.regret import regret
from sandbox.measure.revealed import revealed_reward, soft_policy
from sandbox.measure.string import (
    Wiggle,
    indirectness,
    local_freedom,
    slack,
    state_basis,
    wiggle_lower_bound,
)
from scripts.wiggle import wiggles

by_property = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10_000)
lengths = st.floats(0, 1)

# leaving state 0, 1, 2 for any state alike: a process matters only by the state it likes to go to
HUMAN = np.array([2.0, -1.0, -1.0])


def worlds(seed: int, n: int, *, states: int = 4, discount: float = 0.9) -> list[MDP]:
    rng = np.random.default_rng([5, seed])
    return [MDP(rng.dirichlet(np.ones(states), (states, 2)), discount) for _ in range(n)]


def human(seed: int, states: int = 4) -> np.ndarray:
    reward = np.random.default_rng([6, seed]).normal(size=states)
    return reward - reward.mean()


def chooser() -> MDP:
    """Action a leads to state a, from wherever."""
    return MDP(np.tile(np.eye(3), (3, 1, 1)), 0.5)


# ---- slack ----


def test_slack_of_strings_by_hand() -> None:
    for (x, y, w), loose, round_about in [
        ((0.3, 0.2, 0.5), 0.0, 0.0),  # taut: A is misled by just so much as P is, and some
        ((0.3, 0.2, 0.1), 0.4, 0.8),
        ((0.4, 0.4, 0.0), 0.8, 1.0),  # the product is right though the process is not
        ((0.0, 0.4, 0.4), 0.0, 0.0),
        ((0.0, 0.0, 0.0), 0.0, 0.0),
        ((1e-9, 0.0, 0.0), 1e-9, 0.0),  # no more than rounding, and no direction
    ]:
        assert slack(x, y, w) == pytest.approx(loose, abs=1e-12)
        assert indirectness(x, y, w) == pytest.approx(round_about, abs=1e-12)


@given(seed=seeds)
@by_property
def test_slack_of_real_distances_is_in_range(seed: int) -> None:
    mdp = worlds(seed, 1)[0]
    h, p, a = np.random.default_rng(seed).normal(size=(3, 4, 2))
    sides = starc(mdp, h, p), starc(mdp, p, a), starc(mdp, h, a)
    assert slack(*sides) == pytest.approx(sum(sides[:2]) - sides[2], abs=1e-12)
    assert 0 <= indirectness(*sides) <= 1
    assert indirectness(*sides) == pytest.approx(slack(*sides) / sum(sides[:2]))


@given(x=lengths, y=lengths)
@by_property
def test_a_taut_string_has_none_and_one_that_returns_has_all(x: float, y: float) -> None:
    assert slack(x, y, x + y) == 0
    assert indirectness(x, y, x + y) == 0
    assert slack(x, x, 0) == 2 * x
    assert indirectness(x, x, 0) == (x > 5e-8)


@given(x=lengths, y=lengths, over=st.floats(1e-6, 1))
@by_property
def test_what_no_metric_gives_is_refused(x: float, y: float, over: float) -> None:
    for sides in ((x, y, x + y + over), (x + y + over, x, y), (x, x + y + over, y)):
        for measure in (slack, indirectness):
            with pytest.raises(MeasureError, match="one metric"):
                measure(*sides)
    assert slack(x, y, x + y + 5e-8) == 0  # rounding


@pytest.mark.parametrize("sides", [(-0.1, 0.1, 0.1), (np.nan, 0.1, 0.1), (np.inf, np.inf, 0)])
def test_what_is_no_distance_is_refused(sides: tuple[float, float, float]) -> None:
    for measure in (slack, indirectness):
        with pytest.raises(MeasureError):
            measure(*sides)


# ---- wiggle ----


def test_the_wiggle_of_a_free_choice_is_counted_out() -> None:
    # going where P pays most is optimal for H iff P pays most in state 0: a third of the circle, 120° wide
    found = wiggle_lower_bound(
        MDP.optimal, HUMAN, [chooser()], basis=state_basis(3), loss=remembered_regret(), samples=2000
    )
    assert found.share == pytest.approx(1 / 3, abs=0.03)
    assert sin(pi / 3) - 0.01 < found.sampled <= found.climbed <= sin(pi / 3)
    assert chord(*(each / np.linalg.norm(each) for each in found.pair)) == pytest.approx(found.climbed)
    for each in found.pair:
        assert each.sum() == pytest.approx(0, abs=1e-12)
        assert each.argmax() == 0
    assert not found.infeasible


def test_a_looser_bound_counts_more() -> None:
    # half of what can be lost is lost by going to state 1, which pays half of what there is between 0 and 2
    found = wiggle_lower_bound(
        MDP.optimal,
        [1.0, 0, -1.0],
        [chooser()],
        basis=state_basis(3),
        epsilon=0.5,
        loss=remembered_regret(),
        samples=2000,
    )
    assert found.share == pytest.approx(2 / 3, abs=0.03)
    assert found.climbed == pytest.approx(1, abs=1e-3)  # 240° hold opposite points


def test_a_loss_of_ones_own_bounds_the_distance_itself() -> None:
    # W^d: a soft agent reveals its process, so those within d = ε of H lie in a cap of half-angle α, sin(α/2) = ε
    mdp = worlds(0, 1, states=3)[0]
    centre = starc_canonical(mdp, human(0, 3))

    def apart(world: MDP, objective: np.ndarray, policy: np.ndarray) -> float:
        return starc(world, objective, revealed_reward(policy).reward)

    epsilon = 0.25
    found = wiggle_lower_bound(
        lambda world, reward: soft_policy(world, reward, 1),
        centre,
        [mdp],
        basis=starc_basis(mdp),
        epsilon=epsilon,
        loss=apart,
        samples=300,
    )
    widest = 2 * epsilon * cos(np.arcsin(epsilon))  # sin of α, the pair being 2 α apart
    assert widest - 0.03 < found.climbed <= widest + 1e-9
    assert found.sampled > 0.7 * widest


@given(seed=seeds)
@by_property
def test_wiggle_rises_with_epsilon_and_falls_with_worlds(seed: int) -> None:
    deployed, objective, loss = worlds(seed, 4), human(seed), remembered_regret()

    def at(epsilon: float, k: int) -> Wiggle:
        return wiggle_lower_bound(
            MDP.optimal,
            objective,
            deployed[:k],
            basis=state_basis(4),
            epsilon=epsilon,
            loss=loss,
            samples=30,
            climbs=5,
            seed=seed,
        )

    table = [[at(epsilon, k) for k in (1, 2, 4)] for epsilon in (0.0, 0.05, 0.3)]
    for name in ("sampled", "share", "found"):
        values = np.array([[getattr(each, name) for each in row] for row in table])
        assert (np.diff(values, axis=0) >= 0).all()
        assert (np.diff(values, axis=1) <= 0).all()
    for each in (each for row in table for each in row):
        assert 0 <= each.sampled <= each.climbed <= 1
        assert not each.infeasible  # the human itself serves the human
    assert table[2][0].sampled > table[0][2].sampled or table[0][2].share == 1


@given(seed=seeds, scale=st.floats(-3, 3))
@by_property
def test_the_scale_of_the_human_changes_nothing(seed: int, scale: float) -> None:
    deployed, objective = worlds(seed, 2), human(seed)
    one, other = (
        wiggle_lower_bound(MDP.optimal, factor * objective, deployed, basis=state_basis(4), samples=20, climbs=20)
        for factor in (1, 10.0**scale)
    )
    assert other.climbed == pytest.approx(one.climbed)
    assert (other.share, other.found) == (one.share, one.found)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    def at(seed: int) -> Wiggle:
        return wiggle_lower_bound(MDP.optimal, human(3), worlds(3, 2), basis=state_basis(4), samples=50, seed=seed)

    assert at(1).climbed == at(1).climbed
    assert at(1).sampled != at(2).sampled


def test_the_climb_finds_what_few_samples_miss() -> None:
    few, none = (
        wiggle_lower_bound(MDP.optimal, HUMAN, [chooser()], basis=state_basis(3), samples=8, climbs=climbs)
        for climbs in (200, 0)
    )
    assert none.climbed == none.sampled == few.sampled
    assert few.climbed > few.sampled + 0.01
    assert few.climbed == pytest.approx(sin(pi / 3), abs=0.01)


def test_the_climb_goes_all_ways_in_many_dimensions() -> None:
    # processes within .25 of H: a cap of which few random points reach the rim
    world, widest = MDP(np.full((13, 1, 13), 1 / 13), 0.5), 0.5 * cos(np.arcsin(0.25))
    for seed in range(3):
        objective = human(seed, 13) / np.linalg.norm(human(seed, 13))
        found = wiggle_lower_bound(
            lambda _, reward: reward,  # so that the loss sees the process itself
            objective,
            [world],
            basis=state_basis(13),
            epsilon=0.25,
            loss=lambda _, a, b: chord(a, b),
            samples=100,
            climbs=1000,
        )
        assert widest - 0.01 < found.climbed <= widest


def test_where_no_process_serves_it_says_so() -> None:
    stubborn = np.eye(3)[[2, 2, 2]]
    found = wiggle_lower_bound(lambda *_: stubborn, HUMAN, [chooser()], basis=state_basis(3), samples=20)
    assert found.infeasible
    assert (found.share, found.found) == (0, 0)
    assert np.isnan([found.sampled, found.climbed]).all()
    assert found.pair.shape == (0, 3)


def test_where_one_process_serves_nothing_wiggles() -> None:
    def pedant(world: MDP, reward: np.ndarray) -> np.ndarray:
        return world.optimal(reward if chord(reward, HUMAN / np.linalg.norm(HUMAN)) < 1e-9 else -HUMAN)

    found = wiggle_lower_bound(pedant, HUMAN, [chooser()], basis=state_basis(3), samples=20)
    assert (found.sampled, found.climbed, found.found, found.share) == (0, 0, 1, 0)
    assert not found.infeasible


def test_a_human_without_wishes_is_served_by_all() -> None:
    found = wiggle_lower_bound(MDP.optimal, np.zeros(3), [chooser()], basis=state_basis(3), samples=100)
    assert (found.share, found.found) == (1, 152)  # 4 · 13 around nowhere, and no centre
    assert found.sampled > 0.99


def call(**changed: object) -> Callable[[], Wiggle]:
    given: dict[str, object] = {"human": HUMAN, "worlds": [chooser()], "basis": state_basis(3), "samples": 5} | changed
    human, deployed = given.pop("human"), given.pop("worlds")
    return lambda: wiggle_lower_bound(MDP.optimal, human, deployed, **given)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"worlds": []}, "0 worlds"),
        ({"worlds": [chooser(), *worlds(0, 1)]}, "same states and actions"),
        ({"human": HUMAN + 1}, "canonical form"),
        ({"human": human(0)}, "shape"),
        ({"basis": 2 * state_basis(3)}, "orthonormal"),
        ({"basis": np.zeros((0, 3))}, "orthonormal"),
        ({"samples": 0}, "samples"),
        ({"climbs": -1}, "climbs"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"epsilon": np.nan}, "epsilon"),
    ],
)
def test_what_wiggle_refuses(changed: dict[str, object], said: str) -> None:
    with pytest.raises(MeasureError, match=said):
        call(**changed)()


def test_the_state_basis_spans_rewards_of_mean_zero() -> None:
    for states in (2, 3, 7):
        basis = state_basis(states)
        assert basis.shape == (states - 1, states)
        np.testing.assert_allclose(basis @ basis.T, np.eye(states - 1), atol=1e-12)
        np.testing.assert_allclose(basis.sum(axis=1), 0, atol=1e-12)


# ---- local freedom ----


@pytest.mark.parametrize(("support", "share"), [(12, 0), (8, 1 / 3), (4, 2 / 3)])
def test_a_linear_training_map_is_free_where_it_does_not_look(support: int, share: float) -> None:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]
    found = local_freedom(3 * rotation[:, :support] @ rotation.T[:support])
    assert found.free == 12 - support
    assert found.share == pytest.approx(share, abs=1e-12)
    np.testing.assert_allclose(found.singular, 3 * (np.arange(12) < support), atol=1e-12)


@given(seed=seeds, factor=st.floats(-20, 20))
@by_property
def test_local_freedom_forgets_scale_and_orthogonal_coordinates(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    jacobian = rng.normal(size=(4, 6))
    turns = [np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (4, 6)]
    one, other = local_freedom(jacobian), local_freedom(10.0**factor * turns[0] @ jacobian @ turns[1])
    assert one.free == other.free == 2  # six directions, seen by four
    assert other.share == pytest.approx(one.share)
    assert one.share == pytest.approx(1 - np.square(jacobian).sum() / (6 * np.linalg.norm(jacobian, 2) ** 2))
    assert len(one.singular) == 6


def test_local_freedom_at_the_ends() -> None:
    assert (local_freedom(np.zeros((3, 2))).free, local_freedom(np.zeros((3, 2))).share) == (2, 1)
    assert local_freedom(np.diag([1, 2e-3])).free == 0
    assert local_freedom(np.diag([1, 0.5e-3])).free == 1
    assert local_freedom(np.ones((5, 1))).share == 0  # one direction, seen fivefold
    for jacobian in (np.zeros((0, 3)), [1.0, 2.0], [[np.nan]]):
        with pytest.raises(MeasureError):
            local_freedom(jacobian)


def test_a_soft_agent_leaves_its_process_no_freedom() -> None:
    # its canonical log-policy is the canonical process times beta
    mdp, step = worlds(4, 1)[0], 1e-5
    basis, at = starc_basis(mdp), np.random.default_rng(4).normal(size=4)

    def revealed(point: np.ndarray) -> np.ndarray:
        reward = revealed_reward(soft_policy(mdp, np.tensordot(point, basis, axes=1), 3)).reward
        value = mdp.value(reward, mdp.uniform)
        return np.tensordot(basis, mdp.action_value(reward, value) - value[:, None], axes=2)

    columns = [(revealed(at + step * each) - revealed(at - step * each)) / (2 * step) for each in np.eye(4)]
    found = local_freedom(np.stack(columns, axis=1))
    np.testing.assert_allclose(found.singular, 3, rtol=1e-6)
    assert found.free == 0
    assert found.share == pytest.approx(0, abs=1e-6)


@given(seed=seeds)
@by_property
def test_the_pair_serves_the_human_in_every_world(seed: int) -> None:
    deployed, objective = worlds(seed, 2), human(seed)
    found = wiggle_lower_bound(
        MDP.optimal, objective, deployed, basis=state_basis(4), epsilon=0.1, samples=10, climbs=30
    )
    assume(found.sampled > 0)
    for each in found.pair:
        assert max(regret(world, objective, world.optimal(each)) for world in deployed) <= 0.1 + 1e-8


@pytest.mark.slow
def test_more_worlds_stiffen_the_string_of_random_draws() -> None:
    found = wiggles(draws=15, samples=500)
    for epsilon in (0.0, 0.02):
        widths = [interval([each.sampled for each in found[epsilon, k]]) for k in (1, 2, 4, 8, 16)]
        assert all(after.high < before.low for before, after in zip(widths[::2], widths[2::2], strict=False))
        assert widths[0].mean > 0.7
        assert widths[-1].mean < 0.2
    for loose, tight in ((found[0.02, k], found[0.0, k]) for k in (1, 2, 4, 8, 16)):
        assert all(a.sampled >= b.sampled and a.share >= b.share for a, b in zip(loose, tight, strict=True))
