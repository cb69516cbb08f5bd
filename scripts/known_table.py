"""Writes the table of known steps in docs/instruments.md: `python -m scripts.known_table`."""

from __future__ import annotations

from pathlib import Path

from scripts.known_learners import LEARNERS
from scripts.known_steps import GAMES, LEARNED_RATES, Known

PAGE = Path(__file__).parents[1] / "docs" / "instruments.md"
BEGIN, END = "<!-- known steps: written by scripts/known_table.py -->\n", "<!-- end of known steps -->\n"
STEPS = (*LEARNED_RATES, *GAMES, *LEARNERS)


def row(known: Known) -> str:
    """What was read, what is known, and what the reading says."""
    found = known.read()
    said = "; ".join(part for part in (found.blind, found.note) if part)
    m = f"{float(found.coupling.m):.4f} ± {float(found.coupling.error):.1g}"
    return f"| {known.name} | {known.sides} | {m} | {known.m:.4f} | {found.method} | {found.calls} | {said} |"


def table(steps: tuple[Known, ...] = STEPS) -> str:
    """A row a step."""
    head = "| step | outer / inner | M read | M known | derivatives by | calls | what the reading says |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *(row(known) for known in steps)]) + "\n"


def page(text: str, written: str) -> str:
    """The page with `written` between the two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{written}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), table()))
