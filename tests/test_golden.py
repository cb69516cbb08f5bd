"""A number moves only on purpose: a tiny run of every preset and experiment against what it gave before.

Everything is lived in float64, so that the order of sums, which differs between machines and with what is batched,
stays far below the tolerance; in float32 readings were seen to differ by up to 3e-5. They are compared before the
lineage rounds them. After a change that is meant to move one, write them anew with `python tests/test_golden.py` and
say why in the commit.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest

from sandbox.compose import composed
from sandbox.experiment import prepare
from sandbox.identity import seeds_of

CONF = Path(__file__).parent.parent / "conf"
GOLDEN = Path(__file__).with_name("golden.json")
RUNS = [f"preset={path.stem}" for path in sorted(CONF.glob("preset/*.yaml"))] + [
    f"experiment={path.relative_to(CONF / 'experiment').with_suffix('')}"
    for path in sorted(CONF.glob("experiment/**/*.yaml"))
]
REL, ABS = 1e-6, 1e-9
SMALL = ["seeds=2", "steps=3", "tracker=jsonl", "task.dtype=float64"]
TEXT = {"length": 8, "train": 200, "practice": 50, "gate": 50, "test": 60, "audit": 60}


def final(choice: str, runs: Path) -> dict[str, list[float]]:
    """The own losses and readings of the last step."""
    config = composed([choice, *SMALL, f"runs={runs}"])
    if "file" in config["task"]:  # Python's own text differs by its version
        (runs / "squares.txt").write_text(" ".join(str(number**2) for number in range(500)))
        config["task"] |= {"file": str(runs / "squares.txt"), **TEXT}
        config["model"] |= {"width": 8, "layers": 1}
        config["horizon"] = 3
    if config["rule"]["_target_"].endswith(".Program"):  # a search is long: a step of it is many lives
        config |= {"horizon": min(config["horizon"], 6), "tasks": min(config["tasks"], 2)}
        config["gate"] |= {"trials": 2} if "trials" in config["gate"] else {}
    if "key_variable" in config["meta_learner"]:  # a language model's place is taken by the stand-in that is none
        config["meta_learner"]["model"] = "scripted"
    if "evaluation" in config["meter"]:
        config["meter"]["evaluation"]["tasks"] = 4
    *_, last = prepare(config).run(seeds_of(config), config["steps"])
    return {name: values.tolist() for name, values in {"own": last.own, **last.readings}.items()}


SLOW = ("program", "claim", "noisy_labels", "phase")


def quick(choice: str) -> object:
    """A run as a parameter; searches and the arms of studies are slow, for what they are made of is tried anyway."""
    slow = choice.startswith(tuple(f"experiment={kind}" for kind in SLOW))
    return pytest.param(choice, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize("choice", [quick(choice) for choice in RUNS])
def test_a_number_moves_only_on_purpose(choice: str, tmp_path: Path) -> None:
    before = json.loads(GOLDEN.read_text())[choice]
    now = final(choice, tmp_path)
    assert now.keys() == before.keys()
    for name, values in now.items():
        assert values == pytest.approx(before[name], rel=REL, abs=ABS, nan_ok=True), name


def test_every_golden_run_still_exists() -> None:
    assert sorted(json.loads(GOLDEN.read_text())) == sorted(RUNS)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = {choice: final(choice, Path(folder)) for choice in RUNS}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0)
