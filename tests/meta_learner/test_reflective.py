"""The reflective agent: whose hypergradient it follows, how far an edit goes, what refusals do."""

from __future__ import annotations

from math import tanh

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Heard, Seen
from sandbox.meta_learner.reflective import Reflective

NAN = torch.tensor(torch.nan)
PATH = "rule/lr"


def seen(process: float, own: float) -> Seen:
    grad = {"process": {PATH: torch.tensor(process)}, "own": {PATH: torch.tensor(own)}}
    nothing = torch.zeros(0)
    return Seen(own=nothing, process=nothing, grad=grad, visible={PATH: torch.tensor(1.0)}, noise=nothing,
                step=nothing)  # fmt: skip


@pytest.mark.parametrize(("mu", "followed"), [(0.0, 0.01), (1.0, -0.02), (0.5, -0.005)])
def test_mu_says_whose_hypergradient_is_followed(mu: float, followed: float) -> None:
    agent = Reflective(edits=(PATH,), mu=mu)
    edit, _ = agent.ask(agent.init({}), seen(0.01, -0.02))
    assert float(edit.set[PATH]) == pytest.approx(1 - 0.3 * tanh(30 * followed), rel=1e-6)


def test_an_edit_is_bounded_whatever_the_hypergradient() -> None:
    agent = Reflective(edits=(PATH,))
    edit, _ = agent.ask(agent.init({}), seen(1e9, 0.0))
    assert float(edit.set[PATH]) == pytest.approx(0.7)


def test_it_needs_only_the_hypergradients_that_it_follows() -> None:
    wanted = {mu: {grad.objective for grad in Reflective(mu=mu).needs.grads} for mu in (0.0, 0.3, 1.0)}
    assert wanted == {0.0: {"process"}, 0.3: {"process", "own"}, 1.0: {"own"}}


def test_refusals_in_a_row_shrink_the_step_and_an_acceptance_restores_it() -> None:
    agent = Reflective(edits=(PATH,), backoff=0.5)
    psi = agent.init({})
    for _ in range(2):
        psi = agent.tell(psi, Heard(torch.tensor(0.0, dtype=torch.float64), NAN, NAN))
    edit, _ = agent.ask(psi, seen(1e9, 0.0))
    assert float(edit.set[PATH]) == pytest.approx(1 - 0.3 / 4)
    edit, _ = agent.ask(agent.tell(psi, Heard(torch.tensor(1.0, dtype=torch.float64), NAN, NAN)), seen(1e9, 0.0))
    assert float(edit.set[PATH]) == pytest.approx(0.7)


@pytest.mark.parametrize("fields", [{"mu": 1.5}, {"backoff": 0.0}])
def test_what_makes_no_sense_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Reflective(**fields)
