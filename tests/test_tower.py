"""Towers of optimizers from configuration: any rule at the bottom, any height above it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sandbox.compose import composed
from sandbox.experiment import build_loop
from sandbox.identity import seeds_of

SMALL = ("preset=tower", "seeds=2", "meter=[]", "tracker=[]", "task.train=60", "task.practice=20", "task.batch=16",
         "task.dtype=float64", "model.hidden=[4]", "check=off")  # fmt: skip
GRADIENT = {"_target_": "sandbox.meta_learner.meta_gradient.MetaGradient", "optimizer": "sgd"}
GATE = {"_target_": "sandbox.gate.always.Always"}


def level(edits: str, lr: float) -> dict[str, Any]:
    return {"meta_learner": GRADIENT | {"edits": [edits], "lr": lr}, "gate": GATE, "horizon": 2}


def states(*words: str, steps: int, **more: Any) -> list[Any]:
    config = composed([*SMALL, *words]) | more
    return [record.state for record in build_loop(config).run(seeds_of(config), steps) if record.level]


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam", "adamw", "rmsprop", "rmsprop momentum"])
def test_every_number_of_any_rule_and_the_rate_above_it_are_learned(rule: str) -> None:
    name, _, with_momentum = rule.partition(" ")
    words = [f"rule={name}", "rule.lr=0.01", *(["rule.momentum=0.5"] if with_momentum else [])]
    first, *_, last = states(*words, steps=3)
    assert set(last.rule) >= {"lr"}
    for path, number in last.rule.items():
        assert bool(number.isfinite().all())
        assert not torch.equal(number, first.rule[path]), path
    assert not torch.equal(last.meta["1"]["lr"], first.meta["1"]["lr"])


@pytest.mark.parametrize("height", [1, 2, 3, 4])
def test_a_tower_of_any_height_is_configuration(height: int) -> None:
    """Each level above the first learns the rate of the one below, every second of its steps."""
    above = [level(f"meta/{n}/lr", 0.01) for n in range(1, height)]
    *_, last = states("rule.lr=0.1", steps=2, above=above)
    assert last.t == 2 * 2 ** (height - 1)
    rates = [float(last.meta[str(n)]["lr"][0]) for n in range(1, height + 1)]
    assert all(rate != 0.01 for rate in rates[:-1])
    assert rates[-1] == 0.01  # nobody learns the rate of the top


def test_a_tower_whose_upper_rate_is_zero_is_a_constant_rate() -> None:
    *_, tower = states("meta_learner.lr=0.0", steps=4, above=[])
    *_, plain = states("meta_learner=none", steps=4, above=[])
    assert all(torch.equal(tower.params[name], leaf) for name, leaf in plain.params.items())
