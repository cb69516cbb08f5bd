"""Which launchers there are beside the default, and what each must have installed before a sweep begins."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec

from sandbox.core.error import ConfigError, explain
from sandbox.lines.launch import key_of
from sandbox.sweep.processes import know_launcher
from sandbox.sweep.slurm import know_slurm

EXTRAS = {  # {launcher: (extra, the plug-in or library that it brings)}
    "joblib": ("joblib", "hydra_plugins.hydra_joblib_launcher"),
    "submitit_local": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "submitit_slurm": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "slurm": ("slurm", "submitit"),
    "ray": ("ray", "hydra_plugins.hydra_ray_launcher"),
    "ray_aws": ("ray", "hydra_plugins.hydra_ray_launcher"),
    "ray_local": ("ray", "hydra_plugins.hydra_ray_launcher"),
}
SEARCHES = {"search": ("search", "optuna")}
LAUNCHER, SWEEPER = "hydra/launcher", "hydra/sweeper"
QUEUES = ("slurm", "submitit_slurm")


def know(words: Sequence[str]) -> None:
    """Make Hydra know of the house's own, as far as these words may need them."""
    know_launcher()
    know_slurm()
    if f"{SWEEPER}=search" in words:  # dear to import
        from sandbox.sweep.search import know_search

        know_search()


def check(words: Sequence[str]) -> None:
    """Raises `ConfigError` where these words choose a launcher that isn't installed, or that has nothing to talk to."""
    for key, name in [(key_of(word), word.partition("=")[2]) for word in words]:
        extra, module = {LAUNCHER: EXTRAS, SWEEPER: SEARCHES}.get(key, {}).get(name, ("", ""))
        if extra and not _there(module):
            raise ConfigError(explain(expected=f"what {key}={name} needs", got=f"an environment without {module}",
                                      do=f"pip install 'reflective-sandbox[{extra}]'"))  # fmt: skip
        if key == LAUNCHER and name in QUEUES and shutil.which("sbatch") is None:
            raise ConfigError(explain(expected="SLURM's sbatch on this machine", got="none",
                                      do="Launch from a login node, or leave hydra/launcher out."))  # fmt: skip


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
