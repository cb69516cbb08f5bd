"""Two bits and a label: the population by hand, and what refuses to be one."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.exhibit.bits import accuracy, risk
from sandbox.task.two_bits import TwoBits

TASK = TwoBits(dtype="float64")
NONE = torch.empty(0, dtype=torch.float64)
W = torch.tensor([[0.7], [-1.3]], dtype=torch.float64)


def drawn(task: TwoBits, at: float = 0.5):
    return task.draw(torch.full((task.noise["draw"],), at, dtype=torch.float64), held_out=False)


def test_means_over_a_batch_are_those_of_the_population() -> None:
    for split, errors in {"train": (0.1, 0.2), "practice": (0.1, 0.2), "gate": (0.1, 0.2), "test": (0.9,)}.items():
        batch = TASK.sample(drawn(TASK), torch.neg, NONE, split)
        assert batch["x"].shape == (8 * len(errors), 2)
        each = TASK.objective({}, batch["x"] @ W, batch) @ batch["environment"] / 8
        right = TASK.human({}, batch["x"] @ W, batch) @ batch["environment"] / 8
        w = W[:, 0].numpy()
        assert each.tolist() == pytest.approx([risk(w, error) for error in errors])
        assert right.tolist() == pytest.approx([accuracy(w, error) for error in errors])


def test_environments_move_by_the_spread_and_mix_in_training_alone() -> None:
    task = TwoBits(validation=(0.3,), spread=0.05, mixed=True, dtype="float64")
    found = drawn(task, 1.0)
    expected = {"training": (0.15, 0.25), "validation": (0.35,), "test": (0.95,)}
    assert {name: pytest.approx(errors) for name, errors in expected.items()} == {
        name: tuple(errors.tolist()) for name, errors in found.items()
    }
    batch = task.sample(found, torch.neg, NONE, "train")
    first, second = batch["weight"].chunk(2)
    assert torch.equal(first, second)
    assert float(first[0]) == pytest.approx(4 * 0.75 * 0.8)  # both bits right, the second at the mean of .15 and .25
    assert float(task.sample(found, torch.neg, NONE, "practice")["weight"][0]) == pytest.approx(4 * 0.75 * 0.65)


@pytest.mark.parametrize("fields", [{"training": ()}, {"test": (1.1,)}, {"spread": 0.2}, {"invariant": -0.1}])
def test_what_is_no_environment_is_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=r"task\."):
        TwoBits(**fields)
