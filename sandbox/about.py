"""What a run was made with: identity, overrides, git revision, versions, threads."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "higher", "hydra-core", "wandb", "numpy", "scipy", "scikit-learn")


def about(identity: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Everything besides the configuration that may move a number."""
    return {
        "identity": identity,
        "overrides": list(overrides),
        "git": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
    }


def _git(*words: str) -> str | None:
    """What git says of the package's own checkout; None outside one."""
    here = Path(__file__).parent
    found = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None
