"""`sandbox claims`: try the claims that are named, print one table, write the page."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from sandbox.claims.claim import EssayClaim, parse
from sandbox.claims.evidence import How, gather, registered
from sandbox.claims.page import WHOLE, Tried, number, p_value, write
from sandbox.claims.verdict import Row, corrected, rows, together
from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.studies import Studies, studies

COLUMNS = ("claim", "expected", "measured", "control", "n", "difference [95 %]", "criterion", "Holm p", "verdict")


def known(here: Studies | None = None) -> dict[str, EssayClaim]:
    """{letter: claim}: every file of the group `claim` on a search path, by default the house's; raises
    `ConfigError`."""
    here = here or studies([])
    found = dict[str, EssayClaim]()
    for name in sorted(here.members("claim")):
        node = here.node(f"claim/{name}")
        found[name] = parse(name, node, {arm: here.node(f"experiment/claim/{arm}") for arm in node.get("arms", ())})
    return found


def claims(letters: Sequence[str], *, fast: bool, ablations: bool, runs: Path, page: Path | None,
           as_json: Path | None, command: str, jobs: int | None = None, words: Sequence[str] = ()) -> int:  # fmt: skip
    """Try the claims of these letters (all, if none is named); 0 whatever their verdicts. `words` say where else
    claims are looked for (`--config-dir`); to name a letter is to trust the folder that it lies in."""
    here = studies([*words, *([f"claim={','.join(letters)}"] if letters else [])])
    there, how = known(here), How(jobs, tuple(words), here.trust)
    for letter in letters:
        if letter not in there:
            raise ConfigError(explain(expected="the letter of a claim", got=f"'{letter}'",
                                      do=did_you_mean(letter, there)))  # fmt: skip
    began, tried, anew = time.monotonic(), list[Tried](), not any(runs.glob("*/"))
    for letter in letters or list(there):
        print(f"claim {letter}: {there[letter].title}", file=sys.stderr, flush=True)
        tried.append(_try(there[letter], runs, fast=fast, ablations=ablations, how=how))
    all_rows = corrected([row for one in tried for row in one.rows])
    tried = [replace(one, rows=tuple(row for row in all_rows if row.claim == one.claim.letter)) for one in tried]
    minutes = (time.monotonic() - began) / 60
    took = f" in {minutes:.0f} minutes" + ("" if anew else ", beside what was measured already")
    ablated = [row for one in tried for row in one.ablated if row.ablation != WHOLE]
    _show(all_rows, ablated)
    print(f"{', '.join(f'{one.claim.letter}: {together(one.rows)}' for one in tried)}  ({minutes:.1f} minutes)")
    print(write(tried, page or runs, command, took if minutes >= 1 else ""))
    if as_json:
        as_json.write_text(json.dumps([row.told() for row in (*all_rows, *ablated)], indent=1) + "\n")
    return 0


def _try(claim: EssayClaim, runs: Path, *, fast: bool, ablations: bool, how: How) -> Tried:
    this = claim.quick() if fast else claim
    place = runs / f"{claim.letter}-{this.digest}"
    began = registered(place, claim.words_digest, _files(claim))
    evidence = gather(this, place, how)
    ablated = _ablated(claim.quick(), runs, how) if ablations else []
    return Tried(this, evidence, tuple(rows(this, evidence)), tuple(ablated), began)


def _files(claim: EssayClaim) -> list[Path]:
    """The files of a claim and its arms below `conf` of the working folder; none where another claim lies there."""
    own = Path(f"conf/claim/{claim.letter}.yaml")
    if not own.is_file() or parse(claim.letter, yaml.safe_load(own.read_text()), claim.settings).digest != claim.digest:
        return []
    return [own, *(Path(f"conf/experiment/claim/{arm}.yaml") for arm in claim.arms)]


def _ablated(claim: EssayClaim, runs: Path, how: How) -> list[Row]:
    """What is left of the comparisons without each thing, with the settings of a quick look: an effect that is
    gone is gone at a small n, too."""
    place = runs / f"{claim.letter}-{claim.digest}"
    evidence = gather(claim, place, how)
    found = rows(claim, evidence, WHOLE)
    for ablation in claim.ablations:
        without = {**evidence, **gather(claim, place, how, ablation)}
        found += rows(claim, without, ablation.name, ablation.of)
    return found


def _show(found: Sequence[Row], ablated: Sequence[Row]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("measured", "control", "n") else "left")
    for row in (*found, *ablated):
        interval = f"{number(row.difference.mean)} [{number(row.difference.low)}, {number(row.difference.high)}]"
        expected = row.comparison.said + (f" (without: {row.ablation})" if row.ablation else "")
        verdict = row.raw if row.ablation else row.verdict
        table.add_row(row.claim, expected, number(row.measured.mean), number(row.control.mean), str(row.difference.n),
                      interval, row.comparison.criterion, p_value(row.holm), verdict)  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 200).print(table)
