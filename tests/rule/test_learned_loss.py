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


TANH = LearnedLoss(hidden=1, activation="tanh", biases=True)


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
    loss = TANH.loss(TINY, {"w": double([[3.0]])}, {}, BATCH, LIFE)
    assert float(loss) == pytest.approx((by_hand(3, 1) + by_hand(-6, 0.5)) / 2)


def test_classes_count_as_one_hot_targets() -> None:
    params = {"w": double([[3.0, -1.0]])}
    batch = {"x": double([[1.0]]), "y": torch.tensor([1])}
    loss = TANH.loss(TINY, params, {}, batch, LIFE)
    assert float(loss) == pytest.approx((by_hand(3, 0) + by_hand(-1, 1)) / 2)


def test_a_step_is_plain_descent() -> None:
    moved, slots = LearnedLoss(lr=0.5).update({}, {"w": double([1.0])}, {"w": double([4.0])}, {})
    assert moved["w"].tolist() == [-1]
    assert slots == {}


def test_without_biases_and_with_relu_by_hand() -> None:
    phi = {name: weight for name, weight in TINY.items() if "bias" not in name}
    params = {"w": double([[3.0]])}
    hidden = [2 * max(0, 3 - 0.5), 2 * max(0, -6 - 0.25)]
    expected = sum(log(1 + exp(-one)) for one in hidden) / 2
    assert float(LearnedLoss(hidden=1).loss(phi, params, {}, BATCH, LIFE)) == pytest.approx(expected)


@pytest.mark.parametrize("rule", [LearnedLoss(), LearnedLoss(activation="tanh", biases=True)])
def test_the_process_can_reach_every_weight_of_the_loss_through_one_step(rule: LearnedLoss) -> None:
    params = {"w": double([[0.3]]).requires_grad_()}
    phi = {name: weight.requires_grad_() for name, weight in rule.init(params).items()}
    (grad,) = torch.autograd.grad(rule.loss(phi, params, {}, BATCH, LIFE), params["w"], create_graph=True)
    moved, _ = rule.update(phi, params, {"w": grad}, {})
    process = LIFE.objective(LIFE.predict(moved, BATCH["x"]), BATCH).mean()
    found = torch.autograd.grad(process, [phi[name] for name in phi if name != "2.bias"])
    assert all(float(grad.abs().sum()) > 0 for grad in found)


def test_a_greater_error_never_pulls_less_where_nothing_saturates() -> None:
    """Of relu without biases M is the softplus of what grows in proportion; of tanh its slope dies."""
    params = {"w": double([[1.0]])}

    def pull(rule: LearnedLoss, scale: float) -> float:
        at = double([[scale]]).requires_grad_()
        batch = {"x": double([[1.0]]), "y": double([[-scale]])}
        loss = rule.loss(rule.init(params), {"w": at}, {}, batch, LIFE)
        return abs(float(torch.autograd.grad(loss, at)[0]))

    for rng in range(5):
        pulls = [pull(LearnedLoss(rng=rng), scale) for scale in (0.1, 1.0, 10.0, 100.0)]
        outwards = pulls == sorted(pulls) or pulls == sorted(pulls, reverse=True)  # of a softplus, by its sign
        assert outwards
    tanh = LearnedLoss(activation="tanh", rng=0)
    assert pull(tanh, 1e5) < 1e-6 * pull(tanh, 1.0)


def test_phi_is_of_its_seed_and_leaves_the_global_generator_alone() -> None:
    params, before = {"w": torch.zeros(1, 1)}, torch.get_rng_state()
    first, again, other = (LearnedLoss(rng=rng).init(params) for rng in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first["1.weight"], again["1.weight"])
    assert not torch.equal(first["1.weight"], other["1.weight"])
    assert {name: tuple(value.shape) for name, value in first.items()} == {
        "0.weight": (2, 50), "1.weight": (50, 50), "2.weight": (50, 1)
    }  # fmt: skip
    assert all(value.dtype == torch.float32 for value in first.values())
    assert float(first["1.weight"].abs().max()) == pytest.approx((6 / 100) ** 0.5, rel=0.01)
    assert float(first["1.weight"].std()) == pytest.approx((2 / 100) ** 0.5, rel=0.05)
    norm = sum(float(value.square().sum()) for value in first.values()) ** 0.5
    assert float(LearnedLoss().readable(first)["norm"]) == pytest.approx(norm)
    with_biases = LearnedLoss(biases=True).init(params)
    assert with_biases.keys() - first.keys() == {"0.bias", "1.bias", "2.bias"}


def test_each_seed_has_a_loss_of_its_own_unless_it_is_named() -> None:
    params = {"w": torch.zeros(1, 1)}
    assert LearnedLoss(rng=3).draws(params) == 0
    size = LearnedLoss().draws(params)
    assert size == 2 * 50 + 50 * 50 + 50
    noise = torch.rand(size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    drawn = LearnedLoss().drawn(params, noise)
    assert torch.equal(drawn["2.weight"][:, 0], ((6 / 51) ** 0.5 * (2 * noise[-50:] - 1)).float())


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
    params, rule = {"w": double([[3.0, -1.0]])}, TANH
    x, y = double([[1.0], [2.0], [-1.0], [0.5]]), torch.tensor([1, 0, 0, 1])
    flat = rule.loss(TINY, params, {}, {"x": x, "y": y}, LIFE)
    sequences = rule.loss(TINY, params, {}, {"x": x.reshape(2, 2, 1), "y": y.reshape(2, 2)}, LIFE)
    assert float(sequences) == pytest.approx(float(flat), rel=1e-14)
