"""Writes the tables of the rule language in docs/programs.md from what the language says of itself."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sandbox.program.language import OPERATORS, SIGNATURES, Typing
from sandbox.program.library import library
from sandbox.program.mathematics import unicode

PAGE = Path(__file__).parents[1] / "docs" / "programs.md"
TAKES: dict[Typing, str] = {
    "each": "anything but labels, number by number",
    "softmax": "outputs",
    "log_softmax": "outputs",
    "gather": "outputs, labels",
    "one_hot": "labels, outputs",
    "outputs": "outputs",
    "reduce": "parameters",
    "pair": "parameters, parameters",
    "clip": "parameters, a scalar",
    "shape": "parameters",
}


def tables() -> dict[str, str]:
    """{name of a table: its text}."""
    return {"signatures": _signatures(), "operators": _operators(), "shipped programs": _shipped()}


def written(page: str) -> str:
    """The page with each table between its two marks."""
    for name, text in tables().items():
        begin, end = f"<!-- {name}: written by scripts/program_tables.py -->\n", f"<!-- end of {name} -->\n"
        before, mark, rest = page.partition(begin)
        page = before + mark + text + end + rest.partition(end)[2]
    return page


def _signatures() -> str:
    lines = ["| kind | is handed | must depend on | in words |", "|---|---|---|---|"]
    for one in SIGNATURES:
        inputs = ", ".join(f"`{name}` ({kind})" for name, kind in one.inputs.items())
        must = " and ".join(f"`{name}`" for name in one.must)
        lines.append(f"| `{one.name}` | {inputs} | {must} | {one.about} |")
    return "\n".join(lines) + "\n"


def _operators() -> str:
    lines = ["| operator | takes | computes |", "|---|---|---|"]
    for one in OPERATORS:
        names = " ".join("abc"[: one.takes])
        about = one.about.replace("|", "\\|")
        lines.append(f"| `{one.name} {names}` | {TAKES[one.typed]} | {about} |")
    return "\n".join(lines) + "\n"


def _shipped() -> str:
    text = files("sandbox.program").joinpath("library.txt").read_text()
    heads = dict(line.split(": ", 1) for line in text.splitlines() if line.partition(":")[0] in library())
    lines = ["| name | kind | formula | from |", "|---|---|---|---|"]
    for name, one in library().items():
        formula, source = unicode(one).replace("|", "\\|"), heads[name].replace("|", "\\|")
        lines.append(f"| `{name}` | {one.signature} | {formula} | {source} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
