"""What a command line is about to launch: its jobs, what they are called together, and what should be known before."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from sandbox.compose import BUNDLES, as_typed, bare, loader, raw
from sandbox.core.error import ConfigError, explain
from sandbox.lines.launch import LAUNCHES, Plan, key_of, launches, read_plan, swept, what
from sandbox.lines.place import SEEDS, checked_label
from sandbox.places import named

SEVERAL = ("-m", "--multirun")
NAME = re.compile(r"[\w][\w.+-]{0,79}")  # of a sweep: it stands in file names and in W&B


def planned(arguments: Sequence[str]) -> tuple[Plan, Path]:
    """The plan of these words, and the folder for its files, beside its runs.

    Raises `ConfigError` for a sweep of nothing, and for a label or a name that can't be used. Words that Hydra can't
    compose are left to Hydra to refuse.
    """
    said = [word for word in arguments if key_of(word) != "sweep"]
    jobs = jobs_of(arguments)
    for word in {word for job in jobs for word in job if key_of(word) == "label"}:
        checked_label(word.partition("=")[2].strip("'\""))
    runs = _runs(arguments, jobs)
    told = [word.partition("=")[2].strip("'\"") for word in arguments if key_of(word) == "sweep"]
    if told and not NAME.fullmatch(told[-1]):
        raise ConfigError(explain(expected="a name of letters, digits, and . _ + - for a sweep", got=f"'{told[-1]}'",
                                  do="Choose sweep=such-a-name, or leave it out."))  # fmt: skip
    command = tuple(as_typed(said))
    name = told[-1] if told else _before(command, runs) if set(SEVERAL) & set(arguments) else ""
    typed = tuple(tuple(as_typed(job)) for job in jobs)
    return Plan(name, command, str(Path.cwd()), swept(typed), typed, time.time()), runs / LAUNCHES


def jobs_of(arguments: Sequence[str]) -> list[list[str]]:
    """The words of each job; none where a sweeper makes them up as it goes."""
    words = [word for word in bare(arguments) if not word.startswith("-")]
    if not set(SEVERAL) & set(arguments):
        return [words]
    if any(key_of(word) == "hydra/sweeper" and word.partition("=")[2] != "basic" for word in words):
        return []
    try:
        with loader() as found:
            parsed = OverridesParser.create(config_loader=found).parse_overrides(words)
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    for one in parsed:
        if one.is_sweep_override() and one.is_discrete_sweep() and not list(one.sweep_string_iterator()):
            raise ConfigError(explain(expected=f"something to sweep over at {one.key_or_group}",
                                      got=f"'{one.input_line}', which stands for nothing",
                                      do="`sandbox list` tells what there is."))  # fmt: skip
    try:
        return BasicSweeper.split_arguments(parsed, None)[0]
    except HydraException:
        return []  # interval(…) without a sweeper that knows it: Hydra says so


def warnings(plan: Plan) -> Iterator[str]:
    """What a user may not expect of a sweep, in sentences: jobs that are one run, and runs whose seeds overlap, which
    are no independent samples."""
    runs = {what(job) for job in plan.jobs}
    if len(runs) < len(plan.jobs):
        yield (
            f"{len(plan.jobs)} jobs are {len(runs)} run(s): a label, a tracker or a number of steps makes no other, "
            "and it is lived once."
        )
    if {"seed", "seeds"} & set(plan.varies):
        yield from _overlaps(plan)


def _overlaps(plan: Plan) -> Iterator[str]:
    jobs = sorted((_without_seeds(job), job) for job in plan.jobs)
    for _, same in groupby(jobs, key=lambda pair: pair[0]):
        spans = sorted({_span(job, plan.command) for _, job in same} - {None})  # type: ignore[type-var]
        lives = sum(seeds for _, seeds in spans)
        distinct = len({seed for first, seeds in spans for seed in range(first, first + seeds)})
        if lives > distinct:
            first, width = spans[0][0], max(seeds for _, seeds in spans)
            apart = f"range({first},{first + len(spans) * width},{width})"
            yield (f"seeds overlap: {len(spans)} runs of up to {width} seeds are {lives} lives of {distinct} seeds. A "
                   f"spread over such runs is too narrow; `seed={apart}` gives each its own.")  # fmt: skip
            return  # the others are told alike


def _without_seeds(job: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(word for word in what(job) if key_of(word) not in SEEDS))


def _span(job: Sequence[str], arguments: Sequence[str]) -> tuple[int, int] | None:
    """First seed and number of seeds of a job; None where that can't be composed. Of its words only those matter that
    may say so."""
    said = {key: value for key, _, value in (word.lstrip("+").partition("=") for word in job) if value.isdigit()}
    if "seed" in said and "seeds" in said:
        return int(said["seed"]), int(said["seeds"])
    matter = [key for key in (*BUNDLES, "seed", "seeds") if key not in said]
    found = _composed([word for word in job if key_of(word) in matter], arguments)
    if found is None:
        return None
    try:
        return int(said.get("seed") or found.seed), int(said.get("seeds") or found.seeds)
    except (ValueError, TypeError, OmegaConfBaseException):
        return None


def _composed(words: Sequence[str], arguments: Sequence[str]) -> Any:
    """What one job composes to, unresolved; None where Hydra refuses it."""
    try:
        return raw([word for word in words if not word.startswith("hydra.searchpath=")], named(arguments))
    except (HydraException, OmegaConfBaseException):
        return None


def _runs(arguments: Sequence[str], jobs: Sequence[Sequence[str]]) -> Path:
    """Where the runs of a launch are kept, as its first job composes it."""
    found = _composed(jobs[0] if jobs else [word for word in arguments if key_of(word) == "runs"], arguments)
    try:
        runs = "runs" if found is None else found.runs
    except OmegaConfBaseException:  # which the job will tell
        runs = "runs"
    if not isinstance(runs, str):
        raise ConfigError(explain(expected="a folder at runs", got=repr(runs), do="Leave it out: runs=runs."))
    return Path(runs)


def _before(command: Sequence[str], runs: Path) -> str:
    """What the same command was called when it was given before; empty where it wasn't."""
    for manifest in reversed(launches(runs)):
        plan = read_plan(manifest)
        if plan is not None and plan.command == tuple(command):
            return plan.sweep
    return ""


def called(plan: Plan, manifest: Path) -> Plan:
    """The plan with a name: that of its first launch, where nobody gave one."""
    return plan if plan.sweep else replace(plan, sweep=manifest.stem)
