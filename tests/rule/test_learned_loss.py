"""The learned loss: its value by hand, and that every one of its weights can be learned through a step."""

from __future__ import annotations

from math import exp, log, tanh

import pytest
import torch
from torch import Tensor

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Params, Reach
from sandbox.rule.learned_loss import LearnedLoss

LIFE = Reach(lambda params, x: x @ params["w"], lambda prediction, batch: (prediction - batch["y"]).square().sum(-1))


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


BATCH = {"x": double([[1.0], [-2.0]]), "y": double([[1.0], [0.5]])}
TINY: Params = {  # one unit a layer
    "0.weight": double([[1.0], [-0.5]]), "0.bias": double([0.25]),
    "1.weight": double([[2.0]]), "1.bias": double([0.0]),
    "2.weight": double([[-1.0]]), "2.bias": double([0.5]),
}  # fmt: skip


def by_hand(prediction: float, target: float) -> float:
    return log(1 + exp(-tanh(2 * tanh(prediction - 0.5 * target + 0.25)) + 0.5))


def test_the_loss_by_hand() -> None:
    loss = LearnedLoss(hidden=1).loss(TINY, {"w": double([[3.0]])}, {}, BATCH, LIFE)
    assert float(loss) == pytest.approx((by_hand(3, 1) + by_hand(-6, 0.5)) / 2)


def test_classes_count_as_one_hot_targets() -> None:
    params = {"w": double([[3.0, -1.0]])}
    batch = {"x": double([[1.0]]), "y": torch.tensor([1])}
    loss = LearnedLoss(hidden=1).loss(TINY, params, {}, batch, LIFE)
    assert float(loss) == pytest.approx((by_hand(3, 0) + by_hand(-1, 1)) / 2)


def test_a_step_is_plain_descent() -> None:
    moved, slots = LearnedLoss(lr=0.5).update({}, {"w": double([1.0])}, {"w": double([4.0])}, {})
    assert moved["w"].tolist() == [-1]
    assert slots == {}


def test_the_process_can_reach_every_weight_of_the_loss_through_one_step() -> None:
    rule, params = LearnedLoss(), {"w": double([[0.3]]).requires_grad_()}
    phi = {name: weight.requires_grad_() for name, weight in rule.init(params).items()}
    (grad,) = torch.autograd.grad(rule.loss(phi, params, {}, BATCH, LIFE), params["w"], create_graph=True)
    moved, _ = rule.update(phi, params, {"w": grad}, {})
    process = LIFE.objective(LIFE.predict(moved, BATCH["x"]), BATCH).mean()
    found = torch.autograd.grad(process, [phi[name] for name in phi if name != "2.bias"])
    assert all(float(grad.abs().sum()) > 0 for grad in found)


def test_phi_is_of_its_seed_and_leaves_the_global_generator_alone() -> None:
    params, before = {"w": torch.zeros(1, 1)}, torch.get_rng_state()
    first, again, other = (LearnedLoss(rng=rng).init(params) for rng in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first["1.weight"], again["1.weight"])
    assert not torch.equal(first["1.weight"], other["1.weight"])
    assert {name: tuple(value.shape) for name, value in first.items()} == {
        "0.weight": (2, 40), "0.bias": (40,),
        "1.weight": (40, 40), "1.bias": (40,),
        "2.weight": (40, 1), "2.bias": (1,),
    }  # fmt: skip
    assert all(value.dtype == torch.float32 for value in first.values())
    assert float(first["1.weight"].std()) == pytest.approx(40**-0.5, rel=0.1)
    norm = sum(float(value.square().sum()) for value in first.values()) ** 0.5
    assert float(LearnedLoss().readable(first)["norm"]) == pytest.approx(norm)


def test_many_lives_at_once_are_the_lives_one_by_one() -> None:
    rule, each = LearnedLoss(), [double([[0.3]]), double([[-2.0]])]
    phi = rule.init({"w": each[0]})
    together = torch.func.vmap(lambda w: rule.loss(phi, {"w": w}, {}, BATCH, LIFE))(torch.stack(each))
    alone = torch.stack([rule.loss(phi, {"w": w}, {}, BATCH, LIFE) for w in each])
    assert torch.allclose(together, alone, rtol=1e-14)


def test_a_task_without_targets_is_refused() -> None:
    with pytest.raises(ConfigError, match="targets"):
        LearnedLoss().loss(TINY, {"w": double([[3.0]])}, {}, {"x": BATCH["x"]}, LIFE)


def test_a_token_of_a_sequence_counts_as_an_example() -> None:
    params, rule = {"w": double([[3.0, -1.0]])}, LearnedLoss(hidden=1)
    x, y = double([[1.0], [2.0], [-1.0], [0.5]]), torch.tensor([1, 0, 0, 1])
    flat = rule.loss(TINY, params, {}, {"x": x, "y": y}, LIFE)
    sequences = rule.loss(TINY, params, {}, {"x": x.reshape(2, 2, 1), "y": y.reshape(2, 2)}, LIFE)
    assert float(sequences) == pytest.approx(float(flat), rel=1e-14)
