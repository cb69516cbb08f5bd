"""Few-shot digits: nothing of one split, and no class of one family, is in another."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.core.protocols import KnowsHuman, Params, Split, Tempered
from sandbox.core.random import uniform, uniforms
from sandbox.task.digits import images
from sandbox.task.few_shot_digits import LARGEST, SMALLEST, FewShotDigits

TASK = FewShotDigits()
IMAGES = images(TASK.dtype)
SPLITS: dict[Split, int] = {"train": 5, "practice": 10, "gate": 10, "test": 10}
CLASS_OF = {int(image): c for c, row in enumerate(TASK.by_class) for image in row[row >= 0]}


def drawn(seed: int, *, held_out: bool) -> Params:
    return TASK.draw(uniform(seed, "draw", 0, (TASK.noise["draw"],)), held_out=held_out)


def test_every_image_has_its_class() -> None:
    assert len(CLASS_OF) == 1797
    sizes = (TASK.by_class >= 0).sum(dim=1)
    assert (int(sizes.min()), int(sizes.max())) == (SMALLEST, LARGEST)
    assert (float(IMAGES.min()), float(IMAGES.max())) == (0, 1)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("held_out", [False, True])
def test_a_task_is_disjoint_splits_of_classes_of_its_family(seed: int, held_out: bool) -> None:
    task = drawn(seed, held_out=held_out)
    drawn_images = torch.cat(list(task.values())).tolist()
    assert len(set(drawn_images)) == len(drawn_images) == 3 * (5 + 3 * 10)
    classes = set[tuple[int, ...]]()
    for split, n in SPLITS.items():
        batch = TASK.sample(task, {}, torch.zeros(0), split)
        assert batch["y"].tolist() == [0] * n + [1] * n + [2] * n
        assert torch.equal(batch["x"], IMAGES[task[split]])
        found = [CLASS_OF[image] for image in task[split].tolist()]
        assert found == [c for c in found[::n] for _ in range(n)]
        classes.add(tuple(found[::n]))
    (chosen,) = classes  # each label is the same class in every split
    assert len(set(chosen)) == 3
    assert set(chosen) <= ({6, 7, 8, 9} if held_out else {0, 1, 2, 3, 4, 5})


def test_any_class_of_the_family_comes_up_under_any_label() -> None:
    first = {CLASS_OF[int(drawn(seed, held_out=False)["train"][0])] for seed in range(60)}
    assert first == {0, 1, 2, 3, 4, 5}


def test_many_tasks_at_once_are_the_tasks_one_by_one() -> None:
    noise = uniforms(torch.arange(3), "draw", 0, (TASK.noise["draw"],))
    together = torch.func.vmap(lambda u: TASK.draw(u, held_out=True))(noise)
    for seed in range(3):
        alone = drawn(seed, held_out=True)
        assert all(torch.equal(together[split][seed], alone[split]) for split in SPLITS)


def test_objective_human_and_temperature_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    batch = {"y": torch.tensor([0, 1])}
    expected = [float(torch.log(torch.exp(torch.tensor(2.0)) + 2) - 2), float(torch.log(torch.tensor(4.0).exp() + 2))]
    assert TASK.objective({}, logits, batch).tolist() == pytest.approx(expected)
    assert TASK.human({}, logits, batch).tolist() == [1, 0]
    assert TASK.temper(logits, torch.tensor(2.0)).tolist() == [[1, 0, 0], [0, 0, 2]]
    assert isinstance(TASK, KnowsHuman)
    assert isinstance(TASK, Tempered)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"held_out_classes": (9, 10)}, "held_out_classes"),
        ({"ways": 1}, "task.ways"),
        ({"ways": 5}, "with 4 of 10 classes held out"),
        ({"ways": 3, "held_out_classes": (9, 9, 8)}, "with 2 of 10"),
        ({"shots": 0}, "shots"),
        ({"shots": 85, "queries": 30}, "174"),
    ],
)
def test_what_ten_classes_do_not_allow_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FewShotDigits(**fields)
    assert told in str(caught.value)


def test_the_limits_are_allowed() -> None:
    FewShotDigits(ways=5, held_out_classes=(5, 6, 7, 8, 9))
    FewShotDigits(shots=84, queries=30)
