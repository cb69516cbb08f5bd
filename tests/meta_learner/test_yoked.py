"""The control: it lives by another seed's course, or by the mean one, and never by its own."""

from __future__ import annotations

import pytest
import torch

from sandbox.core.error import ConfigError
from sandbox.meta_learner.reflective import Reflective
from sandbox.meta_learner.yoked import Yoked, arrange

COURSE = {"rule/lr": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}  # [steps, S]


def test_each_seed_lives_by_the_next_and_the_last_by_the_first() -> None:
    found = arrange(COURSE, "other")
    assert found["rule/lr"].tolist() == [[2.0, 3.0, 1.0], [5.0, 6.0, 4.0]]


def test_the_mean_course_is_one_for_all() -> None:
    found = arrange(COURSE, "mean")
    assert found["rule/lr"].tolist() == [[2.0] * 3, [5.0] * 3]


def test_a_seed_is_never_yoked_to_itself() -> None:
    with pytest.raises(ConfigError, match="two seeds"):
        arrange({"rule/lr": torch.ones(4, 1)}, "other")


def test_it_may_edit_what_its_source_may_and_reads_nothing_of_its_own() -> None:
    needs = Yoked(of=Reflective(edits=("rule/q",)), source="process").needs
    assert needs.edits == ("rule/q",)
    assert needs.answers
    assert not needs.grads
    assert not needs.reads
