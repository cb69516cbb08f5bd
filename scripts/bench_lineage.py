"""What a long lineage weighs and how fast it is read: 10,000 steps of 32 seeds, written by the house's own writer.

An editor of three numbers a seed asks for a step of about a percent each time, and its own loss is noisy; sixteen
readings are taken every ten steps (`--every 1`: at each step). Digests are taken every ten steps.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from sandbox.lines.file import LINEAGE, read
from sandbox.lines.line import Step, Writer

PATHS = ("rule/lr", "rule/trust", "rule/q")
READINGS = tuple(f"performance/reading_{k}" for k in range(16))


def steps(count: int, seeds: int, every: int) -> list[Step]:
    """A made-up course: a random walk of three numbers, with a tenth of noise on everything measured."""
    rng = np.random.default_rng(0)
    values = rng.normal(-1.5, 0.7, (len(PATHS), seeds))
    made: list[Step] = []
    for step in range(count + 1):
        values = values + rng.normal(0, 0.02, values.shape)
        level = np.exp(rng.normal(0, 0.1, (len(READINGS) + 1, seeds))) * np.linspace(0.2, 9, len(READINGS) + 1)[:, None]
        made.append({
            "step": step, "level": 1, "t": 10 * step, "seeds": list(range(seeds)), "verdict": ["accepted"] * seeds,
            "why": [""] * seeds, "anchor": [""] * seeds, "own": level[0],
            "edit": {path: {"value": row.astype(np.float32)} for path, row in zip(PATHS, values, strict=True)},
            "note": "", "digest": [f"{step * 977 + s:016x}" for s in range(seeds)] if step % 10 == 0 else [],
            "readings": dict(zip(READINGS, level[1:], strict=True)) if step % every == 0 else {},
        })  # fmt: skip
    return made


def main() -> None:
    """Print size and time of a packed and of a plain lineage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--every", type=int, default=10)
    asked = parser.parse_args()
    made = steps(asked.steps, asked.seeds, asked.every)
    for packed in (True, False):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            writer = Writer(packed)
            began = time.perf_counter()
            with (folder / LINEAGE).open("w") as file:
                for step in made:
                    file.write(writer.write(step) + "\n")
                    file.flush()
            wrote = time.perf_counter() - began
            began = time.perf_counter()
            count = sum(1 for _ in read(folder))
            took = time.perf_counter() - began
            size = (folder / LINEAGE).stat().st_size / 1e6
            kind = "packed" if packed else "plain"
            print(f"{kind}: {count} lines, {size:.2f} MB, written in {wrote:.2f} s, read in {took:.2f} s")


if __name__ == "__main__":
    main()
