"""The version of a run folder's format: written into `about.json` when a run begins, looked at when it is read; and the
run's configuration, which is read first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from sandbox.core.error import LineageError, explain

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times as fast, where libyaml is
FORMAT = 1
"""What changed, by version, is told in docs/run-folder.md. A folder that doesn't say is of version 0, which is read."""


def format_of(folder: Path) -> int:
    """The version that a folder was last gone on with; 0 where it doesn't say."""
    try:
        entries = json.loads((folder / "about.json").read_text())
    except (OSError, ValueError):  # none recorded, or half a file of a run that is just beginning
        return 0
    return max((entry.get("format", 0) for entry in entries), default=0)


def config_of(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run; raises `LineageError` where its folder is of a newer version, or holds none
    that can be read."""
    known(folder)
    try:
        found = yaml.load((folder / "config.yaml").read_text(), LOADER)
    except yaml.YAMLError as error:
        found = str(error)
    if not isinstance(found, dict):
        what, do = f"the configuration of a run in {folder / 'config.yaml'}", f"Remove it: sandbox rm {folder}"
        raise LineageError(explain(expected=what, got=repr(found)[:80], do=do))
    return found


def known(folder: Path) -> None:
    """Raise `LineageError` where a folder is of a newer version than this program knows."""
    found = format_of(folder)
    if found > FORMAT:
        got = f"format {found} in {folder}"
        do = "Read it with a newer version of sandbox."
        raise LineageError(explain(expected=f"a run folder of format {FORMAT} or older", got=got, do=do))
