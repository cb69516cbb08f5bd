"""The archive and its choices, on three nodes worked out by hand; and the faults that searches have had."""

from __future__ import annotations

from math import exp, log, sqrt

import pytest
import torch
from scipy.special import betaincinv

from sandbox.core.error import SandboxError
from sandbox.program.archive import (
    Entry,
    Fate,
    append,
    children,
    clade,
    empty,
    hashed,
    holds,
    in_force,
    is_known,
    line,
    lived,
    marked,
    score,
    scored,
    unjudged,
)
from sandbox.program.cascade import formulas_of
from sandbox.program.force import current, with_current
from sandbox.program.formulas import Formulas
from sandbox.program.selection import CHOICES, GOLDEN, parents, progress, quality, retained
from sandbox.program.tensor import SHAPE
from sandbox.program.text import parse


def entry(parent: int, found: float | None, fate: Fate = Fate.SCORED, key: int = 0) -> Entry:
    code, constants = torch.ones(2, *SHAPE, dtype=torch.int64), torch.zeros(2, 8)
    return Entry(code, constants, parent, 3, fate, found, key, 0)


def grown(*entries: Entry, capacity: int = 8):
    archive = empty(capacity)
    for each in entries:
        archive, _ = append(archive, each)
    return archive


@pytest.fixture
def three():
    """0 scores 2 and has the children 1, which scores 3, and 2, which scores 1: lower is better."""
    return in_force(grown(entry(-1, 2.0, Fate.KNOWN), entry(0, 3.0), entry(0, 1.0)), 0)


def test_best_is_the_lowest_loss(three):
    assert scored(three) == [2, 0, 1]
    assert parents(three, "best", [0.1, 0.9]) == [2, 2]
    assert quality(three, scored(three)) == {2: 1.0, 0: 0.5, 1: 0.0}


def test_score_child_by_hand(three):
    """Weights: σ(5) / 1 of 2, σ(0) / 3 of 0, σ(-5) / 1 of 1, in that order."""
    high, half, low = 1 / (1 + exp(-5)), 0.5 / 3, 1 / (1 + exp(5))
    total = high + half + low
    edges = [high / total, (high + half) / total]
    noise = [0.0, edges[0] - 1e-9, edges[0] + 1e-9, edges[1] - 1e-9, edges[1] + 1e-9, 0.999999]
    assert parents(three, "score_child", noise) == [2, 2, 0, 0, 1, 1]


def test_confidence_by_hand(three):
    """Families: 0 with 1 and 2 has mean .5 of 3, 1 has 0 of 1, 2 has 1 of 1; N = 5."""
    bounds = {0: 0.5 + sqrt(2 * log(5) / 3), 1: sqrt(2 * log(5)), 2: 1 + sqrt(2 * log(5))}
    assert max(bounds, key=lambda number: bounds[number]) == 2
    # Then 2 has been tried twice and N = 6: 1 + √ln 6 = 2.34 against √(2 ln 6) = 1.89 and .5 + √(2 ln 6 / 3) = 1.59.
    # Then thrice and N = 7: 1 + √(2 ln 7 / 3) = 2.14 against √(2 ln 7) = 1.97. Then 1 + √(ln 8 / 2) = 2.02 against
    # √(2 ln 8) = 2.04, so that 1 has its turn.
    assert parents(three, "confidence", [0.5] * 4) == [2, 2, 2, 1]


def test_clade_by_hand(three):
    """Of the clade of 0, 2 is better than its parent and 1 is not: Beta(2, 2). 1 alone: Beta(1, 2). 2: Beta(2, 1)."""
    assert [progress(three, number) for number in range(3)] == [(1, 1), (0, 1), (1, 0)]
    for u in (0.05, 0.3, 0.55, 0.8):
        draws = [float(betaincinv(a, b, (u + i * GOLDEN) % 1)) for i, (a, b) in enumerate(((2, 2), (1, 2), (2, 1)))]
        assert parents(three, "clade", [u]) == [draws.index(max(draws))]
    assert len(set(parents(three, "clade", [k / 50 for k in range(50)]))) == 3


@pytest.mark.parametrize("how", CHOICES)
def test_reading_changes_nothing(three, how):
    before = {name: leaf.clone() for name, leaf in three.items()}
    first = parents(three, how, [0.2, 0.7])
    children(three), clade(three, 0), line(three, 2), unjudged(three), progress(three, 0)
    assert parents(three, how, [0.2, 0.7]) == first
    assert all(torch.equal(three[name], leaf) for name, leaf in before.items())
    after, _ = append(three, entry(2, 0.5))
    assert all(torch.equal(three[name], leaf) for name, leaf in before.items())
    assert parents(after, "best", [0.0]) == [3]


@pytest.mark.parametrize("how", CHOICES)
def test_the_dead_and_the_refused_are_nobodys_parents(how):
    archive = grown(entry(-1, 2.0), entry(0, None, Fate.DEAD), entry(0, 0.1, Fate.REFUSED))
    assert set(parents(archive, how, [k / 9 for k in range(9)])) == {0}
    assert parents(empty(4), how, [0.5]) == []


def test_a_full_archive_forgets_the_oldest_that_is_not_of_the_line():
    archive = in_force(grown(entry(-1, 2.0), entry(0, 3.0), entry(0, 1.0), entry(2, 4.0), capacity=4), 2)
    archive, number = append(archive, entry(2, 0.5, key=7))
    assert number == 4
    assert sorted(archive["id"].tolist()) == [0, 2, 3, 4]  # 1 was older than 3; 0 is of the line of 2
    assert line(archive, 4) == [4, 2, 0]
    with pytest.raises(SandboxError, match="may be forgotten"):
        score(archive, 1)
    long = in_force(grown(entry(-1, 1.0), entry(0, 1.0), capacity=2), 1)
    assert sorted(append(long, entry(1, 1.0))[0]["id"].tolist()) == [1, 2]


def test_what_was_tried_stays_known_when_its_entry_is_gone():
    archive = grown(entry(-1, 2.0, key=11), entry(0, 3.0, key=12), entry(0, 3.0, key=13), capacity=2)
    assert [is_known(archive, key) for key in (11, 12, 13, 14)] == [True, True, True, False]
    for key in range(20, 28):  # the ring has 8 places
        archive, _ = append(archive, entry(-1, 1.0, key=key))
    assert not is_known(archive, 11)
    assert not is_known(archive, 0)  # in the ring as "none" at most: a hash is above 0
    assert hashed("a") > 0
    assert hashed("a") != hashed("b")


def test_what_was_judged_is_not_asked_for_again(three):
    assert unjudged(three) == [2, 1]
    for fate in (Fate.REJECTED, Fate.ACCEPTED, Fate.REFUSED, Fate.ASKED):
        assert unjudged(marked(three, 2, fate, (2.0, 3.0))) == [1]
    told = marked(three, 2, Fate.REJECTED, (2.0, 3.0))
    assert told["gate"][2].tolist() == [2.0, 3.0]
    assert scored(told) == [2, 0, 1]  # rejected, it may still be a parent


def test_a_score_is_the_mean_over_lives(three):
    assert score(lived(lived(three, 0, 5.0), 0, 5.0), 0) == 4.0


def cell(number: int) -> tuple[int, ...]:
    return (number // 2,)  # 0 and 1 share one


def test_who_stays(three):
    def left(how):
        return sorted(number for number in retained(three, how, cell)["id"].tolist() if number >= 0)

    assert left("all") == [0, 1, 2]
    assert left("better") == [0, 2]  # 1 scores 3, its parent 2
    assert left("cells") == [0, 2]  # 1 shares a cell with 0, which scores better
    worse = in_force(three, 1)
    assert holds(retained(worse, "better", cell), 1)  # what is in force stays


def test_what_others_tune_stays_one_entry() -> None:
    def huber(c: float) -> Formulas:
        lines = ["loss amounts", "d = sub p y", "s = abs d", f"h = min {c} s", "l = mul h s", "return l"]
        return Formulas((("loss", parse("\n".join(lines))),))

    archive = with_current(empty(8), huber(1.0), 0)
    archive = lived(archive, 0, 0.5)
    for step, c in enumerate((1.25, 1.5, 1.75), start=1):
        archive = current(archive, huber(c), step, -1)
        assert formulas_of(archive, int(archive["current"]), huber(9)) == huber(c)
    assert (archive["id"] >= 0).sum() == 1
    assert not scored(archive)  # what it scored, it scored as another
    assert is_known(archive, huber(1.25).text_key)
