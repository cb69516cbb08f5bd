"""Sweeps as their files tell them: which jobs were planned, what became of each, and how long the rest will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from sandbox.core.error import LineageError, did_you_mean, explain
from sandbox.lines.file import reached
from sandbox.lines.launch import LAUNCHES, Entry, Plan, entries, folder_of, launches, lives, read_plan, sweep_of, what
from sandbox.lines.place import living, status

OPEN = ("failed", "killed", "interrupted", "missing")  # what `sandbox resume` begins anew or goes on with


@dataclass(frozen=True)
class Job:
    """A job of a sweep. `words`: by which it differs from the others, of all that it was `asked`; `folder`: its run's,
    None where none was begun; `state`: finished, running, waiting (for a launch that lives), pruned (by a search),
    failed, killed, interrupted, or missing (planned, and nobody is about to begin it); `step` of `steps`; `seconds`
    lived and `left`, as far as its own pace tells; `latest`: {headline: its mean over seeds, as last read}; `why`: the
    error of one that failed."""

    number: int
    label: str
    words: tuple[str, ...] = ()
    folder: Path | None = None
    state: str = "missing"
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    left: float | None = None
    latest: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    asked: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its label, and by what it differs."""
        return " ".join([self.label, *self.words]).strip() or f"job {self.number}"


@dataclass(frozen=True)
class Sweep:
    """All launches of one name. `plan` is that of the newest, None of an earlier version's; `lives`: whether one of
    them is going on."""

    name: str
    launches: tuple[Path, ...]
    plan: Plan | None
    lives: bool
    jobs: tuple[Job, ...]

    @property
    def search(self) -> bool:
        """Whether its jobs are drawn as it goes: then not all of them may be there yet, and one that failed is told."""
        return self.plan is not None and "hydra/sweeper=search" in self.plan.command

    @property
    def open(self) -> tuple[Job, ...]:
        """The jobs that its command would begin, or go on with."""
        states = [state for state in OPEN if not (self.search and state == "failed")]
        return tuple(job for job in self.jobs if job.state in states)

    @property
    def counts(self) -> dict[str, int]:
        """{state: how many jobs}, finished first."""
        found = Counter(job.state for job in self.jobs)
        return {state: found[state] for state in ("finished", "running", "waiting", "pruned", *OPEN) if found[state]}

    @property
    def left(self) -> float | None:
        """Seconds until the last job ends, if those to come take as long as the others and as many live side by side as
        now; None where nobody lives, or nothing has shown its pace."""
        running = [job for job in self.jobs if job.state == "running"]
        whole = [job.seconds + job.left for job in self.jobs if job.left is not None and job.seconds]
        if not running or not whole:
            return None
        rest = [job.left if job.left is not None else mean(whole) for job in running]
        waiting = sum(job.state == "waiting" for job in self.jobs) * mean(whole)
        return max(max(rest), (sum(rest) + waiting) / len(running))


def sweeps(runs: Path) -> list[Sweep]:
    """Every sweep of these runs, oldest first."""
    by_name: dict[str, list[Path]] = {}
    for manifest in launches(runs):
        by_name.setdefault(sweep_of(manifest), []).append(manifest)
    return [read_sweep(name, manifests) for name, manifests in by_name.items()]


def sweep(runs: Path, name: str) -> Sweep:
    """The sweep of that name, or of the launch whose manifest it is; raises `LineageError` with a near miss."""
    found = launches(runs)
    name = sweep_of(Path(name)) if Path(name).is_file() else name
    mine = [manifest for manifest in found if sweep_of(manifest) == name]
    if not mine:
        names = list(dict.fromkeys(sweep_of(manifest) for manifest in found))
        raise LineageError(explain(expected=f"the name of a sweep under {runs / LAUNCHES}", got=f"'{name}'",
                                   do=did_you_mean(name, names)))  # fmt: skip
    return read_sweep(name, mine)


def read_sweep(name: str, manifests: Sequence[Path]) -> Sweep:
    """A sweep from the files of its launches, oldest first. A job is known by its words, or where a sweeper made them
    up by its folder, so that a launch that goes on with another has the same jobs."""
    found: dict[Any, Job] = {}
    plan, alive = None, False
    for manifest in manifests:
        plan, goes = read_plan(manifest), lives(manifest)
        alive = alive or goes
        lines = entries(manifest)
        told, pruned = _by_job(lines), {entry["job"] for entry in lines if "pruned" in entry}
        for number in sorted({*range(len(plan.jobs) if plan else 0), *told}):
            mine = told.get(number, [])
            words = plan.jobs[number] if plan and number < len(plan.jobs) else ()
            folder = _folder(manifest, mine)
            key = what(words) or folder or (manifest, number)
            job = _job(number, tuple(plan.apart(number)) if plan else (), folder, mine, goes, found.get(key))
            state = "pruned" if number in pruned and job.state == "interrupted" else job.state
            found[key] = replace(job, state=state, asked=tuple(words))
    jobs = tuple(replace(job, number=place) for place, job in enumerate(found.values()))
    return Sweep(name, tuple(manifests), plan, alive, jobs)


def _by_job(told: Iterable[Entry]) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    for number, entry in enumerate(told):
        if "label" in entry:
            found.setdefault(entry.get("job", number), []).append(entry)
    return found


def _folder(manifest: Path, told: Sequence[Entry]) -> Path | None:
    written = [entry for entry in told if "folder" in entry]
    return folder_of(manifest, written[-1]) if written else None


def _job(number: int, words: tuple[str, ...], folder: Path | None, told: Sequence[Entry], goes: bool,
         before: Job | None) -> Job:  # fmt: skip
    labels = [str(entry["label"]) for entry in reversed(told)]
    label = next((one for one in labels if not one.startswith("job ")), "")
    label = label or (before.label if before else "")
    why = next((entry["error"] for entry in told if "error" in entry), "")
    if folder is None and before is not None and before.folder is not None:
        folder = before.folder  # this launch has not come to it yet
    known = now(folder) if folder is not None else {}
    if not known:
        ended = next((entry.get("state", "failed") for entry in told if "error" in entry), "missing")
        state = "waiting" if goes and not why else ended
        return Job(number, label, words, None, state, why=why)
    state, step, steps = known["state"], known.get("step", 0), known.get("steps", 0)
    if goes and not told and state in OPEN:
        state = "waiting"
    seconds, lived = known.get("seconds", 0.0), step - known.get("from_step", 0)
    left = seconds / lived * (steps - step) if lived > 0 else None
    error = "" if state in ("finished", "running", "waiting") else known.get("error", "") or why
    return Job(number, label, words, folder, state, step, steps, seconds, left, known.get("latest", {}), error)


def now(folder: Path) -> dict[str, Any]:
    """What a run says of itself, and "killed" for one that says that it runs while nobody lives it."""
    known = status(folder)
    if known.get("state") == "running" and not living(folder):
        known = {**known, "state": "killed", "error": known.get("error") or "its process was killed"}
    return {**known, "step": reached(folder)} if known.get("state") == "killed" else known
