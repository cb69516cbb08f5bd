"""Text: stretches are disjoint, given tokens lie at the drawn rate, P asks for given tokens and H for true ones."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binom
from torch import Tensor
from torch.func import vmap
from torch.nn.functional import one_hot

from sandbox.core.error import ConfigError
from sandbox.core.random import uniform
from sandbox.task.text import SPLITS, Text
from sandbox.task.tokens import bundled, corpus, cut

SMALL: dict[str, Any] = {"length": 8, "batch": 4, "train": 200, "practice": 50, "gate": 40, "test": 90, "audit": 30}


def nobody(x: Tensor) -> Tensor:
    raise AssertionError("text does not depend on the policy")


def drawn(task: Text, seed: int = 0, *, held_out: bool = False):
    return task.draw(uniform(seed, "draw", 0, (task.noise["draw"],)), held_out=held_out)


def batch(task: Text, one, split, seed: int = 0):
    return task.sample(one, nobody, uniform(seed, split, 0, (task.noise[split],)), split)


def test_stretches_follow_each_other_and_never_meet() -> None:
    task = Text(**SMALL)
    bounds = list(accumulate(task.sizes, initial=0))
    for seed in range(20):
        position = drawn(task, seed)["position"].tolist()
        assert len(set(position)) == len(position) == sum(task.sizes)
        own, audit = position[: task.stretch], position[task.stretch :]
        assert own == list(range(own[0], own[0] + task.stretch))
        assert audit == list(range(len(task.corpus.ids) - 30, len(task.corpus.ids)))
    used = {split: batch(task, drawn(task), split)["at"] for split in SPLITS}
    for split, (first, end) in zip(SPLITS, pairwise(bounds), strict=True):
        assert int(used[split].min()) >= first
        assert int(used[split].max()) + task.length < end


def test_held_out_tasks_are_of_another_part_of_the_text() -> None:
    task = Text(**SMALL, held_out=0.3)
    (first, edge), (begin, end) = task.family(False), task.family(True)
    assert first == 0 < edge == begin < end == len(task.corpus.ids) - task.audit
    for seed in range(50):
        assert int(drawn(task, seed)["position"][: task.stretch].max()) < edge
        other = drawn(task, seed, held_out=True)["position"][: task.stretch]
        assert edge <= int(other.min()) < int(other.max()) < end
    noise = torch.full((task.noise["draw"],), 1 - 1e-12, dtype=torch.float64)
    assert int(task.draw(noise, held_out=False)["position"][task.stretch - 1]) == edge - 1  # and up to the edge
    none = Text(**SMALL, held_out=0.0)
    assert torch.equal(drawn(none)["position"], drawn(none, held_out=True)["position"])


def test_a_target_is_the_next_token_and_a_split_is_read_whole() -> None:
    task = Text(**SMALL)
    one = drawn(task)
    found = batch(task, one, "test")
    ids, first = task.corpus.ids, int(one["position"][290])
    assert found["x"].shape == found["y"].shape == (11, 8)  # 11 windows of 8, and one token to come
    assert torch.equal(found["x"].flatten(), ids[first : first + 88])
    assert torch.equal(found["y"].flatten(), ids[first + 1 : first + 89])
    assert batch(task, one, "train")["x"].shape == (4, 8)
    extreme = task.sample(one, nobody, torch.tensor([0.0, 1.0]), "train")["at"]
    assert extreme.tolist() == [0, 191]


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_given_tokens_lie_at_the_rate(rate: float) -> None:
    """A redrawn token is by chance the true one: once in as many times as there are tokens."""
    task = Text(**SMALL, rates=(rate,), vocabulary=20)
    ids = task.corpus.ids
    ones = [drawn(task, seed) for seed in range(30)]
    lies = sum(int((one["given"] != ids[one["position"]]).sum()) for one in ones)
    n, wrong = 30 * sum(task.sizes), rate * (1 - 1 / 20)
    assert binom.ppf(1e-6, n, wrong) <= lies <= binom.isf(1e-6, n, wrong)


def test_the_human_wants_true_tokens_and_the_process_the_given_ones() -> None:
    task = Text(**SMALL, rates=(0.5,))
    one = drawn(task)
    found = batch(task, one, "test")
    first = int(one["position"][290])
    truth = task.corpus.ids[first + 1 : first + 89].reshape(11, 8)
    wanted, told = (20 * one_hot(tokens, task.outputs).float() for tokens in (truth, found["y"]))
    right = (found["y"] == truth).float().mean(dim=1)
    assert torch.equal(task.human(one, wanted, found), torch.ones(11))
    torch.testing.assert_close(task.human(one, told, found), right)
    assert float(task.objective(one, told, found).max()) < 1e-5
    torch.testing.assert_close(task.objective(one, wanted, found), 20 * (1 - right), rtol=1e-4, atol=1e-4)
    assert set(found) == {"x", "y", "at"}  # a rule sees batches: what is true must not be in them


def test_a_seed_alone_is_that_seed_in_a_batch() -> None:
    task = Text(**SMALL, rates=(0.0, 0.4))
    noise = torch.stack([uniform(seed, "draw", 0, (task.noise["draw"],)) for seed in range(4)])
    u = torch.stack([uniform(seed, "train", 0, (4,)) for seed in range(4)])
    tasks = vmap(lambda u: task.draw(u, held_out=False))(noise)
    batches = vmap(lambda one, u: task.sample(one, nobody, u, "train"))(tasks, u)
    for seed in range(4):
        alone = drawn(task, seed)
        assert all(torch.equal(tasks[name][seed], leaf) for name, leaf in alone.items())
        found = task.sample(alone, nobody, u[seed], "train")
        assert all(torch.equal(batches[name][seed], leaf) for name, leaf in found.items())


# ---- tokens ---------------------------------------------------------------------------------------------------------


def test_ids_count_from_the_commonest_token_and_rare_ones_share_the_last(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("abacabad\n")
    whole, few = (corpus(str(file), "character", size) for size in (64, 3))
    assert whole.words == ("a", "b", "\n", "c", "d")
    assert whole.ids.tolist() == [0, 1, 0, 3, 0, 1, 0, 4, 2]
    assert few.words[:2] == ("a", "b")
    assert few.ids.tolist() == [0, 1, 0, 2, 0, 1, 0, 2, 2]


def test_units_of_a_text() -> None:
    assert cut("Ünd so, 2!", "word") == ["Ünd", " ", "so", ",", " ", "2", "!"]
    assert cut("Ü!", "byte") == ["Ã", "\x9c", "!"]
    assert "".join(cut(bundled(), "word")) == bundled()


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("ab" * 300)
    small = {"file": str(file), "length": 4, "train": 20, "practice": 10, "gate": 10, "test": 10, "audit": 10}
    assert Text(**small).outputs == 2
    file.write_text("abc" * 300)
    assert Text(**small).outputs == 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rates": (1.5,)}, r"task\.rates"),
        ({"rates": ()}, r"task\.rates"),
        ({"practice": 32}, r"task\.practice=32"),
        ({"train": 200_000}, "held-out tasks"),
        ({"held_out": 0.0, "train": 460_000}, "other tasks"),
        ({"vocabulary": 1}, r"task\.vocabulary"),
        ({"file": "nowhere.txt"}, "nowhere"),
        ({"digest": "0123456789abcdef"}, r"task\.digest"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Text(**settings)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(b"\x89PNG")
    with pytest.raises(ConfigError, match="UTF-8"):
        Text(file=str(file))
    file.write_bytes(b"")
    with pytest.raises(ConfigError, match="empty"):
        Text(file=str(file))


def test_a_text_of_the_digest_that_is_asked_for_is_taken() -> None:
    assert Text(digest=Text().corpus.digest).outputs == 64
