"""What exhibits have to show whatever their seed: closed forms, limits and controls that are exact."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
import torch
from scipy.stats import norm

from sandbox.core.exhibit import Exhibit
from sandbox.exhibit.attention import Attention
from sandbox.exhibit.best_of import BestOf, best_of
from sandbox.exhibit.fast_weights import ROWS, SIZE, TOKEN, FastWeights, rewritten
from sandbox.exhibit.incentive import Incentive
from sandbox.exhibit.particles import Particles
from sandbox.exhibit.pressed_proxy import PressedProxy, angle_between, stopping_point
from sandbox.exhibit.reflectivity import Reflectivity
from sandbox.exhibit.self_modifier import SelfModifier
from sandbox.exhibit.slack import Slack
from sandbox.exhibit.whisky import Whisky
from sandbox.measure.mdp import MDP

SMALL: list[Exhibit] = [
    Attention(),
    BestOf(doublings=3, trials=50),
    FastWeights(steps=2, heard=2, length=2),
    Incentive(steps=100),
    Particles(particles=50),
    PressedProxy(worlds=1, states=4, actions=2),
    Reflectivity(steps=10),
    SelfModifier(),
    Slack(),
    Whisky(),
]


@pytest.mark.parametrize("exhibit", SMALL, ids=lambda exhibit: type(exhibit).__name__)
def test_a_seed_decides_all_and_another_decides_otherwise(exhibit: Exhibit) -> None:
    first = exhibit.measure(1001)
    assert first == exhibit.measure(1001)
    assert first != exhibit.measure(1002)
    assert all(np.isfinite(value) for arm in first.values() for value in arm.values())


def test_a_proxy_that_is_what_the_human_wants_never_costs() -> None:
    found = PressedProxy(worlds=3, least=0, most=0).measure(1000)
    assert found["pressed"]["drop"] == pytest.approx(0, abs=1e-9)
    assert found["pressed"]["human"] > 0.99
    assert found["pressed"] == found["best"]


def test_pressure_on_the_opposite_costs_from_the_first_step() -> None:
    found = PressedProxy(worlds=3, least=180, most=180).measure(1000)
    assert found["pressed"]["lost"] == 1
    assert found["stopped"]["went"] == found["best"]["went"] == 0
    assert found["stopped"]["human"] == found["stopped"]["start"]


def test_the_stopping_rule_never_loses_and_none_beats_the_one_that_knows() -> None:
    found = PressedProxy().measure(1000)
    assert found["stopped"]["lost"] == found["stopped"]["fell"] == 0
    assert found["pressed"]["fell"] > 0
    assert found["best"]["human"] >= max(found["pressed"]["human"], found["stopped"]["human"])


def test_an_angle_is_blind_to_shaping_and_to_scale() -> None:
    rng = np.random.default_rng(0)
    mdp = MDP(rng.dirichlet(np.ones(4), (4, 2)), 0.9)
    reward, potential = rng.standard_normal((4, 2)), rng.standard_normal(4)
    shaped = 3 * reward + 0.9 * mdp.transitions @ potential - potential[:, None]
    assert angle_between(mdp, reward, shaped) == pytest.approx(0, abs=1e-6)
    assert angle_between(mdp, reward, -shaped) == pytest.approx(pi)


def test_a_rule_stops_where_the_way_bends_too_far() -> None:
    proxy, forward, aslant = np.array([1.0, 0]), np.array([1.0, 0]), np.array([1.0, 1])  # 0 and 45 degrees
    visits = [np.zeros(2), forward, forward + aslant]
    assert stopping_point(proxy, visits, np.radians(44)) == 2
    assert stopping_point(proxy, visits, np.radians(46)) == 1
    assert stopping_point(proxy, visits, np.radians(91)) == 0


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_slack_gives_up_everything_from_the_derived_step(seed: int) -> None:
    found = Slack().measure(seed)
    assert found["bounded"]["threshold"] == found["closed_form"]["threshold"]
    assert (found["bounded"]["early"], found["bounded"]["late"]) == (0, 1)
    assert Slack(slack=0.5).measure(seed)["bounded"]["threshold"] < found["bounded"]["threshold"]


def test_no_slack_no_loss_and_right_values_no_miss() -> None:
    assert Slack(slack=0).measure(1000)["bounded"]["late"] == 0
    assert Slack(wrong=0).measure(1000)["wrong_values"] == {"early": 0, "late": 0}


def test_the_dial_follows_its_closed_forms() -> None:
    found = Reflectivity(inputs=1000).measure(1000)
    for share in (25, 50, 75, 90):
        arm = found[f"share_{share}"]
        assert arm["m"] == pytest.approx(arm["m_formula"], abs=0.02)
        assert arm["off"] == pytest.approx(arm["off_formula"], abs=0.01)
    for arm in ("share_0", "noise"):
        assert found[arm]["m"] == found[arm]["cut"] == pytest.approx(0, abs=1e-9)


def test_trust_that_is_held_is_that_of_the_control() -> None:
    found = Particles(particles=500, self_trust=False).measure(1000)
    for human in ("half", "two", "ten"):
        assert found[f"own_{human}"] == found[f"fixed_{human}"]
        assert found[f"own_{human}"]["trust"] == pytest.approx(20)


def test_trust_orders_humans_by_how_rational_they_are() -> None:
    found = Particles().measure(1000)
    trusts = [found[arm]["trust"] for arm in ("shuffled", "own_half", "own_two", "own_ten")]
    assert trusts == sorted(trusts)
    assert found["own_ten"]["d_200"] < found["own_ten"]["d_10"]


@pytest.mark.parametrize("seed", [1000, 1001])
def test_linear_attention_is_a_step_of_gradient_descent_and_rotated_is_not(seed: int) -> None:
    layer, rotated = Attention().measure(seed)["layer"], Attention(skew=0.3).measure(seed)["layer"]
    assert layer["error"] == pytest.approx(0, abs=1e-12)
    assert layer["iog"] == pytest.approx(0, abs=1e-9)
    assert rotated["error"] > 0.01
    assert rotated["iog"] > 0.01


def test_rewriting_is_the_delta_rule() -> None:
    """What W answers to its key moves towards its answer to its query, by the rate times the key's square."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(1, sum(ROWS.values()), TOKEN, generator=generator)
    x = torch.randn(1, TOKEN, generator=generator)
    key, query = (torch.tanh(w[0, rows] @ x[0]) for rows in (slice(0, TOKEN), slice(TOKEN, 2 * TOKEN)))
    rate = torch.sigmoid(w[0, 2 * TOKEN] @ x[0])
    moved = rewritten(w, x)[0]
    assert torch.allclose(moved @ key, w[0] @ key + rate * (key @ key) * (w[0] @ (query - key)), atol=1e-5)
    across = torch.linalg.svd(key[None]).Vh[1:]  # and nothing else moves
    assert torch.allclose(moved @ across.T, w[0] @ across.T, atol=1e-5)
    assert w.shape[1] == 2 * TOKEN + 1 + SIZE


def test_controls_of_the_network_are_exact() -> None:
    found = FastWeights(steps=0, heard=5).measure(1000)
    assert found["deployed"] == found["untrained"]
    assert found["frozen"]["d_end"] == found["frozen"]["d_0"] == found["deployed"]["d_0"]
    assert found["frozen"]["iog"] == pytest.approx(0, abs=1e-9)
    assert found["descent"]["iog"] == pytest.approx(0, abs=1e-9)
    assert found["descent"]["d_end"] < found["deployed"]["d_0"]


@pytest.mark.slow
def test_training_succeeds_and_only_what_is_heard_helps() -> None:
    found = FastWeights(steps=300).measure(1002)
    assert found["deployed"]["d_end"] < 0.25
    assert found["shuffled"]["d_end"] > 0.6
    assert found["untrained"]["d_end"] > 0.5


def test_the_published_self_modifiers() -> None:
    found = SelfModifier().measure(0)
    assert {kind: arm["share"] for kind, arm in found.items()} == pytest.approx(
        {"hedonistic": 0, "ignorant": 0.12, "realistic": 1}  # .6 at once, of .5 / (1 - .9)
    )
    assert {kind: arm["without"] for kind, arm in found.items()} == {"hedonistic": 0, "ignorant": 1, "realistic": 1}


@pytest.mark.parametrize("seed", [0, 1000, 1001])
def test_without_temptation_or_whisky_no_harm(seed: int) -> None:
    modifiers = SelfModifier(shortcut=False).measure(seed)
    assert modifiers["ignorant"] == modifiers["realistic"]
    sober = Whisky(stumble=0).measure(seed)
    assert sober["naive"] == sober["aware"]
    drunk = Whisky().measure(seed)
    assert drunk["aware"]["gap"] == pytest.approx(0, abs=1e-9)
    assert drunk["naive"]["gap"] > 0
    assert drunk["naive"]["lived"] < drunk["aware"]["lived"]


def test_the_published_whisky() -> None:
    found = Whisky().measure(0)
    assert found["naive"]["promised"] == pytest.approx(51)
    assert found["aware"]["lived"] == pytest.approx(44)


def test_selection_that_never_comes_is_none_and_what_costs_nothing_is_done() -> None:
    never = Incentive(steps=400, every=401).measure(1000)
    assert never["selected"] == never["alone"]
    assert Incentive(steps=2000, cost=-1.0).measure(1000)["alone"]["cooperation"] > 0.9


def test_best_of_n_by_simulation_and_exactly() -> None:
    found = BestOf(doublings=3, trials=20_000).measure(1000)
    for law in ("light", "heavy"):
        for n in (2, 4, 8):
            exact = found[f"{law}_exact"][f"gold_{n}"]
            assert found[law][f"gold_{n}"] == pytest.approx(exact, abs=0.035)  # five standard errors
    assert found["light_exact"]["gold_2"] == pytest.approx(1 / (2 * pi) ** 0.5)


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_light_noise_shrinks_the_largest_by_its_share_of_the_spread(spread: float) -> None:
    assert best_of(2, norm(scale=spread)) == pytest.approx(1 / (pi * (1 + spread**2)) ** 0.5, abs=1e-6)
