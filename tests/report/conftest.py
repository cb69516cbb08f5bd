"""Run folders written by hand, as docs/run-folder.md describes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.core.reading import Reading
from sandbox.report.study import Study, load

STUDY = Path(__file__).parents[2] / "conf" / "study"
DESCRIBED = (
    Reading("performance/process", "P, the process's objective", "lower", "loss on held-out data", headline=True),
    Reading("performance/calibrated", "P calibrated", "lower", "loss after one temperature", headline=True),
    Reading("performance/human", "H, the human's objective", "higher", "score in deployment", headline=True),
    Reading("rule/*", "Rule"),
    Reading("teacher/m", "M, merge of outer and inner", unit="share", null="teacher/null", headline=True),
    Reading("teacher/null", "M of random partitions", unit="share"),
    Reading("gap/audit", "Gap of the audit"),
)

Cell = Callable[[int, int], float]
WriteRun = Callable[..., Path]

CONFIG = {"task": {"_target_": "sandbox.task.noisy_digits.NoisyDigits", "noise": 0.4}, "horizon": 10,
          "rule": {"_target_": "sandbox.rule.self_distillation.SelfDistillation", "trust": 0.1, "teacher_rate": 0.035},
          "meta_learner": {"_target_": "sandbox.meta_learner.reflective.Reflective", "mu": 0.0}}  # fmt: skip


def write_run(
    folder: Path,
    label: str,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 4,
    settings: Mapping[str, Any] | None = None,
    own: Cell = lambda step, seed: 1.0,
    readings: Mapping[str, Cell] | None = None,
    every: int = 2,
    verdict: Callable[[int, int], str] = lambda step, seed: "accepted",
    edit: Mapping[str, Cell] | None = None,
    why: str = "",
    state: str = "finished",
    described: Sequence[Reading] = DESCRIBED,
) -> Path:
    """A run of one level; each cell is given (step, seed). Readings fall on every `every`-th step and the last; none is
    `described` in an older run."""
    folder.mkdir(parents=True)
    config = {"label": label, "seed": seeds[0], "seeds": len(seeds), "steps": steps, "runs": "runs", **CONFIG}
    for key, value in (settings or {}).items():
        node, _, leaf = key.rpartition(".")
        if node:
            config[node] = {**config[node], leaf: value}
        else:
            config[leaf] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    status = {"state": state, "step": steps, "steps": steps, "seconds": 1.5}
    (folder / "status.json").write_text(json.dumps(status))
    if described:
        (folder / "readings.json").write_text(json.dumps([asdict(reading) for reading in described]))
    with (folder / "lineage.jsonl").open("w") as file:
        for step in range(steps + 1):
            read = step % every == 0 or step == steps
            file.write(json.dumps({
                "step": step, "level": 1, "t": 10 * step, "seeds": list(seeds),
                "verdict": [verdict(step, seed) if step else "no edit" for seed in seeds],
                "why": [why] * len(seeds), "anchor": [""] * len(seeds),
                "own": [written(own(step, seed)) if step else None for seed in seeds],
                "edit": {path: [cell(step, seed) for seed in seeds] for path, cell in (edit or {}).items() if step},
                "note": "", "digest": ["0"] * len(seeds),
                "readings": {name: [written(cell(step, seed)) for seed in seeds]
                             for name, cell in (readings or {}).items() if read},
            }) + "\n")  # fmt: skip
    return folder


def written(x: float) -> float | None:
    return x if isfinite(x) else None


@pytest.fixture
def write() -> WriteRun:
    return write_run


@pytest.fixture
def first_light() -> Study:
    return load(STUDY / "first_light.yaml")


@pytest.fixture
def dial() -> Study:
    return load(STUDY / "dial.yaml")


@pytest.fixture
def launch(tmp_path: Path) -> Callable[[Sequence[Path]], Path]:
    """A manifest of folders, each under the label that its name starts with."""

    def make(folders: Sequence[Path], name: str = "first") -> Path:
        manifest = tmp_path / "runs" / "launches" / f"{name}.jsonl"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"folder": str(folder), "label": folder.name.partition("-")[0]}) for folder in folders]
        manifest.write_text("".join(f"{line}\n" for line in lines))
        return manifest

    return make
