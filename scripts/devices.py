"""Runs presets on the CPU and, where there is one, on a CUDA device, and compares: repeatable, and equal to rounding.

python scripts/devices.py [WORDS…]: all presets, or the run that the words compose. On each device a run of three
reflective steps with its meters and its start check, and the same once more, stopped after two and continued.
"""

from __future__ import annotations

import os
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not repeatable

import torch

import sandbox
from sandbox.core.error import SandboxError
from sandbox.places import house

STEPS = 3


def run(words: list[str], device: str, stops: bool) -> tuple[list[dict[str, Any]], float]:
    """Lines of a run, and the seconds that it took; with `stops` it is stopped before its last step, and resumed."""
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        every = [*words, f"device={device}", f"runs={folder}", "tracker=[jsonl,checkpoint]"]
        for steps in (STEPS - 1, STEPS) if stops else (STEPS,):
            found = sandbox.run(*every, f"steps={steps}", progress=False)
        return [dict(line) for line in found.lines], time.perf_counter() - began


def alike(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> str:
    """Whether two runs have the same digests."""
    same = [a["digest"] == b["digest"] for a, b in zip(first, second, strict=True)]
    return "repeatable, resumes exactly" if all(same) else f"NOT REPEATABLE from line {same.index(False)}"


def apart(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> str:
    """The reading that differs most between two runs, relative to its size."""
    worst, where = 0.0, "nothing"
    for a, b in zip(first, second, strict=True):
        for name, values in {**a["readings"], "own": a["own"] or []}.items():
            for x, y in zip(values, b["readings"].get(name, b["own"] or []), strict=True):
                if isinstance(x, float) and isinstance(y, float) and x == x and y == y:
                    off = abs(x - y) / max(abs(x), abs(y), 1e-6)
                    if off > worst:
                        worst, where = off, name
    return f"apart by at most {worst:.1e} of their size ({where})"


def main() -> int:
    """0 where everything ran, was repeatable and resumed exactly; how far devices are apart is printed to be read."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    asked = [sys.argv[1:]] if sys.argv[1:] else [[f"preset={name}"] for name in sorted(house().members("preset"))]
    wrong = 0
    for words in asked:
        found: dict[str, list[dict[str, Any]]] = {}
        for device in devices:
            try:
                found[device], seconds = run(words, device, stops=False)
                says = alike(found[device], run(words, device, stops=True)[0])
            except (SandboxError, RuntimeError) as error:
                seconds, says = 0.0, f"FAILED: {type(error).__name__}: {error}"
            wrong += "NOT" in says or "FAILED" in says
            print(f"{' '.join(words)} on {device}: {seconds:.1f} s, {says}", flush=True)
        if len(found) == 2:
            print(f"{' '.join(words)}: {apart(found['cpu'], found['cuda'])}", flush=True)
    if len(devices) == 1:
        print("cuda: there is none here, so nothing was compared")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
