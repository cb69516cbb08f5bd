"""Adam, AdamW and RMSprop: torch's own steps, with derivatives in every number that they keep."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Level, Reach, Rule, World
from sandbox.core.record import Verdict
from sandbox.engine.functional import Functional
from sandbox.gate.always import Always
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.meta_gradient import MetaGradient
from sandbox.model.module import Module
from sandbox.model.vector import Vector
from sandbox.rule.acting import adam as acting_adam
from sandbox.rule.adam import Adam
from sandbox.rule.adamw import AdamW
from sandbox.rule.rmsprop import RMSprop
from sandbox.task.quadratic import Quadratic

BETAS = {"betas": (0.8, 0.95), "eps": 1e-6}
ALIKE: dict[str, tuple[Any, type[torch.optim.Optimizer], dict[str, Any]]] = {  # ours, torch's, and how it is set
    "adam": (Adam(), torch.optim.Adam, {}),
    "adam set": (Adam(0.002, 0.8, 0.95, 1e-6, 0.1), torch.optim.Adam, {"lr": 0.002, **BETAS, "weight_decay": 0.1}),
    "adam without a mean": (Adam(beta1=0.0), torch.optim.Adam, {"betas": (0.0, 0.999)}),
    "adamw": (AdamW(), torch.optim.AdamW, {}),
    "adamw set": (AdamW(0.03, 0.8, 0.95, 1e-6, 0.3), torch.optim.AdamW, {"lr": 0.03, **BETAS, "weight_decay": 0.3}),
    "rmsprop": (RMSprop(), torch.optim.RMSprop, {}),
    "rmsprop set": (RMSprop(0.003, 0.9, 1e-6, weight_decay=0.1), torch.optim.RMSprop,
                    {"lr": 0.003, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1}),
    "rmsprop centered": (RMSprop(centered=True), torch.optim.RMSprop, {"centered": True}),
    "rmsprop with momentum": (RMSprop(0.003, momentum=0.7, centered=True), torch.optim.RMSprop,
                              {"lr": 0.003, "momentum": 0.7, "centered": True}),
}  # fmt: skip
RULES: dict[str, Any] = {name: ours for name, (ours, _, _) in ALIKE.items()}
STEPS = 300


def weights(seed: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"w": torch.randn(4, 9, generator=generator, dtype=torch.float64).to(dtype),
            "b": torch.randn(5, generator=generator, dtype=torch.float64).to(dtype)}  # fmt: skip


def gradients(step: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Of all sizes; some always 0, some now and then, and all of them 0 at first."""
    grads = weights(step, dtype)
    grads["w"] = grads["w"] * 10.0 ** torch.arange(-7, 2)
    grads["w"][0], grads["b"][step % 5] = 0, 0
    return {name: grad * (step > 2) for name, grad in grads.items()}


@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("name", ALIKE)
def test_a_life_is_torch_s(name: str, dtype: torch.dtype, near: float) -> None:
    rule, kind, settings = ALIKE[name]
    start = weights(0, dtype)
    theirs = [weight.clone().requires_grad_() for weight in start.values()]
    optimizer, ours = kind(theirs, **settings), start
    phi, slots = rule.init(ours), rule.slots(ours)
    for step in range(STEPS):
        grads = gradients(step, dtype)
        for weight, grad in zip(theirs, grads.values(), strict=True):
            weight.grad = grad.clone()
        optimizer.step()
        ours, slots = rule.update(phi, ours, grads, slots)
        for one, two, begun in zip(ours.values(), theirs, start.values(), strict=True):
            torch.testing.assert_close(one - begun, two.detach() - begun, rtol=near, atol=near)
    assert all(leaf.dtype == dtype for leaf in (*ours.values(), *phi.values(), *slots.values()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("slope", [7.0, 2.5, 1.0, 1e-3])
def test_gradients_that_never_change_leave_a_centered_square_that_is_torch_s(slope: float, dtype: torch.dtype) -> None:
    rule, weight = RMSprop(centered=True), torch.zeros(1, dtype=dtype, requires_grad=True)
    optimizer, ours = torch.optim.RMSprop([weight], centered=True), {"w": torch.zeros(1, dtype=dtype)}
    phi, slots = rule.init(ours), rule.slots(ours)
    weight.grad = torch.full((1,), slope, dtype=dtype)
    for _ in range(1000):  # beyond that both divide by the rounding of their squares
        optimizer.step()
        ours, slots = rule.update(phi, ours, {"w": weight.grad}, slots)
    torch.testing.assert_close(ours["w"], weight.detach(), rtol=0.05 if dtype == torch.float32 else 1e-5, atol=0)


def test_a_centered_square_below_0_gives_no_step() -> None:
    rule, params = RMSprop(centered=True), {"w": torch.zeros(1)}
    slots = {"square.w": torch.zeros(1), "mean.w": torch.ones(1)}
    assert rule.update(rule.init(params), params, {"w": torch.ones(1)}, slots)[0]["w"].isnan().all()


@pytest.mark.parametrize("name", RULES)
def test_derivatives_are_slopes_also_where_a_gradient_is_always_zero(name: str) -> None:
    """Three inner steps of a network with a unit that is dead and an input that is 0."""
    rule = RULES[name]
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, 3, generator=generator).double(), torch.randn(6, generator=generator).double()
    x[:, 0] = 0
    reach = Reach(lambda p, x: torch.relu(x @ p["w"] + p["b"]) @ p["v"], lambda p, batch: (p - batch["y"]).square())
    begun = {"w": torch.randn(3, 4, generator=generator).double(), "b": torch.tensor([-99.0, 0.1, 0.2, 0.3]).double(),
             "v": torch.ones(4, dtype=torch.float64)}  # fmt: skip
    phi, batch = {**rule.init(begun), "eps": torch.tensor(-2.0).double()}, {"x": x, "y": y}  # so that eps tells

    def outcome(phi: dict[str, Tensor], params: dict[str, Tensor]) -> Tensor:
        slots = rule.slots(params)
        for _ in range(3):
            at = {name: leaf if leaf.requires_grad else leaf.requires_grad_() for name, leaf in params.items()}
            loss = rule.loss(phi, at, slots, batch, reach)
            grads = dict(zip(at, torch.autograd.grad(loss, list(at.values()), create_graph=True), strict=True))
            params, slots = rule.update(phi, params, grads, slots)
        return rule.loss(phi, params, slots, batch, reach)

    at = {name: leaf.clone().requires_grad_() for name, leaf in phi.items()}
    start = {name: leaf.clone().requires_grad_() for name, leaf in begun.items()}
    found = torch.autograd.grad(outcome(at, start), [*at.values(), *start.values()])
    assert all(bool(grad.isfinite().all()) for grad in found)
    for (leaf, number), grad in zip(phi.items(), found, strict=False):
        if float(number) < -100:  # a decay that starts at 0 stays there
            assert float(grad) == 0
            continue
        there, back = (float(outcome(phi | {leaf: number + h}, {**begun}).detach()) for h in (1e-5, -1e-5))
        assert float(grad) == pytest.approx((there - back) / 2e-5, rel=1e-6, abs=1e-9)
        assert float(grad) != 0


def test_the_step_of_rules_that_act_is_the_same_one() -> None:
    rule, lr = Adam(lr=0.01), torch.tensor(0.01, dtype=torch.float64)
    ours = theirs = weights(0)
    memory = other = rule.slots(ours)
    for step in range(50):
        ours, memory = rule.update(rule.init(ours), ours, gradients(step), memory)
        theirs, other = acting_adam(lr, theirs, gradients(step), other)
        assert all(torch.allclose(ours[name], theirs[name], rtol=1e-13, atol=1e-13) for name in ours)


# ---- phi ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "decays"), [(Adam(), ("beta1", "beta2")), (AdamW(beta1=0.0), ("beta1", "beta2")),
                                              (RMSprop(momentum=0.5), ("alpha", "momentum"))])  # fmt: skip
def test_a_person_reads_the_fields(rule: Any, decays: tuple[str, ...]) -> None:
    phi = rule.init(weights(0))
    read = rule.readable(phi)
    assert set(read) == {"lr", "eps", *decays}
    assert {name: float(value) for name, value in read.items()} == {
        name: pytest.approx(getattr(rule, name), rel=1e-13) for name in read
    }
    assert rule.place(phi) == {name: read[name] for name in decays}


@pytest.mark.parametrize("x", [-1000.0, -3.0, 0.0, 9.0, 30.0])
def test_no_edit_takes_a_decay_or_eps_out_of_its_range(x: float) -> None:
    rule, params = Adam(), weights(0, torch.float32)
    phi = {"lr": torch.tensor(0.1), **{name: torch.tensor(x) for name in ("beta1", "beta2")}, "eps": torch.tensor(-8.0)}
    read = rule.readable(phi)
    assert 0 <= float(read["beta2"]) <= 1
    assert float(read["eps"]) > 0
    moved, _ = rule.update(phi, params, params, rule.slots(params))
    for name, weight in params.items():  # the first step is lr · sign(g), however slowly the moments decay
        torch.testing.assert_close(moved[name], weight - 0.1 * weight.sign(), rtol=1e-5, atol=1e-5)


def test_a_rate_below_zero_is_rolled_back() -> None:
    """An edit far down the hypergradient: the life after it is not finite, and what stood before it returns."""
    edits = ("rule/lr",)
    level = Level(MetaGradient(edits=edits, optimizer="sgd", lr=-1e3), Always(), 2)
    loop = Loop(
        World(Quadratic(dtype="float64"), Module(partial(Vector, 4, dtype="float64")), Adam(lr=0.1)),
        Functional(),
        (level,),
    )
    records = list(loop.run([0], 2))
    assert float(records[1].state.rule["lr"][0]) < 0
    assert records[2].verdict == [Verdict.ROLLED_BACK]
    assert float(records[2].state.rule["lr"][0]) == 0.1
    assert bool(records[2].state.params["w"].isfinite().all())


@pytest.mark.parametrize(("make", "told"), [
    (lambda: Adam(lr=-0.1), r"rule.lr of 0 or more; got -0.1"),
    (lambda: Adam(beta2=1.0), r"rule.beta2 from 0 to below 1; got 1"),
    (lambda: AdamW(beta1=-0.1), r"rule.beta1 from 0"),
    (lambda: AdamW(weight_decay=-1.0), r"rule.weight_decay of 0 or more"),
    (lambda: Adam(eps=0.0), r"rule.eps above 0"),
    (lambda: RMSprop(alpha=1.5), r"rule.alpha from 0"),
    (lambda: RMSprop(momentum=1.0), r"rule.momentum from 0"),
    (lambda: Adam(lr=float("nan")), r"rule.lr of 0 or more; got nan"),
])  # fmt: skip
def test_what_torch_refuses_is_refused(make: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make()


@pytest.mark.parametrize("name", RULES)
def test_many_lives_at_once_are_the_lives_one_by_one(name: str) -> None:
    rule: Rule = RULES[name]
    lives = [weights(seed) for seed in range(3)]
    rows = [replace(RULES[name], lr=0.1 * (n + 1)).init(life) for n, life in enumerate(lives)]
    ages = [{leaf: value + 1.0 for leaf, value in rule.slots(life).items()} for life in lives]

    def stack(trees: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {leaf: torch.stack([tree[leaf] for tree in trees]) for leaf in trees[0]}

    moved, slots = torch.func.vmap(rule.update)(stack(rows), stack(lives), stack(lives), stack(ages))
    for n, life in enumerate(lives):
        alone, memory = rule.update(rows[n], life, life, ages[n])
        assert all(torch.allclose(moved[leaf][n], alone[leaf], rtol=1e-14) for leaf in alone)
        assert all(torch.allclose(slots[leaf][n], memory[leaf], rtol=1e-14) for leaf in memory)
