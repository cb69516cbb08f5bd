"""Noisy digits: splits are disjoint, labels lie at the drawn rate, and H is out of reach of what learns."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.task.digits import classes, images
from sandbox.task.noisy_digits import NoisyDigits


def drawn(task: NoisyDigits, seed: int = 0):
    return task.draw(uniform(seed, "draw", 0, (task.noise["draw"],)), held_out=False)


def test_each_image_is_in_exactly_one_split() -> None:
    task = NoisyDigits()
    one = drawn(task)
    held = [task.sample(one, {}, torch.zeros(0), split)["image"] for split in ("practice", "gate", "test")]
    assert [len(part) for part in held] == [150, 150, 897]
    train = one["order"][: task.train]
    assert sorted(torch.cat([train, *held]).tolist()) == list(range(1797))


def test_a_training_batch_never_leaves_the_training_images() -> None:
    task = NoisyDigits()
    one = drawn(task)
    extreme = torch.tensor([0.0, 1.0, 0.5])  # float64 uniforms rounded up to 1 must stay inside
    batch = task.sample(one, {}, extreme, "train")
    assert set(batch["image"].tolist()) <= set(one["order"][: task.train].tolist())
    assert batch["x"].equal(images("float32")[batch["image"]])


@pytest.mark.parametrize(("rate", "wrong"), [(0.0, 0.0), (0.4, 0.36), (1.0, 0.9)])
def test_a_redrawn_label_is_wrong_nine_times_in_ten(rate: float, wrong: float) -> None:
    task = NoisyDigits(rates=(rate,))
    lies = torch.stack([drawn(task, seed)["given"] != classes() for seed in range(20)]).double().mean()
    assert abs(float(lies) - wrong) < 0.01


def test_rates_are_drawn_evenly_from_those_named() -> None:
    found = [float(drawn(NoisyDigits(), seed)["rate"]) for seed in range(400)]
    for rate in (0.0, 0.2, 0.4, 0.6):
        assert 70 <= found.count(rate) <= 130


def test_the_human_wants_clean_labels_and_the_process_the_given_ones() -> None:
    task = NoisyDigits(rates=(1.0,))
    one = drawn(task)
    batch = task.sample(one, {}, torch.zeros(0), "test")
    truth = 20 * torch.nn.functional.one_hot(classes()[batch["image"]], 10).float()
    assert task.human(one, truth, batch).mean() == 1
    assert task.objective(one, truth, batch).mean() > 10
    assert "clean" not in batch  # a rule sees batches: what is clean must not be in them


def test_sizes_that_leave_no_test_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="Leave some images"):
        NoisyDigits(train=1600, practice=100, gate=97)
    with pytest.raises(ConfigError, match=r"task\.rates"):
        NoisyDigits(rates=(1.5,))
