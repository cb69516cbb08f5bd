"""Going on with sweeps and runs from what they left: resume, rerun, rm."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from sandbox.compose import quoted
from sandbox.core.error import ConfigError, LineageError, explain
from sandbox.lines.format import config_of
from sandbox.lines.launch import Plan, append, key_of, read_plan, what
from sandbox.lines.place import free, status
from sandbox.report.sweeps import Sweep, now, sweep, sweeps
from sandbox.sweep.launch import launch
from sandbox.sweep.plan import planned

ABOUT, CONFIG = "about.json", "config.yaml"
MIB = 2**20


def resume(runs: Path, name: str | None, words: Sequence[str] = ()) -> int:
    """Give the command of a sweep again, where it was given, with further `words` if there are: what is finished is
    skipped, what was begun goes on from its checkpoint, the rest is begun. Without a name it is the newest sweep that
    has something left. Returns the exit code of the launch; raises `SandboxError`."""
    one = sweep(runs, name) if name else _unfinished(runs)
    if one.lives:
        raise ConfigError(explain(expected=f"a sweep that nobody lives: {one.name}", got="one that is going on",
                                  do=f"Look at it: sandbox ls {one.name}"))  # fmt: skip
    if one.plan is None:
        raise ConfigError(explain(expected=f"the command of {one.name}", got="none: an earlier version launched it",
                                  do="Give the command again: what is finished is skipped."))  # fmt: skip
    plans = _commands(one, every=bool(words))
    if not plans:
        print(f"{one.name}: all {len(one.jobs)} jobs are finished")
    here = one.launches[-1].parent.resolve()
    words = [f"runs={quoted(str(here.parent))}" if key_of(word) == "runs" else word for word in words]
    return max([_again(plan, words, here) for plan in plans], default=0)


def _commands(one: Sweep, *, every: bool) -> list[Plan]:
    """The plans of the sweep's commands, each once: `every` one, or those of which some job is open; of a search that
    of the newest in any case, for it knows best what is left."""
    plans = {plan.command: plan for manifest in one.launches if (plan := read_plan(manifest)) is not None}
    left = {what(job.asked) for job in one.open}
    found = [plan for plan in plans.values() if every or any(what(job) in left for job in plan.jobs)]
    return found or ([one.plan] if one.search and one.plan else [])


def _again(plan: Plan, words: Sequence[str], here: Path) -> int:
    if not Path(plan.folder).is_dir():
        raise ConfigError(explain(expected=f"the folder in which {plan.sweep} was launched", got=f"no {plan.folder}",
                                  do="Give the command again where its runs are now."))  # fmt: skip
    os.chdir(plan.folder)
    there = planned([*plan.command, *words])[1].resolve()
    if there != here:
        raise ConfigError(explain(expected=f"{plan.sweep} where its command keeps runs, in {there.parent}",
                                  got=f"{here.parent}, to which they were moved",
                                  do=f"sandbox resume {plan.sweep} runs={here.parent}, or move them."))  # fmt: skip
    return launch([*plan.command, *words, f"sweep={plan.sweep}"])


def _unfinished(runs: Path) -> Sweep:
    for one in reversed(sweeps(runs)):
        if not one.lives and one.open:
            return one
    raise LineageError(explain(expected=f"a sweep under {runs} with something left to do", got="none",
                               do="`sandbox ls` tells what there is."))  # fmt: skip


def rerun(folders: Sequence[Path], *, trust: Sequence[str] = ()) -> int:
    """Run each of these again from its folder alone: one that is finished anew, with what it had kept aside in `past/`,
    any other from its checkpoint. Returns 0; raises `SandboxError`."""
    from sandbox.experiment import perform
    from sandbox.report.progress import watch

    for folder in folders:
        config, words, apart = _asked(folder)
        config |= {"runs": str(folder.resolve().parent), "trust": list(trust)}
        config["force"] = status(folder).get("state") == "finished"
        with _manifest() as manifest:

            def found(place: Path, manifest: Path = manifest, config: dict[str, Any] = config) -> None:
                append(manifest, {"folder": str(place), "label": config["label"], "steps": config["steps"]})

            with watch(manifest):
                place = perform(config, words, apart=apart, tell=_tell, found=found)
        print(os.path.relpath(place))
    return 0


def _asked(folder: Path) -> tuple[dict[str, Any], list[str], list[str]]:
    """Configuration, overrides, and those that set it apart, of the run in a folder."""
    if not (folder / CONFIG).is_file():
        raise LineageError(explain(expected=f"a run folder, with {CONFIG}", got=f"'{folder}'",
                                   do="Name a folder under runs/."))  # fmt: skip
    said = yaml.safe_load((folder / ABOUT).read_text()) if (folder / ABOUT).is_file() else []
    last = said[-1] if said else {}
    return config_of(folder), last.get("overrides", []), last.get("apart", [])


@contextmanager
def _manifest() -> Iterator[Path]:
    with TemporaryDirectory() as scratch:
        manifest = Path(scratch) / "launch.jsonl"
        manifest.touch()
        yield manifest


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)


# ---- remove ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Going:
    """What `rm` removes: run folders, the files of launches, and, in sentences, what it leaves and why."""

    folders: tuple[Path, ...]
    files: tuple[Path, ...]
    left: tuple[str, ...]


def rm(runs: Path, names: Sequence[str], *, states: Sequence[str] = (), sure: bool = False) -> int:
    """Remove run folders and sweeps (their launches, and the runs that no other sweep has); of these only the runs in
    `states`, if any are given. Unless one is `sure`, it is only told. Returns 0; raises `SandboxError`."""
    going = _going(runs, names, frozenset(states))
    for folder in going.folders:
        known = now(folder)
        print(
            f"{folder}  {known.get('state', 'not begun')}, step {known.get('step', 0)}, {_size(folder) / MIB:.1f} MiB"
        )
    for file in going.files:
        print(file)
    for sentence in going.left:
        _tell(sentence)
    if not sure:
        print(f"nothing is removed yet: --yes removes these {len(going.folders)} runs and {len(going.files)} files")
        return 0
    for folder in going.folders:
        if folder.is_symlink():
            folder.unlink()
            continue
        gone = folder.with_name(f".{folder.name}.removed")
        with free(folder) as mine:
            if not mine:
                _tell(f"{folder}: left, for somebody lives it")
                continue
            folder.rename(gone)
        shutil.rmtree(gone)
    for file in going.files:
        file.unlink()
    return 0


def _going(runs: Path, names: Sequence[str], states: frozenset[str]) -> Going:
    folders, files, left = list[Path](), list[Path](), list[str]()
    known = sweeps(runs)
    of = [sweep(runs, name) for name in names if not _is_run(Path(name))]
    mine = {one.name for one in of}
    shared = {job.folder.resolve(): other.name for other in known if other.name not in mine
              for job in other.jobs if job.folder is not None}  # fmt: skip
    for name in names:
        if _is_run(Path(name)):
            folders.append(Path(name))
    for one in of:
        if one.lives:
            raise ConfigError(explain(expected=f"a sweep that nobody lives: {one.name}", got="one that is going on",
                                      do="Interrupt it first."))  # fmt: skip
        for folder in [job.folder for job in one.jobs if job.folder is not None and job.folder.is_dir()]:
            if folder.resolve() in shared:
                left.append(f"{folder}: left, for sweep {shared[folder.resolve()]} has it too")
            else:
                folders.append(folder)
        if not states:
            files += [file for manifest in one.launches for file in sorted(manifest.parent.glob(f"{manifest.stem}.*"))]
    each = {folder if folder.is_symlink() else folder.resolve(): folder for folder in folders}
    chosen = [folder for folder in each.values() if not states or now(folder).get("state") in states]
    alive = [folder for folder in chosen if now(folder).get("state") == "running"]
    left += [f"{folder}: left, for somebody lives it" for folder in alive]
    return Going(tuple(folder for folder in chosen if folder not in alive), tuple(files), tuple(left))


def _is_run(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
