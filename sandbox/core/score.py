"""What is scored, for gates and hypergradients alike: which objective, on which split, at which moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "practice", "gate", "test", "audit"]
"""train: inner steps. practice: what a meta-learner's hypergradients see. gate: what a gate scores. test: deployment,
and audit: another family than the one that is trained on, both for meters. A split that a task does not name does not
exist; held-out tasks are drawn apart (`Task.draw`)."""

Objective = Literal["process", "calibrated", "human"]
"""process: P. calibrated: P after one fitted temperature. human: H. (A, the agent's own, is the rule's loss.)"""

Over = Literal["end", "life", "improvement"]
"""end: after the last inner step of the horizon. life: the mean over the moments after each of its steps. improvement:
what stands at the end minus what stood before the first step (improvement-at-k), so lower is better here too."""


@dataclass(frozen=True)
class Score:
    """`objective` may be P or calibrated P: H is for meters alone."""

    objective: Literal["process", "calibrated"] = "process"
    over: Over = "end"
