"""The optimizer of the learning: torch's Adam to rounding, in the open for the level above, finite at zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from sandbox.core.adjoint import Adjoint
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Grad, Params, Seen
from sandbox.meta_learner.meta_gradient import MetaGradient

W, B = "init/0.weight", "rule/lr"


def seen(visible: Mapping[str, Tensor], grad: Mapping[str, Tensor]) -> Seen:
    nan = torch.tensor(torch.nan)
    return Seen(own=nan[None], process=nan, grad={"process": grad, "own": {}}, visible=visible, noise=torch.zeros(0),
                step=torch.tensor(0))  # fmt: skip


def leaves(seed: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {W: torch.randn(3, 4, generator=generator).to(dtype), B: torch.randn((), generator=generator).to(dtype)}


def test_it_declares_what_it_edits_and_whose_gradient_it_follows() -> None:
    needs = MetaGradient(edits=("init", "rule"), adjoint=Adjoint(first_order=True)).needs
    assert needs.edits == needs.reads == ("init", "rule")
    assert needs.grads == (Grad("process", "init"), Grad("process", "rule"))
    assert needs.adjoint.first_order


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_it_is_the_optimizer_of_torch(name: Any) -> None:
    learner, ours = MetaGradient(lr=0.01, optimizer=name), leaves(0)
    theirs = [leaf.clone().requires_grad_() for leaf in ours.values()]
    optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name](theirs, lr=0.01)
    psi = learner.init(ours)
    for step in range(1, 30):
        grads = leaves(step)
        grads[W][0] = 0  # a dead unit
        for leaf, grad in zip(theirs, grads.values(), strict=True):
            leaf.grad = grad.clone()
        optimizer.step()
        edit, psi = learner.ask(psi, seen(ours, grads))
        ours = dict(edit.set)
    for leaf, expected in zip(ours.values(), theirs, strict=True):
        assert torch.allclose(leaf, expected.detach(), rtol=0, atol=1e-12)


def test_the_first_step_of_adam_is_the_sign_of_the_gradient() -> None:
    learner = MetaGradient(lr=0.5)
    leaf = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    grad = torch.tensor([3.0, -0.2, 0.0], dtype=torch.float64)
    edit, psi = learner.ask(learner.init({W: leaf}), seen({W: leaf}, {W: grad}))
    assert edit.set[W].tolist() == pytest.approx([0.5, 1.5, 1.0], abs=1e-6)
    assert float(psi["count"]) == 1
    assert psi["m.init:0.weight"].tolist() == pytest.approx([0.3, -0.02, 0])
    assert psi["v.init:0.weight"].tolist() == pytest.approx([0.009, 0.00004, 0])


def test_a_level_above_can_follow_the_learning_rate_of_this_one() -> None:
    learner = MetaGradient(optimizer="sgd")
    psi: Params = {"lr": torch.tensor(0.1, dtype=torch.float64, requires_grad=True)}
    leaf, grad = torch.tensor(1.0, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64)
    edit, _ = learner.ask(psi, seen({B: leaf}, {B: grad}))
    (slope,) = torch.autograd.grad(edit.set[B], psi["lr"])
    assert float(slope) == -3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_of_zero_is_finite_and_so_is_every_derivative_through_it(
    dtype: torch.dtype, clip: float | None
) -> None:
    learner = MetaGradient(clip=clip)
    leaf = torch.ones(2, dtype=dtype)
    grad = torch.zeros(2, dtype=dtype, requires_grad=True)
    psi = {name: value.requires_grad_() for name, value in learner.init({W: leaf}).items()}
    edit, after = learner.ask(psi, seen({W: leaf}, {W: grad}))
    edit, _ = learner.ask(after, seen(edit.set, {W: grad}))
    at = [psi["lr"], grad]
    found = torch.autograd.grad(edit.set[W].sum(), at, create_graph=True)
    second = torch.autograd.grad(torch.cat([f.flatten() for f in found]).sum(), at, allow_unused=True)
    assert all(bool(torch.isfinite(f).all()) for f in (*found, *second) if f is not None)
    assert edit.set[W].tolist() == [1, 1]


@pytest.mark.parametrize(("clip", "norm"), [(2.0, 2.0), (50.0, 5.0)])
def test_the_whole_gradient_is_clipped_to_its_norm(clip: float, norm: float) -> None:
    learner = MetaGradient(lr=1.0, optimizer="sgd", clip=clip)
    visible = {W: torch.zeros(1, dtype=torch.float64), B: torch.zeros((), dtype=torch.float32)}
    grads = {W: torch.tensor([3.0], dtype=torch.float64), B: torch.tensor(4.0)}
    edit, _ = learner.ask(learner.init(visible), seen(visible, grads))
    assert float(edit.set[W]) == pytest.approx(-3 * norm / 5)
    assert float(edit.set[B]) == pytest.approx(-4 * norm / 5)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_many_seeds_at_once_are_the_seeds_one_by_one_in_the_dtype_of_the_leaves(name: Any) -> None:
    learner = MetaGradient(optimizer=name, clip=1.0)
    each = [(leaves(seed, torch.float32), leaves(10 + seed, torch.float32)) for seed in range(3)]
    psi = learner.init(each[0][0])

    def ask(psi: Params, visible: dict[str, Tensor], grads: dict[str, Tensor]) -> tuple[dict[str, Tensor], Params]:
        edit, after = learner.ask(psi, seen(visible, grads))
        return dict(edit.set), after

    rows = {key: value.expand(3, *value.shape).clone() for key, value in psi.items()}
    stacked = [{path: torch.stack([pair[k][path] for pair in each]) for path in (W, B)} for k in (0, 1)]
    together, after = torch.func.vmap(ask)(rows, *stacked)
    assert {key: (value.shape, value.dtype) for key, value in after.items()} == {
        key: (value.shape, value.dtype) for key, value in rows.items()
    }
    for n, (visible, grads) in enumerate(each):
        alone, _ = ask(psi, visible, grads)
        for path in (W, B):
            assert together[path].dtype == torch.float32
            assert torch.allclose(together[path][n], alone[path], rtol=1e-6)


def test_a_bound_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"meta_learner\.clip"):
        MetaGradient(clip=0.0)
