"""The table of readings in the docs is what the meters say."""

from __future__ import annotations

from sandbox.core.reading import Reading
from scripts.readings_table import BEGIN, END, PAGE, declared, page, table


def test_a_row_says_what_a_meter_says() -> None:
    readings = [Reading("a/m", "M, merge", "lower", "share", (0.0, 1.0), "a/null", headline=True), Reading("b/*", "B"),
                Reading("c", "C", range=(0.0, None)), Reading("d", "D", range=(None, 1.0))]  # fmt: skip
    assert table([("one", readings)]).splitlines()[2:] == [
        "| `a/m` | **M, merge** | lower | share | 0 to 1 | `a/null` | one |",
        "| `b/*` | B |  |  |  |  | one |",
        "| `c` | C |  |  | 0 or more |  | one |",
        "| `d` | D |  |  | up to 1 |  | one |",
    ]


def test_a_page_keeps_what_stands_around_its_table() -> None:
    assert page(f"before\n{BEGIN}old\n{END}after\n", "new\n") == f"before\n{BEGIN}new\n{END}after\n"


def test_the_docs_have_the_table_of_all_meters() -> None:
    """`python scripts/readings_table.py` writes it anew."""
    meters = declared()
    told = {name: readings for name, readings in meters.items() if readings is not None}
    text = PAGE.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    if told.keys() == meters.keys():
        assert page(text, table(told.items())) == text
