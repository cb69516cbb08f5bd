"""Hydra around `experiment`: one manifest a launch, live progress, and errors told without tracebacks."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from sandbox.core.error import ConfigError, SandboxError, did_you_mean
from sandbox.studies import describe

OLD = hydra.__version__ < "1.4"
BASE: dict[str, Any] = {"version_base": None} if OLD else {}  # 1.3 asks for it, 1.4 warns of it
MANIFEST = "SANDBOX_LAUNCH"  # environment variable: the manifest that jobs of this launch write to
SWAPPED = ("rule", "meta_learner", "gate", "engine", "model")  # groups whose choice shows in a label
QUIET = ("--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--version", "--shell-completion", "-sc")


def launch(arguments: Sequence[str]) -> int:
    """Run what the overrides name; returns the exit code: 0, 2 if a run failed, 130 if interrupted."""
    if any(word.split("=")[0] in QUIET for word in arguments):
        return _hydra(arguments)
    wrong = misspelt(arguments)
    if wrong:
        return _tell(wrong)
    manifest = Path(_runs(arguments)) / "launches" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.jsonl"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    try:
        describe(arguments, manifest)
    except SandboxError as error:
        return _tell(str(error))
    manifest.touch()
    os.environ[MANIFEST] = str(manifest.resolve())
    from sandbox.report.progress import watch

    try:
        with watch(manifest):
            code = _hydra(arguments)
    except KeyboardInterrupt:
        _interrupted(manifest)
        return _tell("Interrupted; the same command goes on from the last checkpoint.", code=130)
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    errors = [f"{entry['label']}: {entry['error']}" for entry in entries if "error" in entry]
    for folder in [Path(entry["folder"]) for entry in entries if "folder" in entry]:
        if folder.exists():
            print(os.path.relpath(folder))
    if errors:
        return _tell("\n".join(errors))
    if not entries:
        manifest.unlink()
    elif not code and len(entries) > 1:
        print(f"sandbox report {os.path.relpath(manifest)}")
    return code


def _interrupted(manifest: Path) -> None:
    """Workers that were ended have had no time to say so."""
    for entry in map(json.loads, manifest.read_text().splitlines()):
        status = Path(entry.get("folder", "")) / "status.json"
        if status.is_file() and (found := json.loads(status.read_text()))["state"] == "running":
            status.write_text(json.dumps(found | {"state": "interrupted"}))


def _hydra(arguments: Sequence[str]) -> int:
    sys.argv = [sys.argv[0], *arguments]
    try:
        _job()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _label() -> str:
    """A name for a run that nobody named: its preset, the members chosen in place of the preset's, its task."""
    choices, chosen = HydraConfig.get().runtime.choices, HydraConfig.get().overrides.task
    swapped = [choices[group] for group in SWAPPED if any(word.startswith(f"{group}=") for word in chosen)]
    return "-".join([choices["preset"], *swapped, choices["task"]]).replace("/", "_")


def _know_label() -> None:
    register = "register_new_resolver" if OLD else "register_resolver"  # 1.4 renames it
    getattr(OmegaConf, register)("label", _label, replace=True)


_know_label()


@hydra.main(**BASE, config_path="pkg://sandbox.conf", config_name="config")
def _job(composed: DictConfig) -> None:
    """One job, in whatever process the launcher gives it."""
    from sandbox.experiment import folder_of, perform

    _know_label()  # in a worker too
    config: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
    config["runs"] = str(Path(config["runs"]).resolve())
    launched = HydraConfig.get().job
    job = 0 if OmegaConf.is_missing(launched, "num") else launched.num
    entry = {"job": job, "label": config["label"], "steps": config["steps"]}
    try:
        folder = folder_of(config)
        _register(entry | {"folder": str(folder)})
        perform(config, list(HydraConfig.get().overrides.task))
    except SandboxError as error:
        _register(entry | {"error": str(error)})


def _register(entry: dict[str, Any]) -> None:
    with Path(os.environ[MANIFEST]).open("a") as manifest:
        manifest.write(json.dumps(entry) + "\n")


def misspelt(arguments: Sequence[str]) -> str:
    """What to say of the first override that names no member of its group; empty if all do, or if the members are
    looked for elsewhere too."""
    if any(word.startswith(("--config-dir", "-cd", "hydra.searchpath")) for word in arguments):
        return ""
    with initialize_config_module("sandbox.conf", **BASE):
        loader = GlobalHydra.instance().config_loader()
        groups = {name for name in loader.get_group_options("", results_filter=None) if "." not in name}
        for argument in arguments:
            key, _, value = argument.partition("=")
            if key not in groups or any(mark in value for mark in "()[]{}$"):
                continue
            for name in value.split(","):
                known = _members(loader, key)
                if name and name not in known and name != "null":
                    return f"no {key} called '{name}'. {did_you_mean(name, known)}"
    return ""


def _members(loader: Any, group: str) -> list[str]:
    here = list(loader.get_group_options(group))
    below = [f"{inner}/{name}" for inner in loader.get_group_options(group, results_filter=None) if inner not in here
             for name in loader.get_group_options(f"{group}/{inner}")]  # fmt: skip
    return here + below


def _runs(arguments: Sequence[str]) -> str:
    return next((word.partition("=")[2] for word in arguments if word.startswith("runs=")), "runs")


def _tell(message: str, code: int = 2) -> int:
    print(message, file=sys.stderr)
    return code


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration that these overrides compose, outside a Hydra job."""
    with initialize_config_module("sandbox.conf", **BASE):
        return OmegaConf.to_container(compose("config", [*overrides, "label=check"]), resolve=True)  # type: ignore[return-value]


def report(arguments: Sequence[str]) -> int:
    """`sandbox report [RUN…] [--json FILE]`."""
    from sandbox.report.command import main

    try:
        return main(list(arguments))
    except SandboxError as error:
        return _tell(str(error))


def replay(arguments: Sequence[str]) -> int:
    """`sandbox replay RUN…`: re-execute and compare every line."""
    from sandbox.experiment import replay as again

    if not arguments or "-h" in arguments or "--help" in arguments:
        return _tell("expected a run folder; got nothing. Name a folder under runs/: sandbox replay RUN…")
    for name in arguments:
        try:
            print(f"{name}: {again(Path(name))} lines replay to the same digests")
        except SandboxError as error:
            return _tell(str(error))
    return 0


def check(arguments: Sequence[str]) -> int:
    """`sandbox check gate=NAME`: the A/A table."""
    if "-h" in arguments or "--help" in arguments:
        return _tell("sandbox check [gate=NAME] [KEY=VALUE…]: how often gates accept when nothing changed")
    from sandbox.check import main

    wrong = misspelt(arguments)
    if wrong:
        return _tell(wrong)
    try:
        return main(composed(arguments))
    except (SandboxError, ConfigError) as error:
        return _tell(str(error))
