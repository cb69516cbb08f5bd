"""Evidence for a claim: its arms are launched like any sweep, its exhibits measured seed by seed; both go on again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sandbox.claims.claim import Ablation, EssayClaim
from sandbox.claims.exhibits import measured
from sandbox.claims.verdict import Evidence
from sandbox.core.error import LineageError, explain
from sandbox.lines.whole import write_whole
from sandbox.report.arms import group
from sandbox.report.read import find_runs, newest_launch
from sandbox.sweep.launch import launch

BEGAN = "began.json"


@dataclass(frozen=True)
class Registered:
    """The commit that last changed the criteria of a claim, and when its first measurement began. `clean`: the files
    were then as that commit has them, so that the criteria are older than the evidence. `words`: a digest of all
    that the claim said then."""

    commit: str
    committed: str
    began: str
    clean: bool
    words: str = ""


@dataclass(frozen=True)
class How:
    """How evidence is gathered: so many `jobs` at a time (None: one a core), `words` on top of every launch, and the
    packages whose exhibits may be built."""

    jobs: int | None = None
    words: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()


def gather(claim: EssayClaim, place: Path, how: How, ablation: Ablation | None = None) -> Evidence:
    """What the claim's arms show, all measured under `place`; what is there already is not measured again. With an
    `ablation`, only what that changes."""
    this = claim.without(ablation) if ablation else claim
    sweep = f"claim-{claim.letter}" + (f"-{ablation.name}" if ablation else "")
    found: dict[str, Mapping[str, Mapping[int, float]]] = {}
    if this.arms:
        found |= _lived(this, sweep, place, how)
    for name, node in this.exhibits.items():
        arms = measured(name, node, this.seeds, place, jobs=how.jobs, trust=how.trust)
        found |= {f"{name}/{arm}": readings for arm, readings in arms.items()}
    return found


def _lived(claim: EssayClaim, sweep: str, place: Path, how: How) -> Evidence:
    """The last readings of runs of the loop."""
    experiments = ",".join(f"claim/{arm}" for arm in claim.arms)
    several = [*how.words, *([f"hydra.launcher.n_jobs={how.jobs}"] if how.jobs else [])]
    code = launch(["-m", f"experiment={experiments}", f"seeds={claim.seeds}", *claim.words, f"runs={place}",
                   f"sweep={sweep}", "tracker=[jsonl,checkpoint]", "force=changed", *several])  # fmt: skip
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise LineageError(explain(expected=f"all arms of claim {claim.letter} to be lived", got=f"exit code {code}",
                                   do=f"sandbox ls {sweep} runs={place} says which failed and why."))  # fmt: skip
    arms = {arm.name: arm for arm in group(find_runs([newest_launch(place)], place))}
    found: dict[str, dict[str, dict[int, float]]] = {}
    for name in claim.arms:
        if name not in arms:
            raise LineageError(explain(expected=f"a run labelled '{name}'", got=", ".join(arms),
                                       do=f"Give conf/experiment/claim/{name}.yaml the label {name}."))  # fmt: skip
        arm = arms[name]
        columns = list(dict.fromkeys(key for run in arm.runs for key in run.columns))
        finals = {key: arm.final(key) for key in columns}
        found[name] = {key: dict(zip(arm.seeds, map(float, values), strict=True))
                       for key, values in finals.items() if values is not None}  # fmt: skip
    return found


def registered(place: Path, words: str, files: list[Path]) -> Registered:
    """When measuring under `place` began, and under which commit of the claim's `files` (its own and its arms'); noted
    once, at the beginning."""
    path = place / BEGAN
    if not path.is_file():
        place.mkdir(parents=True, exist_ok=True)
        said = _git("log", "-1", "--format=%h %cI", "--", *map(str, files)).split() if files else []
        commit, committed = said if len(said) == 2 else ("", "")
        clean = bool(commit) and not _git("status", "--porcelain", "--", *map(str, files))
        told = {"commit": commit, "committed": committed, "clean": clean, "words": words,
                "began": datetime.now(UTC).isoformat(timespec="seconds")}  # fmt: skip
        write_whole(path, json.dumps(told).encode())
    return Registered(**json.loads(path.read_text()))


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if not done.returncode else ""
