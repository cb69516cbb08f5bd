"""Self-distillation: its parts in closed form, its squashes, its teacher."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from sandbox.core.error import ConfigError
from sandbox.core.protocols import Reach
from sandbox.rule.self_distillation import SelfDistillation

PARAMS = {"w": torch.tensor([[0.3, -0.2, 0.5], [1.0, 0.1, -0.4]], dtype=torch.float64)}
X = torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0], [-1.0, 1.5]], dtype=torch.float64)
BATCH = {"x": X, "y": torch.tensor([0, 2, 1, 0])}


def predict(params, x):
    return x @ params["w"]


LIFE = Reach(predict, lambda prediction, batch: cross_entropy(prediction, batch["y"], reduction="none"))


def loss(rule: SelfDistillation, slots=None):
    return rule.loss(rule.init(PARAMS), PARAMS, slots or rule.slots(PARAMS), BATCH, LIFE)


@pytest.mark.parametrize("field", ["lr", "trust", "q", "scale"])
def test_phi_is_read_as_the_configured_value(field: str) -> None:
    rule = SelfDistillation(lr=0.2, trust=0.3, q=0.4, scale=2.5)
    assert float(rule.readable(rule.init(PARAMS))[field]) == pytest.approx(getattr(rule, field), rel=1e-12)


@pytest.mark.parametrize("trust", [0.0, 1.0])
def test_trust_reaches_its_ends_exactly(trust: float) -> None:
    rule = SelfDistillation(trust=trust)
    phi = rule.init({"w": PARAMS["w"].float()})
    assert float(rule.readable(phi)["trust"]) == trust
    assert torch.isfinite(phi["trust"])


def test_q_of_one_is_mean_absolute_error() -> None:
    p = torch.softmax(predict(PARAMS, X), dim=1).gather(1, BATCH["y"][:, None])
    assert float(loss(SelfDistillation(trust=0, q=1.0))) == pytest.approx(float((1 - p).mean()), rel=1e-12)


def test_small_q_is_nearly_cross_entropy() -> None:
    expected = cross_entropy(predict(PARAMS, X), BATCH["y"])
    assert float(loss(SelfDistillation(trust=0, q=0.01))) == pytest.approx(float(expected), rel=0.02)


def test_full_trust_is_cross_entropy_to_the_teacher_times_scale() -> None:
    rule = SelfDistillation(trust=1.0, scale=3.0)
    p = torch.softmax(predict(PARAMS, X), dim=1)
    assert float(loss(rule)) == pytest.approx(float(-3 * (p * p.log()).sum(dim=1).mean()), rel=1e-10)


def test_trust_counts_for_nothing_while_warming_up() -> None:
    warming = SelfDistillation(trust=0.9, warm_up=3)
    slots = warming.slots(PARAMS)
    assert loss(warming, slots) == loss(SelfDistillation(trust=0.0), slots)
    assert loss(warming, {**slots, "age": torch.tensor(3.0)}) == loss(SelfDistillation(trust=0.9), slots)


def test_the_teacher_follows_the_moved_weights() -> None:
    rule = SelfDistillation(lr=0.5, teacher_rate=0.1)
    grads = {"w": torch.ones_like(PARAMS["w"])}
    params, slots = rule.update(rule.init(PARAMS), PARAMS, grads, rule.slots(PARAMS))
    torch.testing.assert_close(params["w"], PARAMS["w"] - 0.5)
    torch.testing.assert_close(slots["teacher.w"], PARAMS["w"] - 0.05)
    assert float(slots["age"]) == 1


def test_q_never_falls_below_a_hundredth() -> None:
    """At q = 0 the loss would be 0 / 0; q is read as max(.01, s)."""
    assert float(SelfDistillation(q=0.0).readable(SelfDistillation(q=0.0).init(PARAMS))["q"]) == 0.01
    none, least = (loss(SelfDistillation(trust=0, q=q)) for q in (0.0, 0.01))
    assert float(none) == pytest.approx(float(least), rel=1e-12)
    lower = SelfDistillation(trust=0).init(PARAMS) | {"q": torch.tensor(-6.0, dtype=torch.float64)}
    assert float(SelfDistillation().readable(lower)["q"]) == 0.01  # sigmoid(-6) is .0025


@pytest.mark.parametrize(("field", "value"), [("lr", 2.0), ("trust", -0.1), ("q", 1.1), ("scale", 0.0)])
def test_a_start_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"rule.{field}"):
        SelfDistillation(**{field: value})


def test_a_token_of_a_sequence_counts_as_an_example() -> None:
    """Two sequences of two tokens are four examples, bit for bit, and so are their gradients."""
    rule = SelfDistillation(trust=0.3, q=0.4)
    moved = {"w": (PARAMS["w"] + 0.1).requires_grad_()}
    sequences = {"x": X.reshape(2, 2, 2), "y": BATCH["y"].reshape(2, 2)}
    found = [rule.loss(rule.init(PARAMS), moved, rule.slots(PARAMS), batch, LIFE) for batch in (BATCH, sequences)]
    assert torch.equal(*found)
    one, other = (torch.autograd.grad(loss, moved["w"])[0] for loss in found)
    torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("batch", [{"x": X}, {"x": X, "y": X[:, :1]}, {"x": X, "y": BATCH["y"][:, None]}])
def test_what_has_no_classes_is_refused(batch: dict[str, torch.Tensor]) -> None:
    rule = SelfDistillation()
    with pytest.raises(ConfigError, match=r"classes `y` \[4\]"):
        rule.loss(rule.init(PARAMS), PARAMS, rule.slots(PARAMS), batch, LIFE)
