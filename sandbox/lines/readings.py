"""What a run says of its readings: `readings.json`, one description a reading or family of readings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

from sandbox.core.error import LineageError, explain
from sandbox.core.reading import Reading

READINGS = "readings.json"


def read_readings(folder: Path) -> tuple[Reading, ...]:
    """The descriptions in a run folder, none where an older run left none."""
    path = folder / READINGS
    if not path.is_file():
        return ()
    known = {field.name for field in fields(Reading)}
    try:
        nodes = [{key: value for key, value in node.items() if key in known} for node in json.loads(path.read_text())]
        return tuple(Reading(**{**node, "range": tuple(node.get("range", (None, None)))}) for node in nodes)
    except (ValueError, TypeError, AttributeError) as error:
        raise LineageError(explain(expected=f"descriptions of readings in {path}", got=str(error),
                                   do="Run it again: delete the folder first."))  from error  # fmt: skip


def described(name: str, readings: Iterable[Reading]) -> Reading | None:
    """The description of `name`, or of its family with `name` in the family's place; None where there is neither.

    A family's title has its member's name where it says `*`, or else after it.
    """
    for reading in sorted(readings, key=lambda reading: reading.name.endswith("*")):
        if reading.name == name:
            return reading
        prefix = reading.name.removesuffix("*")
        if prefix != reading.name and name.startswith(prefix):
            member = name.removeprefix(prefix)
            title = reading.title.replace("*", member) if "*" in reading.title else f"{reading.title}: {member}"
            return replace(reading, name=name, title=title)
    return None
