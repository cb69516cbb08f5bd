"""What a mirror costs a run: the same run with and without it, in turn; medians, and the median of the differences."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

WORDS = sys.argv[2:] or ["preset=maml", "steps=300"]
TIMES = int(sys.argv[1]) if len(sys.argv) > 1 else 9
TRACKERS = {"with": "tracker=[jsonl,checkpoint,wandb]", "without": "tracker=[jsonl,checkpoint]"}


def timed(place: Path, tracker: str) -> float:
    """Seconds of one run, from its command to its end."""
    began = time.monotonic()
    command = [sys.executable, "-m", "sandbox", *WORDS, tracker, f"runs={place}"]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


with tempfile.TemporaryDirectory() as folder:
    seconds: dict[str, list[float]] = {name: [] for name in TRACKERS}
    for number in range(TIMES):
        for name in list(TRACKERS)[:: 1 if number % 2 else -1]:
            seconds[name].append(timed(Path(folder) / f"{name}{number}", TRACKERS[name]))
    files = [path for path in (Path(folder) / "with0").glob("*-*/**/*") if path.is_file()]
    share = sum(path.stat().st_size for path in files if "wandb" in path.parts) / sum(p.stat().st_size for p in files)

apart = [one - other for one, other in zip(seconds["with"], seconds["without"], strict=True)]
print(" ".join(WORDS), f"({TIMES} pairs)")
between = f"{min(apart):.2f} to {max(apart):.2f}"
print(f"with {median(seconds['with']):.2f} s, without {median(seconds['without']):.2f} s")
print(f"longer by {median(apart):.2f} s ({between}); W&B's part of the folder {share:.0%}")
