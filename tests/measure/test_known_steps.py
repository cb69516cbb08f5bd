"""Some thirty steps of known M, from closed forms or formulas of their own, read right or told to be unreadable."""

from __future__ import annotations

import pytest

from sandbox.measure.reading import Reading
from scripts.known_steps import Known
from scripts.known_table import BEGIN, END, PAGE, STEPS

TWICE = ("torch.optim", "BatchNorm", "moving-mean")  # in float32 too
ALIKE = ("torch.optim AdamW", "torch.optim RMSprop")
COSTLY = [known for known in STEPS
          if known.name.startswith(ALIKE) or (known.name.startswith(TWICE) and "float64" in known.name)]  # fmt: skip
QUICK = [known for known in STEPS if known not in COSTLY]


def holds(known: Known) -> Reading:
    found = known.read()
    assert abs(float(found.coupling.m) - known.m) <= float(found.coupling.error) + 1e-12
    assert float(found.coupling.error) < 0.005
    assert known.told in found.blind + found.note
    assert bool(found.blind) == (known.told in ("jumps", "M is blind", "whole numbers"))
    return found


@pytest.mark.parametrize("known", QUICK, ids=lambda known: known.name)
def test_a_known_step_reads_within_its_printed_error_or_is_told(known: Known) -> None:
    found = holds(known)
    if found.blind:
        assert "exact" not in str(found)
        assert found.blind in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("known", COSTLY, ids=lambda known: known.name)
def test_the_same_of_more_optimizers_and_in_float64(known: Known) -> None:
    holds(known)


def test_the_page_shows_every_known_step() -> None:
    """`python -m scripts.known_table` writes it anew."""
    written = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    lines = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in written.splitlines()[2:]}
    assert lines.keys() == {known.name for known in STEPS}
    for known in STEPS:
        read, _, error = lines[known.name][2].partition(" ± ")
        assert lines[known.name][3] == f"{known.m:.4f}"
        assert abs(float(read) - known.m) <= float(error) + 1e-4
