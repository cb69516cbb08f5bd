"""Writes the table of readings in docs/run-folder.md from what the meters say of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from sandbox.config import build
from sandbox.core.reading import Reading

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "run-folder.md"
BEGIN, END = "<!-- readings: written by scripts/readings_table.py -->\n", "<!-- end of readings -->\n"


def declared() -> dict[str, tuple[Reading, ...] | None]:
    """{meter: its readings} of every member of conf/meter; None where it says nothing."""
    nodes = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "conf" / "meter").glob("*.yaml"))}
    return {name: getattr(build(node, name), "readings", None) for name, node in nodes.items()}


def table(meters: Iterable[tuple[str, Iterable[Reading]]]) -> str:
    """A row a reading; a headline is bold."""
    lines = ["| name | what | better | unit | range | set against | meter |", "|---|---|---|---|---|---|---|"]
    for meter, readings in meters:
        for reading in readings:
            title = f"**{reading.title}**" if reading.headline else reading.title
            null = f"`{reading.null}`" if reading.null else ""
            cells = (f"`{reading.name}`", title, reading.better, reading.unit, _span(*reading.range), null, meter)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _span(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f"{low:g} or more"
    return f"up to {high:g}" if low is None else f"{low:g} to {high:g}"


def page(text: str, written: str) -> str:
    """The page with `written` between the two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{written}{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write it."""
    meters = {name: readings for name, readings in declared().items() if readings is not None}
    PAGE.write_text(page(PAGE.read_text(), table(meters.items())))


if __name__ == "__main__":
    main()
