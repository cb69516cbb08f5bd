"""What a page of many runs costs: python scripts/bench_page.py [--arms 100] [--seeds 10] [--keep DIR]"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from sandbox.core.reading import Reading
from sandbox.report.command import gather, page_of
from scripts.browser import CHROMIUM, browser

STEPS, EVERY = 60, 5
READ = (
    Reading("performance/process", "P, the process's objective", "lower", "loss on held-out data", headline=True),
    Reading("performance/human", "H, the human's objective", "higher", "score in deployment", headline=True),
    Reading("merge/m", "M, merge of outer and inner", null="merge/null", headline=True),
    Reading("merge/null", "M of random partitions"),
    Reading("gap/practice_gate", "Gap of the gate", "lower", "P on gate − P on practice"),
    Reading("gap/audit", "Gap of the audit", "lower", "P on audit − P on practice"),
    Reading("distance/human_process", "d(H, P)", "lower"),
    Reading("distance/process_agent", "d(P, A)"),
    Reading("distance/human_agent", "d(H, A)", "lower"),
    Reading("rule/*", "phi, in readable units"),
)


def sweep(runs: Path, arms: int, seeds: int) -> None:
    """Run folders as a sweep of so many settings leaves them, a seed each; what they read is made up."""
    settings = product(range(100), np.geomspace(0.001, 1, 10), (1, 2, 5, 10, 20), ("Always", "PairedT"), (0.0, 0.1))
    for place, (more, lr, horizon, gate, trust) in zip(range(arms), settings, strict=False):
        for seed in range(seeds):
            rule = {"_target_": "x.SGD", "lr": float(f"{lr:.3g}"), "trust": trust + more}
            setting = {"horizon": horizon, "rule": rule, "gate": {"_target_": f"x.{gate}"}}
            write(runs / f"bench-{place}-{seed}", setting, seed, np.random.default_rng([place, seed]))


def write(folder: Path, setting: dict[str, object], seed: int, noise: np.random.Generator) -> None:
    """A run folder of one seed: a random walk of every reading, and an edit a step."""
    folder.mkdir(parents=True)
    config = {"label": "bench", "seed": seed, "seeds": 1, "steps": STEPS, "runs": "runs", "sweep": "bench", **setting}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "status.json").write_text(
        json.dumps({"state": "finished", "step": STEPS, "steps": STEPS, "seconds": 9.5})
    )
    (folder / "readings.json").write_text(json.dumps([asdict(reading) for reading in READ]))
    names = [*(reading.name for reading in READ[:-1]), "rule/lr", "rule/trust"]
    level = noise.normal(size=len(names)) * 0.2 + 0.5
    walk = level + noise.normal(size=(STEPS + 1, len(names))).cumsum(axis=0) * 0.02
    with (folder / "lineage.jsonl").open("w") as file:
        for step in range(STEPS + 1):
            read = {name: round(float(walk[step, k]), 5) for k, name in enumerate(names)} if step % EVERY == 0 else {}
            line = {"step": step, "level": 1, "t": 10 * step, "own": float(walk[step, 0]) + 1, "readings": read}
            if step:
                line |= {"verdict": "accepted" if walk[step, 1] > 0.4 else "rejected", "why": "p = .03"}
                line |= {"edit": {"rule/lr": [float(walk[step, 2])]}}
            else:
                line |= {"seeds": [seed], "verdict": "no edit"}
            file.write(json.dumps(line) + "\n")


def main() -> None:
    """Make a sweep up, and tell what its page costs."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="leave the page there")
    asked = parser.parse_args()
    with TemporaryDirectory() as scratch:
        sweep(Path(scratch) / "runs", asked.arms, asked.seeds)
        began = time.perf_counter()
        told = gather([Path(scratch) / "runs"])
        read = time.perf_counter()
        page = (asked.keep or Path(scratch)) / "page.html"
        size = page_of(told, page)
        made = time.perf_counter()
        print(f"{len(told.runs)} runs in {len(told.arms)} arms: read in {read - began:.1f} s, "
              f"page made in {made - read:.1f} s, {size / 1e6:.2f} MB")  # fmt: skip
        if CHROMIUM:
            with browser(Path(scratch) / "profile") as one:
                seconds = sorted(one.open(page) for _ in range(3))[1]
                print(f"loads in {seconds:.2f} s (median of three); errors: {one.said or 'none'}")


if __name__ == "__main__":
    main()
