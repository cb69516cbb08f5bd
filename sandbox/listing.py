"""Every member of every place: its name, where it is from, what it is and what it needs around it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.places import Entry, Place, groups, listed, places

HIDDEN = "hydra"  # a group of settings of Hydra's own, and no members


def members(group: str | None, within: Sequence[Place]) -> list[Entry]:
    """Every file of a group, or of all; raises `ConfigError` for a group that there isn't."""
    known = [name for name in groups(within) if name != HIDDEN]
    if group is not None and group not in known:
        raise ConfigError(explain(expected="a group", got=f"'{group}'", do=did_you_mean(group, known)))
    return [entry for name in ([group] if group else known) for entry in listed(name, within)]


def rows(entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """What `--json` prints of each. `hidden_by`: the place whose member of that name comes first, if there is one."""
    first: dict[tuple[str, str], str] = {}
    for entry in entries:
        before = first.setdefault((entry.group, entry.name), entry.place.name)
        yield {
            "group": entry.group, "name": entry.name, "from": entry.place.name, "file": str(entry.path),
            "about": entry.about, "needs": list(entry.needs), "class": entry.target or None,
            "hidden_by": before if before != entry.place.name else None,
        }  # fmt: skip


def list_members(group: str | None, arguments: Sequence[str], *, as_json: bool) -> str:
    """The text of `sandbox list`."""
    found = list(rows(members(group, places(arguments))))
    if as_json:
        return json.dumps(found, indent=1, ensure_ascii=False)
    widths = [max((len(row[key]) for row in found), default=0) for key in ("name", "from")]
    lines: list[str] = []
    heading = ""
    for row in found:
        if row["group"] != heading:
            heading = str(row["group"])
            lines += ["", heading] if lines else [heading]
        lines.append(f"  {row['name']:{widths[0]}}  {row['from']:{widths[1]}}  {_said(row)}".rstrip())
    return "\n".join(lines)


def _said(row: Mapping[str, Any]) -> str:
    said = [row["about"]]
    if row["needs"]:
        said.append(f"[needs {' '.join(row['needs'])}]")
    if row["hidden_by"]:
        said.append(f"[not reached: {row['hidden_by']} has one of that name, which comes first]")
    return " ".join(said)
