"""Hydra around `experiment`: a plan and a manifest a launch, live progress, and errors told without tracebacks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from sandbox.compose import BASE, bare, quoted, shown, worded
from sandbox.core.error import ConfigError, SandboxError
from sandbox.lines.launch import MANIFEST, Plan, entries, held, here, key_of, write_plan
from sandbox.lines.place import mark, status
from sandbox.studies import describe
from sandbox.sweep.job import ended_as_interrupted, live
from sandbox.sweep.launchers import check, know
from sandbox.sweep.plan import SEVERAL, called, planned, warnings

QUIET = ("--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--version", "--shell-completion", "-sc")
VALUED = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c")
GRACE = 30.0  # seconds that other processes of a launch have for a last checkpoint

_hydra_main = hydra.main(**BASE, config_path="pkg://sandbox.conf", config_name="config")(live)


def launch(arguments: Sequence[str], *, reports: bool = False) -> int:
    """Run what the overrides name, and then report if it `reports`; returns the exit code: 0, 2 if a run failed, 130 if
    interrupted."""
    try:
        arguments = worded(flags_first(arguments))
    except ConfigError as error:
        return _tell(str(error))
    if any(word.split("=")[0] in QUIET for word in arguments):
        return _ask(arguments)
    try:
        check(arguments)
        plan, place = planned(arguments)
        manifest = place / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}{MANIFEST}"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        describe(arguments, manifest)
    except SandboxError as error:
        return _tell(str(error))
    plan = called(plan, manifest)
    write_plan(manifest, plan)
    manifest.touch()
    for sentence in warnings(plan):
        print(sentence, file=sys.stderr)
    from sandbox.report.progress import watch

    try:
        with held(manifest), watch(manifest), ended_as_interrupted(partial(_end_others, manifest)):
            code = _hydra([*arguments, *_ours(plan, manifest, arguments)])
    except KeyboardInterrupt:
        _interrupted(manifest)
        return _tell("Interrupted; the same command goes on from the last checkpoint.", code=130)
    code = _close(manifest, code)
    return report([os.path.relpath(manifest)]) or code if reports and manifest.is_file() else code


def _ours(plan: Plan, manifest: Path, arguments: Sequence[str]) -> list[str]:
    """What the launch itself tells its jobs: the sweep that they belong to, and where it hears of them."""
    many = bool(set(SEVERAL) & set(arguments)) or any(key_of(word) == "sweep" for word in arguments)
    return [*([f"sweep={quoted(plan.sweep)}"] if many else []), f"launch={quoted(str(manifest.resolve()))}"]


def flags_first(arguments: Sequence[str]) -> list[str]:
    """The same words in the order in which Hydra's parser takes them: it knows no override after a flag that follows
    an override."""
    flags, words, rest = list[str](), list[str](), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            words.append(word)
            continue
        flags.append(word)
        if word in VALUED and rest:
            flags.append(rest.pop(0))
    return [*flags, *words]


def _close(manifest: Path, code: int) -> int:
    """Say where the runs are, what was told and what failed; returns the exit code."""
    told = entries(manifest)
    folders = [Path(entry["folder"]) for entry in told if "folder" in entry]
    for folder in dict.fromkeys(folders):
        if folder.exists():
            print(os.path.relpath(folder))
    for sentence in [entry["told"] for entry in told if "told" in entry]:
        print(sentence, file=sys.stderr)
    errors = [f"{name(entry)}: {entry['error']}" for entry in told if "error" in entry]
    if errors:
        return _tell("\n".join(errors))
    if not told:
        for path in manifest.parent.glob(f"{manifest.stem}.*"):
            path.unlink()
    elif not code and len(folders) > 1:
        print(f"sandbox report {os.path.relpath(manifest)}")
    return code


def name(entry: Mapping[str, Any]) -> str:
    """A job in words: its label, by what it differs from the others, its folder."""
    parts = [entry["label"], *entry.get("apart", []), f"({entry['run']})" if entry.get("run") else ""]
    return " ".join(part for part in parts if part)


def _end_others(manifest: Path, number: int) -> None:
    """Pass a signal on to the processes of this machine that live this launch's runs, and wait for their last
    checkpoints."""

    def living() -> set[int]:
        found = {
            entry["pid"]: Path(entry["folder"]) for entry in entries(manifest) if "folder" in entry and here(entry)
        }
        return {pid for pid, folder in found.items() if status(folder).get("state") == "running"}

    for pid in living():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    until = time.monotonic() + GRACE
    while living() and time.monotonic() < until:
        time.sleep(0.05)


def _interrupted(manifest: Path) -> None:
    """Workers that were ended may have had no time to say so."""
    for entry in entries(manifest):
        if "folder" in entry:
            mark(Path(entry["folder"]), "interrupted", "")


def _ask(arguments: Sequence[str]) -> int:
    """What Hydra answers; but `--cfg job` shows each member's settings as a run would have them."""
    flags = [word for word in arguments if word.startswith("-") or word in ("job", "hydra", "all")]
    if flags not in (["--cfg", "job"], ["-c", "job"]):
        return _hydra(arguments)
    print(OmegaConf.to_yaml(shown(bare([word for word in arguments if word not in flags]))), end="")
    return 0


def _hydra(arguments: Sequence[str]) -> int:
    sys.argv = [sys.argv[0], *arguments]
    know(arguments)
    try:
        _hydra_main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _tell(message: str, code: int = 2) -> int:
    print(message, file=sys.stderr)
    return code


def report(arguments: Sequence[str]) -> int:
    """`sandbox report [RUN…] [--json FILE]`."""
    from sandbox.report.command import main

    try:
        return main(list(arguments))
    except SandboxError as error:
        return _tell(str(error))
