"""What readings are called on a dashboard: one table from the groups of a lineage to sections of panels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.core.reading import Reading

AXIS, INNER_AXIS = "reflective_step", "inner_step"
OWN = Reading("own", "A, its own objective", "lower", unit="own loss", headline=True)

# A reading whose name begins so is called so; the first that fits. All others keep their names.
SECTIONS = {
    "performance/own": "inner/own",
    "performance/": "outer/",
    "evaluation/": "outer/evaluation/",
    "drift/": "inner/drift/",
    "teacher/": "merge/teacher/",
    "separability/": "merge/separability/",
    "distance/": "string/distance/",
    "alignment/": "string/alignment/",
    "gap/": "gate/gap/",
}

TITLES = {
    "outer": "Outer: H and P, the objectives by which the learner is judged",
    "inner": "Inner: A and the weights, as they are lived",
    "merge": "Merge of outer and inner, beside its null",
    "string": "The string from H through P to A",
    "gate": "Gate: what became of edits, and its gaps",
    "edit": "Edits: what was asked for",
    "rule": "Rule: phi, in readable units",
    "time": "Time",
    "seeds": "Means over seeds with their 95 % intervals",
}

ENDS = ("_low", "_high")  # of the 95 % interval of a mean over seeds
VERDICTS = ("accepted", "rejected", "refused", "rolled back", "no edit")


def key_of(name: str) -> str:
    """What a reading, or a family of them, is called on a dashboard."""
    for begins, called in SECTIONS.items():
        if name.startswith(begins):
            return called + name.removeprefix(begins)
    return name


def verdict_key(verdict: str) -> str:
    """The share of seeds with a verdict."""
    return f"gate/{verdict.replace(' ', '_')}"


def axis_of(key: str, config: Mapping[str, Any]) -> str:
    """Inner readings of a life that goes on are told over its inner steps, all others over reflective steps."""
    lives = config.get("lifetime", "persistent") == "persistent"
    return INNER_AXIS if lives and key.startswith("inner/") else AXIS
