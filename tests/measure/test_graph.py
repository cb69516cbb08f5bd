"""Strongly connected components of modules, against graphs drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.measure.error import MeasureError
from sandbox.measure.graph import belonging, block_norms, largest_component, sweep
from tests.measure.systems import meta_learning, online_hypergradient, srwm

MODULES = {"a": [0, 1], "b": [2], "c": [3, 4, 5]}


def edges(**strengths: float) -> NDArray[np.float64]:
    """J in which the first letter influences the second."""
    j = np.eye(6)
    for (source, target), strength in strengths.items():
        j[MODULES[target][0], MODULES[source][0]] += strength
    return j


def test_a_chain_is_three_parts_and_a_cycle_is_one() -> None:
    chain = largest_component(edges(ab=1, bc=2), MODULES)
    assert chain.share == 0.5
    assert chain.components == (("c",), ("a",), ("b",))
    assert chain.edges == {("a", "b"): 1, ("b", "c"): 2}
    cycle = largest_component(edges(ab=1, bc=2, ca=3), MODULES)
    assert (cycle.share, cycle.components) == (1, (("a", "b", "c"),))


def test_two_that_rewrite_each_other_are_one_part_beside_what_only_listens() -> None:
    found = largest_component(edges(ab=1, ba=1, bc=1), MODULES)
    assert found.share == 0.5  # three coordinates either way
    assert found.components == (("a", "b"), ("c",))


def test_what_a_module_does_to_itself_is_no_edge() -> None:
    assert largest_component(edges(aa=1, bb=1), MODULES).edges == {}


def test_an_edge_is_a_norm_above_tau_and_the_share_falls_as_tau_rises() -> None:
    j = edges(ab=1e-3, ba=1, bc=1e-6, cb=1)
    j[1, 2] = 1  # |K_[a, b]|_F = √2
    assert largest_component(j, MODULES).edges["b", "a"] == pytest.approx(2**0.5)
    assert sweep(j, MODULES, [1e-8, 1e-6 - 1e-12, 1e-6 + 1e-12, 1e-4, 1e-2]).tolist() == [1, 1, 0.5, 0.5, 0.5]
    assert set(largest_component(j, MODULES, tau=1e-2).edges) == {("b", "a"), ("c", "b")}
    assert largest_component(j, MODULES, tau=1e-4).components == (("a", "b"), ("c",))
    assert largest_component(j, MODULES, tau=1e-2).components == (("c",), ("a",), ("b",))


def test_one_step_of_a_self_referential_matrix_has_a_merged_rule_and_a_slave_and_feedback_merges_all() -> None:
    one, four = srwm(), srwm(steps=4)
    assert largest_component(one.jacobian, one.modules).components == (("k", "q", "beta"), ("y",))
    assert largest_component(one.jacobian, one.modules).share == pytest.approx(0.7)
    assert largest_component(four.jacobian, four.modules).components == (("k", "q", "beta", "y"),)
    taus = np.logspace(-12, 2, 15)
    assert (np.diff(sweep(four.jacobian, four.modules, taus)) <= 0).all()


def test_inner_reset_leaves_two_levels_and_a_carried_inner_none() -> None:
    assert largest_component(meta_learning().jacobian, meta_learning().modules).share == pytest.approx(7 / 13)
    assert largest_component(online_hypergradient().jacobian, online_hypergradient().modules).share == 1


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.floats(-1, 1))
def test_names_order_and_scale_of_modules_change_nothing(seed: int, log: float) -> None:
    rng = np.random.default_rng(seed)
    n, order = 8, rng.permutation(8)
    j = np.eye(n) + rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.15)
    modules = {"a": [0], "b": [1, 2], "c": [3, 4, 5], "d": [6, 7]}
    found = largest_component(j, modules)
    where = np.argsort(order)
    moved = {name.upper(): where[modules[name]] for name in rng.permutation(list(modules))}
    other = largest_component(j[np.ix_(order, order)], moved)
    assert other.share == found.share
    assert {frozenset("".join(part).lower()) for part in other.components} == {frozenset(p) for p in found.components}
    assert {(f.lower(), t.lower()): norm for (f, t), norm in other.edges.items()} == pytest.approx(found.edges)
    scale = np.where(np.arange(n) < 3, 10**log, 1)
    assert largest_component(scale[:, None] * j / scale, modules).components == found.components


def test_masks_serve_as_well() -> None:
    masks = {name: np.isin(np.arange(6), where) for name, where in MODULES.items()}
    assert largest_component(edges(ab=1, ba=1), masks) == largest_component(edges(ab=1, ba=1), MODULES)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"a": [0, 1], "b": [2, 3]}, "coordinate 4 in 0"),
        ({"a": [0, 1, 2], "b": [2, 3, 4, 5]}, "coordinate 2 in 2"),
        ({"a": [0, 0, 1], "b": [2, 3, 4, 5]}, "coordinate 0 in 2"),
        ({"a": range(6), "b": []}, "'b'"),
        ({"a": range(6), "b": np.zeros(6, bool)}, "'b'"),
        ({"a": range(5), "b": [6]}, "'b'"),
        ({"a": range(5), "b": [-1]}, "'b'"),
        ({"a": range(5), "b": [5.0]}, "'b'"),
        ({}, "coordinate 0 in 0"),
    ],
)
def test_modules_must_cover_the_state_once(modules: dict, message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        largest_component(edges(), modules)


@pytest.mark.parametrize("tau", [-1, float("nan")])
def test_a_tau_that_is_no_norm_is_refused(tau: float) -> None:
    with pytest.raises(MeasureError):
        largest_component(edges(), MODULES, tau=tau)
    with pytest.raises(MeasureError):
        sweep(edges(), MODULES, [tau])


# ---- by products ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_norms_by_products_are_those_of_the_jacobian(side, at_once: int) -> None:
    """Of small modules exactly, of larger ones within the scatter of 400 probes."""
    rng = np.random.default_rng(0)
    sizes = {"few": range(3), "one": [3], "many": range(4, 604)}
    k = rng.standard_normal((2, 604, 604)) / 10
    k[:, 3, :3] = 0  # "few" has no influence on "one"
    by = torch.from_numpy(k if side == "left" else k.swapaxes(1, 2))
    seen: list[int] = []

    def product(probes: torch.Tensor) -> torch.Tensor:
        seen.append(len(probes))
        return probes + torch.einsum("psi,sij->psj", probes, by)

    noise = torch.from_numpy(rng.standard_normal((400, 2, 604)))
    belongs = belonging(sizes, 604)
    found = block_norms(product, noise, belongs, side=side, numbers=at_once * 2 * 604)
    exact = np.sqrt(np.einsum("ai,sij,bj->sab", belongs, np.square(k), belongs))
    assert max(seen) <= at_once
    assert sum(seen) == 3 + 1 + 400
    line = np.s_[:, :2] if side == "left" else np.s_[:, :, :2]
    assert found[line] == pytest.approx(exact[line])
    assert found == pytest.approx(exact, rel=0.1)
    assert (found[:, 1, 0] == 0).all()
