"""Self-adaptive evolution: a mutation by hand, what a refusal keeps, and that it finds a minimum."""

from __future__ import annotations

from collections.abc import Mapping
from math import e, exp, sqrt

import pytest
import torch
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Params, Seen
from sandbox.core.random import uniform
from sandbox.meta_learner.self_adaptive import SelfAdaptive

ONE = 0.8413447460685429  # the uniform whose normal is 1


def seen(visible: Mapping[str, Tensor], noise: Tensor) -> Seen:
    nan = torch.tensor(torch.nan)
    return Seen(
        own=nan[None],
        process=nan,
        grad={},
        visible=visible,
        noise=noise,
        step=torch.tensor(0),
    )


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_mutation_by_hand() -> None:
    learner = SelfAdaptive(sigma=0.1)
    visible = {"rule/lr": torch.tensor(2.0), "rule/net": torch.zeros(3, 1, dtype=torch.float64)}
    psi = learner.init(visible)
    edit, after = learner.ask(psi, seen(visible, doubles(ONE, ONE, 0.5, ONE, 1 - ONE, 0.123)))
    sigma = 0.1 * exp(1 / sqrt(4))
    assert float(edit.set["./sigma"]) == pytest.approx(sigma)
    assert float(edit.set["rule/lr"]) == pytest.approx(2 + sigma)
    assert edit.set["rule/net"].flatten().tolist() == pytest.approx([0, sigma, -sigma], abs=1e-12)
    assert {path: value.dtype for path, value in edit.set.items()} == {
        "rule/lr": torch.float32, "rule/net": torch.float64, "./sigma": torch.float64,
    }  # fmt: skip
    assert float(after["sigma"]) == 0.1  # the new one rides on the edit: a refusal leaves it


def test_a_given_tau_rules_how_fast_sigma_changes() -> None:
    learner, visible = SelfAdaptive(sigma=2.0, tau=1.0), {"rule/lr": doubles(0)}
    edit, _ = learner.ask(learner.init(visible), seen(visible, doubles(ONE, 0.5)))
    assert float(edit.set["./sigma"]) == pytest.approx(2 * e)


def test_it_declares_its_own_sigma_among_its_edits() -> None:
    needs = SelfAdaptive(edits=("meta/1",), most=7).needs
    assert needs.edits == ("meta/1", "./sigma")
    assert needs.reads == ("meta/1",)
    assert needs.noise == 8
    assert not needs.grads


def test_it_finds_a_minimum_and_its_sigma_shrinks_with_the_distance() -> None:
    learner = SelfAdaptive(sigma=1.0)
    at: Mapping[str, Tensor] = {"rule/x": doubles(3.0, -4.0)}
    psi: Params = learner.init(at)
    for step in range(500):
        edit, _ = learner.ask(psi, seen(at, uniform(0, "ask", step, (learner.needs.noise,))))
        if edit.set["rule/x"].norm() < at["rule/x"].norm():
            at, psi = {"rule/x": edit.set["rule/x"]}, {"sigma": edit.set["./sigma"]}
    assert float(at["rule/x"].norm()) < 1e-3
    assert float(psi["sigma"]) < 0.1


def test_many_seeds_at_once_are_the_seeds_one_by_one() -> None:
    learner = SelfAdaptive(most=4)
    visible, noise = {"rule/x": torch.randn(3, 2)}, uniform(0, "ask", 0, (3, 5))
    sigma = doubles(0.1, 0.2, 0.3)

    def ask(sigma: Tensor, x: Tensor, u: Tensor) -> dict[str, Tensor]:
        return dict(learner.ask({"sigma": sigma}, seen({"rule/x": x}, u))[0].set)

    together = torch.func.vmap(ask)(sigma, visible["rule/x"], noise)
    for n in range(3):
        alone = ask(sigma[n], visible["rule/x"][n], noise[n])
        assert all(torch.allclose(together[path][n], alone[path]) for path in alone)


def test_more_numbers_than_its_noise_are_refused() -> None:
    SelfAdaptive(most=4).init({"rule/a": torch.zeros(3), "rule/b": torch.zeros(())})
    with pytest.raises(ConfigError, match=r"meta_learner\.most=5"):
        SelfAdaptive(most=4).init({"rule/a": torch.zeros(4), "rule/b": torch.zeros(())})


def test_a_mutation_without_a_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"meta_learner\.sigma"):
        SelfAdaptive(sigma=0.0)
