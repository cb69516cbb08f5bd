"""Hydra around `experiment`: one manifest a launch, live progress, and errors told without tracebacks."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from sandbox.compose import BASE, OLD, as_typed, bare, label_of, left_out, quoted, settled, shown, worded
from sandbox.core.error import ConfigError, SandboxError
from sandbox.places import Place, folder_of, trusted_by
from sandbox.studies import describe

QUIET = ("--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--version", "--shell-completion", "-sc")
VALUED = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c")
ENDS = (signal.SIGTERM, signal.SIGHUP)  # what a scheduler, a time limit or a closed terminal sends
GRACE = 10.0  # seconds that other processes of a launch have for a last checkpoint


def launch(arguments: Sequence[str], *, reports: bool = False) -> int:
    """Run what the overrides name, and then report if it `reports`; returns the exit code: 0, 2 if a run failed, 130 if
    interrupted."""
    try:
        arguments = worded(flags_first(arguments))
    except ConfigError as error:
        return _tell(str(error))
    if any(word.split("=")[0] in QUIET for word in arguments):
        return _ask(arguments)
    manifest = Path(_runs(arguments)) / "launches" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.jsonl"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    try:
        describe(arguments, manifest)
    except SandboxError as error:
        return _tell(str(error))
    manifest.touch()
    from sandbox.report.progress import watch

    try:
        with watch(manifest), ended_as_interrupted(manifest):
            code = _hydra([*arguments, f"launch={quoted(str(manifest.resolve()))}"])
    except KeyboardInterrupt:
        _interrupted(manifest)
        return _tell("Interrupted; the same command goes on from the last checkpoint.", code=130)
    code = _close(manifest, code)
    return report([os.path.relpath(manifest)]) or code if reports and manifest.is_file() else code


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
    entries = _entries(manifest)
    folders = [Path(entry["folder"]) for entry in entries if "folder" in entry]
    for folder in folders:
        if folder.exists():
            print(os.path.relpath(folder))
    for told in [entry["told"] for entry in entries if "told" in entry]:
        print(told, file=sys.stderr)
    errors = [f"{entry['label']}: {entry['error']}" for entry in entries if "error" in entry]
    if errors:
        return _tell("\n".join(errors))
    if not entries:
        manifest.unlink()
    elif not code and len(folders) > 1:
        print(f"sandbox report {os.path.relpath(manifest)}")
    return code


@contextmanager
def ended_as_interrupted(manifest: Path | None = None) -> Iterator[None]:
    """SIGTERM and SIGHUP do what Ctrl-C does, once, and reach the runs of `manifest` in other processes too. Those that
    are ignored (nohup) stay so."""

    def end(number: int, frame: Any) -> None:
        for each in known:
            signal.signal(each, signal.SIG_IGN)
        if manifest is not None:
            _end_others(manifest, number)
        raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()  # no other thread may say what a signal does
    known = {each: before for each in ENDS if here and (before := signal.getsignal(each)) is not signal.SIG_IGN}
    for each in known:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, before in known.items():
            signal.signal(each, before)


def _end_others(manifest: Path, number: int) -> None:
    """Pass a signal on to the processes that live this launch's runs, and wait for their last checkpoints."""

    def living() -> dict[int, Path]:
        found = {entry["pid"]: Path(entry["folder"]) for entry in _entries(manifest) if "folder" in entry}
        return {pid: folder for pid, folder in found.items() if pid != os.getpid() and _state(folder) == "running"}

    for pid in living():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    until = time.monotonic() + GRACE
    while living() and time.monotonic() < until:
        time.sleep(0.05)


def _entries(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def _state(folder: Path) -> str:
    status = folder / "status.json"
    return json.loads(status.read_text())["state"] if status.is_file() else ""


def _interrupted(manifest: Path) -> None:
    """Workers that were ended have had no time to say so."""
    for entry in _entries(manifest):
        if "folder" in entry and _state(Path(entry["folder"])) == "running":
            status = Path(entry["folder"]) / "status.json"
            status.write_text(json.dumps(json.loads(status.read_text()) | {"state": "interrupted"}))


def _ask(arguments: Sequence[str]) -> int:
    """What Hydra answers; but `--cfg job` shows each member's settings as a run would have them."""
    flags = [word for word in arguments if word.startswith("-") or word in ("job", "hydra", "all")]
    if flags not in (["--cfg", "job"], ["-c", "job"]):
        return _hydra(arguments)
    print(OmegaConf.to_yaml(shown(bare([word for word in arguments if word not in flags]))), end="")
    return 0


def _hydra(arguments: Sequence[str]) -> int:
    sys.argv = [sys.argv[0], *arguments]
    try:
        _job()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _label() -> str:
    return label_of(HydraConfig.get().runtime.choices, HydraConfig.get().overrides.task)


def _know_label() -> None:
    register = "register_new_resolver" if OLD else "register_resolver"  # 1.4 renames it
    getattr(OmegaConf, register)("label", _label, replace=True)


_know_label()


@hydra.main(**BASE, config_path="pkg://sandbox.conf", config_name="config")
def _job(config: DictConfig) -> None:
    """One job, in whatever process the launcher gives it."""
    from sandbox.experiment import perform, trusted

    _know_label()  # in a worker too
    job, words = HydraConfig.get().job, list(HydraConfig.get().overrides.task)
    folders = _named()
    own = settled(config, HydraConfig.get().runtime.choices, words, folders)
    run: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(own), resolve=True)  # type: ignore[assignment]
    run["runs"], manifest = str(Path(run["runs"]).resolve()), run.pop("launch")
    entry = {"job": 0 if OmegaConf.is_missing(job, "num") else job.num, "label": run["label"],
             "steps": run["steps"], "pid": os.getpid()}  # fmt: skip

    def tell(word: str) -> None:
        _register(manifest, {"job": entry["job"], "told": word})

    def found(folder: Path) -> None:
        _register(manifest, entry | {"folder": str(folder)})

    try:
        for word in left_out(config, own, words):
            tell(f"{run['label']}: {word}")
        with ended_as_interrupted():
            run["trust"] = [*trusted(run), *trusted_by(words, folders)]
            perform(run, as_typed(words), tell=tell, found=found)
    except SandboxError as error:
        _register(manifest, entry | {"error": str(error)})


def _named() -> tuple[Place, ...]:
    """The folders that the command line of this job names."""
    sources = [one for one in HydraConfig.get().runtime.config_sources if "command-line" in one.provider]
    return tuple(Place("command line", one.path, f"{one.schema}://{one.path}",
                       Path(one.path) if one.schema == "file" else folder_of(one.path))
                 for one in sources)  # fmt: skip


def _register(manifest: str, entry: dict[str, Any]) -> None:
    with Path(manifest).open("a") as lines:
        lines.write(json.dumps(entry) + "\n")


def _runs(arguments: Sequence[str]) -> str:
    return next((word.partition("=")[2] for word in arguments if word.startswith("runs=")), "runs")


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
